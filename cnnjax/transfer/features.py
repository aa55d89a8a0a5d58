"""What a frozen prefix gives: without augmentation the same in every epoch, so computed once."""

import math
from collections.abc import Collection, Iterator, Sequence
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

_CHUNK_BYTES = 2**29  # of the widest map that is in memory at a time


def prefix_features(
    network: Network,
    variables: Variables,
    images: np.ndarray | Features,
    stop: str,
    *,
    start: str | None = None,
    batch_size: int = 256,
) -> Features:
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
    chunks = [
        maps
        for stage, maps in _stage_by_stage(network, variables, images, start, stop, batch_size)
        if stage == stop
    ]
    return _joined(chunks, _count(images))


def pooled_features(
    network: Network,
    variables: Variables,
    images: np.ndarray | jax.Array,
    stages: Collection[str],
    *,
    batch_size: int = 256,
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
    for name in stages:
        network.slice(name)  # unknown ones are an error
    order = [name for name in network.stages if name in stages]
    grids = _grids(network, images.shape[1:], order)
    chunks: dict[str, list[jax.Array]] = {stage: [] for stage in order}
    outputs = _stage_by_stage(network, variables, images, None, order[-1], batch_size)
    for stage, maps in outputs:
        if stage in grids:
            chunks[stage].append(_pool(maps, grid=grids[stage]))
    return {stage: _joined(parts, _count(images)) for stage, parts in chunks.items()}


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


def _stage_by_stage(
    network: Network,
    variables: Variables,
    images: np.ndarray | Features,
    start: str | None,
    stop: str,
    batch_size: int,
) -> Iterator[tuple[str, Features]]:
    """(stage, its output `[batches, batch, ...]`), stage after stage, of one chunk of the images
    after the other; the last batches are filled up."""
    names = network.slice(start, stop)
    if network.num_classes and stop != network.stages[-1]:
        network = body(network)  # one program for all heads
    size = _count(images)
    batch_size = min(batch_size, size)
    batches = -(-size // batch_size)
    sample = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((batch_size, *a.shape[1:]), a.dtype), images
    )
    widest = max(_size(sample), *(_size(s) for s in _shapes(network, variables, names, sample)))
    chunks = min(batches, -(-batches * widest // _CHUNK_BYTES))
    per_chunk = -(-batches // chunks)
    # The last batches are filled up with the first images, so that one program serves all.
    order = np.arange(chunks * per_chunk * batch_size).reshape(chunks, per_chunk, batch_size) % size
    for places in order:
        x = jax.tree.map(lambda a, places=places: jnp.asarray(a[places]), images)
        for stage in names:
            x = _apply_stage(_own(variables, stage), x, network=network, stage=stage)
            yield stage, x


def _shapes(
    network: Network, variables: Variables, names: tuple[str, ...], x: object
) -> Iterator[object]:
    for stage in names:
        apply = partial(_stage, network=network, stage=stage)
        x = jax.eval_shape(apply, _own(variables, stage), x)
        yield x


def _own(variables: Variables, stage: str) -> dict:
    return {c: {stage: group[stage]} for c, group in variables.items() if stage in group}


def _stage(variables: Variables, x: Features, *, network: Network, stage: str) -> Features:
    return network.apply(variables, jax.tree.map(scale_pixels, x), start=stage, stop=stage)


@partial(jax.jit, static_argnames=("network", "stage"))
def _apply_stage(
    variables: Variables, batches: Features, *, network: Network, stage: str
) -> Features:
    return jax.lax.map(partial(_stage, variables, network=network, stage=stage), batches)


@partial(jax.jit, static_argnames="grid")
def _pool(maps: Features, *, grid: int | None) -> jax.Array:
    x = jax.tree.leaves(maps)[-1]
    batches, batch = x.shape[:2]
    x = x.reshape(batches * batch, *x.shape[2:]).astype(jnp.float32)
    if grid is not None:
        x = adaptive_avg_pool(x, grid)
    return x.reshape(batches, batch, -1)


def _joined(chunks: list[Features], size: int) -> Features:
    def join(*parts: jax.Array) -> jax.Array:
        whole = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
        return whole.reshape(-1, *whole.shape[2:])[:size]

    return jax.tree.map(join, *chunks)


def _count(inputs: object) -> int:
    return jax.tree.leaves(inputs)[0].shape[0]


def _size(shapes: object) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
