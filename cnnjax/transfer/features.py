"""What a frozen prefix gives: without augmentation the same in every epoch, so computed once."""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.layers import adaptive_avg_pool
from cnnjax.models import Network
from cnnjax.training import Variables, scale_pixels

Features = jax.Array | tuple[jax.Array, ...]
"""What a stage gives, `[N, ...]`; NASNet's cells give tuples."""

MOST_POOLED = 2048
"""Numbers of an image that `pooled_features` keeps of a map, unless a map has more channels."""

BATCH = 64
"""Images at a time: on CPUs a network runs up to twice as fast as with 256, whose maps fit into no
cache."""


def prefix_features(
    network: Network,
    variables: Variables,
    images: np.ndarray | Features,
    stop: str,
    *,
    start: str | None = None,
    batch_size: int = BATCH,
) -> Features:
    """The output of stage `stop` for every image: f_n(... f_1(x)), in evaluation mode.

    Training the stages behind it on these features gives what training behind a frozen prefix
    gives: frozen stages run in evaluation mode there too.

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
    if network.num_classes and stop != network.stages[-1]:
        network = body(network)  # one program for all heads
    own = _own(variables, network.slice(start, stop))
    run = partial(_prefix, own, network=network, start=start, stop=stop)
    return _in_batches(run, images, batch_size)


def pooled_features(
    network: Network,
    variables: Variables,
    images: np.ndarray | jax.Array,
    stages: Collection[str],
    *,
    batch_size: int = BATCH,
) -> dict[str, jax.Array]:
    """Vectors for a shallow classifier from the outputs of several stages, in one pass.

    Of the stage in front of the head it is what the head multiplies its kernel with: the average of
    each map, or all numbers, as the network has it. Of an earlier stage with maps `[H, W, C]` it is
    the averages over g x g cells, where g is as large as it can be with g² C <= `MOST_POOLED`, at
    least 1 and at most the map: early maps are few and large, and where something is in the image
    is most of what they know. Of a tuple the last part counts, a NASNet cell's own maps.

    Args:
      network: the composition.
      variables: of the stages up to the last of `stages`.
      images: uint8 or float `[N, H, W, C]`.
      stages: of which stages, in any order.
      batch_size: images at a time.

    Returns:
      {stage: float32 `[N, F]`}.

    Raises:
      CnnjaxError: an unknown stage, or images that the network cannot take.
    """
    network = body(network)
    for name in stages:
        network.slice(name)  # unknown ones are an error
    order = [name for name in network.stages if name in stages]
    grids = tuple(_grids(network, images.shape[1:], order).items())
    own = _own(variables, network.slice(stop=order[-1]))
    return _in_batches(partial(_pooled, own, network=network, grids=grids), images, batch_size)


def _grids(
    network: Network, image_shape: tuple[int, int, int], stages: Sequence[str]
) -> dict[str, int | None]:
    """g of each stage's cells; None: all numbers as they are."""
    shapes = stage_shapes(network, image_shape, stages[-1])

    def grid(stage: str) -> int | None:
        shape = jax.tree.leaves(shapes[stage])[-1].shape[1:]
        if len(shape) != 3:
            return None
        height, width, channels = shape
        if stage == body(network).stages[-1]:
            return None if head_inputs(network, image_shape) == math.prod(shape) else 1
        return min(max(1, math.isqrt(MOST_POOLED // channels)), height, width)

    return {stage: grid(stage) for stage in stages}


def body(network: Network) -> Network:
    """The network without its head."""
    return network.clone(num_classes=0)


def head_inputs(network: Network, image_shape: tuple[int, int, int]) -> int:
    """Rows of the head's kernel: how many numbers of an image the head multiplies."""
    network = network if network.num_classes else network.clone(num_classes=1)
    head = network.stages[-1]
    features = stage_shapes(network, image_shape, network.stages[-2])[network.stages[-2]]
    shapes = jax.eval_shape(partial(network.init, start=head), jax.random.key(0), features)
    return shapes["params"][head]["kernel"].shape[0]


def stage_shapes(network: Network, image_shape: tuple[int, int, int], stop: str) -> dict:
    """{stage: shapes and types of what it gives for one image, `[1, ...]`}, up to `stop`.

    Nothing is computed.
    """

    def outputs(key: jax.Array, x: jax.Array) -> dict:
        kept = {}
        for stage in network.slice(stop=stop):
            x = network.init_with_output(key, x, start=stage, stop=stage)[0]
            kept[stage] = x
        return kept

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(outputs, jax.random.key(0), images)


def feature_bytes(
    network: Network, image_shape: tuple[int, int, int], stop: str, count: int
) -> int:
    """How much memory the output of stage `stop` takes for `count` images.

    Nothing is computed.
    """
    return count * _size(stage_shapes(network, image_shape, stop)[stop])


def _own(variables: Variables, stages: Collection[str]) -> dict:
    return {
        collection: {stage: group[stage] for stage in stages if stage in group}
        for collection, group in variables.items()
    }


@partial(jax.jit, static_argnames=("network", "start", "stop"))
def _prefix(
    variables: Variables, x: Features, *, network: Network, start: str | None, stop: str
) -> Features:
    return network.apply(variables, jax.tree.map(scale_pixels, x), start=start, stop=stop)


@partial(jax.jit, static_argnames=("network", "grids"))
def _pooled(
    variables: Variables,
    x: jax.Array,
    *,
    network: Network,
    grids: tuple[tuple[str, int | None], ...],
) -> dict[str, jax.Array]:
    x, start, pooled = scale_pixels(x), None, {}
    for stage, grid in grids:
        x = network.apply(variables, x, start=start, stop=stage)
        maps = jax.tree.leaves(x)[-1].astype(jnp.float32)
        if grid is not None:
            maps = adaptive_avg_pool(maps, grid)
        pooled[stage] = maps.reshape(len(maps), -1)
        start = network.slice(stage)[1] if stage != network.stages[-1] else None
    return pooled


def _in_batches(
    run: Callable[[Features], Features], inputs: np.ndarray | Features, batch_size: int
) -> Features:
    """`run` on batches of one size, so that one program serves all: the last is filled up."""
    size = jax.tree.leaves(inputs)[0].shape[0]
    batch_size = min(batch_size, size)
    order = np.arange(-(-size // batch_size) * batch_size) % size
    outputs = [
        run(jax.tree.map(lambda a, rows=rows: jnp.asarray(a[rows]), inputs))
        for rows in order.reshape(-1, batch_size)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:size], *outputs)


def _size(shapes: object) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
