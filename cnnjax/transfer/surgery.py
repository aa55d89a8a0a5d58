"""Moving stages between networks: everything in transfer learning is an operation on their names.

Variables are {collection: {stage: arrays}}; nothing here knows what a stage computes.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache, partial

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables, merge


def first_stages(network: Network, n: int) -> tuple[str, ...]:
    """The names of the first n stages, as in "the first n layers" of Yosinski et al. 2014.

    Raises:
      CnnjaxError: n is negative or leaves no stage to train.

    >>> import cnnjax
    >>> first_stages(cnnjax.create("lenet5"), 2)
    ('c1', 'c3')
    """
    stages = network.stages
    if not 0 <= n < len(stages):
        raise CnnjaxError(
            f"the first {n} stages of a network with {len(stages)} cannot be kept; "
            f"n is between 0 and {len(stages) - 1}, so that at least the last is new"
        )
    return stages[:n]


def transplant(source: Variables, target: Variables, stages: Collection[str]) -> dict:
    """Copies w_1 ... w_n: `target` with the variables of `stages` taken from `source`.

    Args:
      source: variables that hold all of `stages`.
      target: variables of the network to be.
      stages: which ones to copy.

    Returns:
      New variables; neither argument is changed.

    Raises:
      CnnjaxError: a stage is missing on either side, or its arrays differ in structure, shape or
        type; all that differ are named.
    """
    problems = []
    result = {collection: dict(group) for collection, group in target.items()}
    for stage in stages:
        holders = {c for part in (source, target) for c, group in part.items() if stage in group}
        if not holders:
            problems.append(f"{stage}: in neither network")
        for collection in holders:
            given = source.get(collection, {}).get(stage)
            wanted = target.get(collection, {}).get(stage)
            if problem := _difference(given, wanted):
                problems.append(f"{collection}/{stage}: {problem}")
            else:
                result[collection][stage] = given
    if problems:
        raise CnnjaxError(
            f"cannot transplant: {'; '.join(sorted(problems))}; copy stages that both networks "
            "have in the same form"
        )
    return result


def initialise(network: Network, image_shape: tuple[int, int, int], seed: int) -> dict:
    """Fresh variables of all stages, as the network's paper initialises them.

    The same as `network.init(jax.random.key(seed), images)`; the head is drawn apart, because
    random numbers take seconds to compile and networks often differ in their head alone. Those
    with auxiliary heads differ in them too.

    Args:
      network: the composition.
      image_shape: (height, width, channels).
      seed: the same seed gives the same variables.
    """
    key, images = jax.random.key(seed), jnp.zeros((1, *image_shape), jnp.float32)
    body = network.clone(num_classes=0)
    head = [stage for stage in network.stages if stage not in body.stages]
    if network.auxiliary_weight or not head or not body.stages:
        return _draw(key, images, network=network)
    features, _ = _traced(body, images.shape)
    inputs = jnp.zeros(features.shape, features.dtype)
    parts = _draw(key, images, network=body), _draw(key, inputs, network=network, start=head[0])
    return merge(*parts)


def variable_shapes(network: Network, image_shape: tuple[int, int, int]) -> dict:
    """The shapes and types of all variables, without computing them."""
    return jax.tree.map(lambda leaf: leaf, _traced(network, (1, *image_shape))[1])


@lru_cache  # tracing a network takes a tenth of a second, and studies ask for the same ones
def _traced(network: Network, shape: tuple[int, ...]) -> tuple[jax.ShapeDtypeStruct, dict]:
    """The shapes and types of (what it gives, its variables)."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(network.init_with_output, jax.random.key(0), images)


@partial(jax.jit, static_argnames=("network", "start"))
def _draw(key: jax.Array, x: jax.Array, *, network: Network, start: str | None = None) -> dict:
    return network.init(key, x, start=start)


def _difference(given: Mapping | None, wanted: Mapping | None) -> str:
    if given is None or wanted is None:
        return f"missing in the {'source' if given is None else 'target'}"
    have, want = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): (leaf.shape, str(leaf.dtype))
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (given, wanted)
    )
    return ", ".join(
        f"{name} is {_show(have.get(name))} in the source and {_show(want.get(name))} in the target"
        for name in sorted(have.keys() | want)
        if have.get(name) != want.get(name)
    )


def _show(array: tuple[tuple[int, ...], str] | None) -> str:
    return "absent" if array is None else f"{array[1]}{list(array[0])}"
