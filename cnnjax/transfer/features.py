"""What a frozen prefix gives: without augmentation the same in every epoch, so computed once."""

from collections.abc import Hashable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.models import Network
from cnnjax.training import Variables, scale_pixels


def prefix_features(
    network: Network,
    variables: Variables,
    images: np.ndarray | jax.Array,
    stop: str,
    *,
    start: str | None = None,
    batch_size: int = 256,
) -> jax.Array:
    """The output of stage `stop` for every image: f_n(... f_1(x)), in evaluation mode.

    Training the stages behind it on these features gives what training behind a frozen prefix
    gives: frozen stages run in evaluation mode there too. The stages are run one by one, each a
    program of its own, so that going on from an earlier stage's features gives the same bits.

    Args:
      network: the composition.
      variables: of the stages that run; others are not read.
      images: uint8 or float `[N, H, W, C]`, or the features that `start` takes.
      stop: the last stage to run.
      start: the first stage to run; the network's first by default.
      batch_size: images at a time.

    Returns:
      `[N, ...]`, on the device.
    """
    size = images.shape[0]
    batch_size = min(batch_size, size)
    padded = -(-size // batch_size) * batch_size
    # The last batch is filled up with the first images, so that one program serves all batches.
    order = np.arange(padded) % size
    batches = jnp.asarray(images)[order].reshape(-1, batch_size, *images.shape[1:])
    for stage in network.slice(start, stop):
        own = {c: {stage: group[stage]} for c, group in variables.items() if stage in group}
        batches = _apply_stage(own, batches, network=network, stage=stage)
    return batches.reshape(padded, *batches.shape[2:])[:size]


class PrefixCache:
    """Features of growing prefixes: those of n stages are computed from those of n - 1.

    For each source of weights it keeps the longest prefix asked for last.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._kept: dict[Hashable, tuple[str, jax.Array]] = {}

    def features(
        self, source: Hashable, variables: Variables, images: np.ndarray | jax.Array, stop: str
    ) -> jax.Array:
        """As `prefix_features`, which it calls for the stages that are still missing.

        Args:
          source: names the weights and the images; the same name must mean the same arrays.
          variables: of the stages up to `stop`.
          images: uint8 or float `[N, H, W, C]`.
          stop: the last stage to run.
        """
        stages = self._network.stages
        start, inputs = None, images
        if source in self._kept:
            done, kept = self._kept[source]
            if done == stop:
                return kept
            if stages.index(done) < stages.index(stop):
                start, inputs = stages[stages.index(done) + 1], kept
        features = prefix_features(self._network, variables, inputs, stop, start=start)
        self._kept[source] = (stop, features)
        return features


def feature_bytes(
    network: Network, image_shape: tuple[int, int, int], stop: str, count: int
) -> int:
    """How much memory the widest output up to stage `stop` takes for `count` images.

    Nothing is computed.
    """

    def outputs(key: jax.Array, x: jax.Array) -> list[jax.Array]:
        kept = []
        for stage in network.slice(stop=stop):
            x = network.init_with_output(key, x, start=stage, stop=stage)[0]
            kept.append(x)
        return kept

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(outputs, jax.random.key(0), images)
    return count * max(out.size * out.dtype.itemsize for out in shapes)


@partial(jax.jit, static_argnames=("network", "stage"))
def _apply_stage(
    variables: Variables, batches: jax.Array, *, network: Network, stage: str
) -> jax.Array:
    return jax.lax.map(
        lambda x: network.apply(variables, scale_pixels(x), start=stage, stop=stage), batches
    )
