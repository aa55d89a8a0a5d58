"""New heads on pretrained networks, fresh or from a linear classifier."""

from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.transfer.features import stage_shapes
from cnnjax.transfer.surgery import variable_shapes


class Head(NamedTuple):
    """A linear classifier as the weights of a network's last stage: logits = x kernel + bias.

    Attributes:
      kernel: float32 `[C, K]`, for features as they are: standardisation is folded in.
      bias: float32 `[K]`.
    """

    kernel: np.ndarray
    bias: np.ndarray


def fold_standardisation(
    weights: np.ndarray, intercepts: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> Head:
    """The classifier z_k = w_k . (x - mean) / deviation + b_k as a head that takes x itself.

        kernel_k = w_k / deviation,   bias_k = b_k - kernel_k . mean

    Args:
      weights: w `[K, C]`, or `[1, C]` of two classes, where z is that of the second against the
        first: their logits become -z / 2 and z / 2.
      intercepts: b `[K]`, or `[1]`.
      mean: `[C]`.
      deviation: `[C]`, positive.

    >>> head = fold_standardisation(np.array([[4.0]]), np.array([1.0]), np.array([3.0]), np.ones(1))
    >>> head.kernel.tolist(), head.bias.tolist()  # z = 4 x - 11
    ([[-2.0, 2.0]], [5.5, -5.5])
    """
    kernel = (weights / deviation).T
    bias = intercepts - mean @ kernel
    if len(weights) == 1:
        kernel, bias = kernel * np.array([-0.5, 0.5]), bias * np.array([-0.5, 0.5])
    return Head(kernel.astype(np.float32), bias.astype(np.float32))


def new_head(
    network: Network,
    variables: Variables,
    num_classes: int,
    seed: int,
    *,
    head: Head | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[Network, dict]:
    """A pretrained network with a new last stage for other classes.

    All stages but the head keep their weights. Of auxiliary heads (GoogLeNet, Inception v3) the
    arrays whose shape has changed, the layer of the logits above all, are fresh too; those that the
    network no longer has (`auxiliary=False`) are left out.

    Args:
      network: the pretrained composition, with a head or without (`num_classes=0`).
      variables: of all its stages; its own head is not read.
      num_classes: of the new head.
      seed: of the fresh weights, drawn as the network's paper initialises them.
      head: takes the place of fresh weights, e.g. of `probe`: a warm start.
      image_shape: (height, width, channels) of the images to come; the network's own by default.

    Returns:
      The new network, and variables of all its stages; the arguments are not changed.

    Raises:
      CnnjaxError: the variables are not those of the network, or `head` has other shapes.

    >>> import cnnjax
    >>> from cnnjax.transfer import initialise
    >>> net = cnnjax.create("lenet5")
    >>> new, variables = new_head(net, initialise(net, (32, 32, 1), seed=0), 3, seed=1)
    >>> new.num_classes, variables["params"]["output"]["kernel"].shape
    (3, (84, 3))
    """
    if num_classes < 1:
        raise CnnjaxError(f"a head for {num_classes} classes cannot be; give at least 1")
    image_shape = tuple(image_shape or network.image)
    new = network.clone(num_classes=num_classes)
    last = new.stages[-1]
    wanted = flatten_dict(variable_shapes(new, image_shape))
    given = {
        path: array
        for path, array in flatten_dict(dict(variables)).items()
        if path[1] != last and (path in wanted or not _auxiliary(path))
    }
    if head is not None:
        given |= {
            ("params", last, name): jnp.asarray(array, network.param_dtype)
            for name, array in head._asdict().items()
        }
    fresh = {path for path in wanted if path[1] == last and head is None}
    fresh |= {p for p in wanted if _auxiliary(p) and _form(given.get(p)) != _form(wanted[p])}
    if fresh:
        given |= _drawn(new, image_shape, seed, fresh)
    if wrong := [p for p in wanted | given if _form(given.get(p)) != _form(wanted.get(p))]:
        name = "/".join(wrong[0])
        raise CnnjaxError(
            f"cannot put a head for {num_classes} classes on {type(network).__name__}: {name} is "
            f"{_form(given.get(wrong[0]))} among the variables and {_form(wanted.get(wrong[0]))} "
            f"in the network ({len(wrong)} differ in all); give the variables of this network"
        )
    ordered = {path: given[path] for path in wanted}
    return new, jax.tree.map(jnp.asarray, unflatten_dict(ordered))


def _auxiliary(path: tuple[str, ...]) -> bool:
    return "auxiliary" in path[2:]


def _drawn(
    network: Network, image_shape: tuple[int, int, int], seed: int, paths: Collection[tuple]
) -> dict[tuple[str, ...], jax.Array]:
    """The network's own fresh variables, of these paths alone."""
    start, x = None, jnp.zeros((1, *image_shape), jnp.float32)
    *before, last = network.stages
    if before and all(path[1] == last for path in paths):  # much less to compile
        start, shapes = last, stage_shapes(network, image_shape, before[-1])[before[-1]]
        x = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def draw(key: jax.Array, x: jax.Array) -> dict[tuple[str, ...], jax.Array]:
        drawn = flatten_dict(network.init(key, x, start=start))
        return {path: drawn[path] for path in paths}

    return jax.jit(draw)(jax.random.key(seed), x)


def _form(array: jax.Array | jax.ShapeDtypeStruct | None) -> str:
    return "absent" if array is None else f"{array.dtype}{list(array.shape)}"
