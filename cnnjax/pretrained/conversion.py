"""From the arrays of a source to our variables and back, strictly."""

import functools
import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, entry_of

SHOWN = 6
"""Problems of one kind that a message lists; the others it counts."""


@functools.lru_cache(maxsize=4)  # tracing a deep network takes seconds
def shapes_of(network: Network, image_shape: tuple[int, int, int] | None = None) -> dict:
    """The shapes and types of all variables, without computing them, for images `[H, W, C]` of
    this shape; of the paper's by default."""
    image = jax.ShapeDtypeStruct((1, *(image_shape or network.image)), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), image)


def convert(
    arrays: Mapping[str, np.ndarray],
    network: Network,
    names: Names,
    called: str,
    image_shape: tuple[int, int, int] | None = None,
) -> dict:
    """The network's variables with the values of `arrays`.

    Every variable must be there in its shape, as finite floating-point numbers of 32 or 16 bits,
    and every array must be used, but for those that `names` ignores.

    Args:
      arrays: of the source, by its names.
      network: what to fill.
      names: how the source names the weights of this family.
      called: what to call the arrays in an error.
      image_shape: (height, width, channels) of the images that the network was trained on; the
        paper's by default.

    Raises:
      CnnjaxError: anything else; all that is wrong in one message.
    """
    entry, left = entry_of(names, network), dict(arrays)
    missing, wrong = [], []

    def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray | None:
        *place, last = (key.key for key in path[1:])
        source = entry(tuple(place), last)
        name = next((name for name in source.names if name in left), None)
        if name is None:
            missing.append(source.names[0])
            return None
        array = left.pop(name)
        shape = source.to_source(np.broadcast_to(np.float32(0), leaf.shape)).shape
        if problem := _problem(array, shape):
            wrong.append(f"{name} {problem}")
            return None
        return np.ascontiguousarray(source.to_ours(array.astype(leaf.dtype)))

    shapes = shapes_of(network, image_shape)
    variables = jax.tree_util.tree_map_with_path(fill, shapes)
    unused = [name for name in left if not re.search(names.ignored, name)]
    if missing or wrong or unused:
        count = len(jax.tree.leaves(shapes))
        raise CnnjaxError(_report(called, type(network).__name__, count, missing, wrong, unused))
    return jax.tree.map(jnp.asarray, variables)


def _problem(array: np.ndarray, shape: tuple[int, ...]) -> str:
    if array.dtype.name not in ("float32", "float16", "bfloat16"):
        return f"is {array.dtype}, expected float32, float16 or bfloat16"
    if array.shape != shape:
        return f"is {list(array.shape)}, expected {list(shape)}"
    return "" if np.isfinite(array.astype(np.float32)).all() else "has numbers that are not finite"


def _report(
    called: str,
    network: str,
    count: int,
    missing: list[str],
    wrong: list[str],
    unused: list[str],
) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {count} are missing ({_first(missing)})")
    if wrong:
        parts.append(f"{len(wrong)} do not fit ({_first(wrong)})")
    if unused:
        parts.append(f"{len(unused)} are no weights of it ({_first(unused)})")
    return (
        f"the arrays of {called} are not those of {network}: {'; '.join(parts)}; check the name of "
        "the network and its arguments, or take another file"
    )


def _first(problems: list[str]) -> str:
    more = f", and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return ", ".join(problems[:SHOWN]) + more


def export(variables: Mapping, network: Network, names: Names) -> dict[str, np.ndarray]:
    """The inverse of `convert`: the arrays by the names and in the layout of a source."""
    entry, arrays = entry_of(names, network), {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        *place, last = (key.key for key in path[1:])
        source = entry(tuple(place), last)
        arrays[source.names[0]] = np.ascontiguousarray(source.to_source(np.asarray(leaf)))
    return arrays
