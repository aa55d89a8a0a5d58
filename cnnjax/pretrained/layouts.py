"""How sources call and lay out what we call kernel, scale, bias, mean and var.

Ours are Flax's: kernels of convolutions [height, width, in / groups, out], of dense layers
[in, out], where `in` runs through maps [H, W, C].
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cnnjax.models import Network, Pixels

Place = tuple[str, ...]
"""The path of one of our layers, e.g. ("conv2_1", "conv1", "norm")."""

NameOf = Callable[[Place], str]
"""Our place to the source's name of the layer, e.g. "layer1.0.bn1"."""


class Flattened(NamedTuple):
    """A dense layer on maps [H, W, C] that the source flattens in the order C, H, W."""

    height: int
    width: int
    channels: int


class Window(NamedTuple):
    """A dense layer on maps that is a convolution of this window in the source."""

    height: int
    width: int


Form = Flattened | Window | None
"""What is particular about a dense layer."""

TORCH_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
KERAS_LEAVES = {
    "kernel": ("kernel", "depthwise_kernel", "pointwise_kernel"),
    "scale": ("gamma",),
    "bias": ("bias", "beta"),
    "mean": ("moving_mean",),
    "var": ("moving_variance",),
}


def from_torch(weight: np.ndarray, form: Form = None) -> np.ndarray:
    """[out, in, height, width] to [height, width, in, out], [out, in] to [in, out].

    >>> from_torch(np.zeros((8, 3, 5, 7))).shape, from_torch(np.zeros((8, 3))).shape
    ((5, 7, 3, 8), (3, 8))
    """
    if isinstance(form, Flattened):
        h, w, c = form
        weight = weight.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    kernel = weight.transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[weight.ndim])
    return kernel.reshape(-1, kernel.shape[-1]) if isinstance(form, Window) else kernel


def to_torch(kernel: np.ndarray, form: Form = None) -> np.ndarray:
    """The inverse of `from_torch`."""
    if isinstance(form, Window):
        kernel = kernel.reshape(*form, -1, kernel.shape[-1])
    weight = kernel.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[kernel.ndim])
    if isinstance(form, Flattened):
        h, w, c = form
        weight = weight.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(len(weight), -1)
    return weight


def from_keras(weight: np.ndarray, form: Form = None, depthwise: bool = False) -> np.ndarray:
    """As it is, but depthwise kernels [height, width, C, 1] become [height, width, 1, C]."""
    if depthwise:
        return weight.reshape(*weight.shape[:2], 1, -1)
    return weight.reshape(-1, weight.shape[-1]) if isinstance(form, Window) else weight


def to_keras(kernel: np.ndarray, form: Form = None, depthwise: bool = False) -> np.ndarray:
    """The inverse of `from_keras`."""
    if depthwise:
        return kernel.reshape(*kernel.shape[:2], -1, 1)
    return kernel.reshape(*form, -1, kernel.shape[-1]) if isinstance(form, Window) else kernel


class Names(NamedTuple):
    """How one source names and lays out the weights of one family.

    Attributes:
      layout: "torch", with names "layer1.0.conv1.weight", "keras", with "conv1_conv/kernel", or
        "cnnjax", with our own paths, "conv1/norm/scale".
      name_of: (network) -> (place) -> the source's name of the layer.
      arguments: of the network that is the source's, e.g. its variant.
      forms: (network) -> {place: form} of dense layers with something particular.
      ignored: pattern of the names of arrays that a source has and we have no use for.
      auxiliary: pattern of the names of auxiliary heads' arrays, which a file may lack.
      renamed: (pattern, replacement) that makes older files' names today's.
      pixels: (arrays) -> the scale of pixels, where the source keeps it among its arrays.
      modules: (network) -> {stage: the source's module that gives the same maps}, of stages that
        have one.
    """

    layout: str
    name_of: Callable[[Network], NameOf]
    arguments: Mapping[str, object] = MappingProxyType({})
    forms: Callable[[Network], dict[Place, Form]] = lambda network: {}
    ignored: str = r"\.num_batches_tracked$"
    auxiliary: str | None = None
    renamed: tuple[str, str] | None = None
    pixels: Callable[[Mapping[str, np.ndarray]], Pixels] | None = None
    modules: Callable[[Network], dict[str, str]] = lambda network: {}


class Entry(NamedTuple):
    """An array of a source: the names it may have, and what brings it to our layout and back."""

    names: tuple[str, ...]
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_source: Callable[[np.ndarray], np.ndarray]


def entry_of(names: Names, network: Network) -> Callable[[Place, str], Entry]:
    """(place, leaf) -> where a source has it; see `Names`."""
    name_of, forms = names.name_of(network), names.forms(network)
    return lambda place, leaf: _entry(names.layout, name_of(place), forms, place, leaf)


def _entry(layout: str, name: str, forms: dict, place: Place, leaf: str) -> Entry:
    form = forms.get(place) if leaf == "kernel" else None
    if layout == "torch":
        full = (f"{name}.{TORCH_LEAVES[leaf]}",)
        return Entry(full, lambda a: from_torch(a, form), lambda a: to_torch(a, form))
    if layout == "cnnjax":
        return Entry((f"{name}/{leaf}",), _as_it_is, _as_it_is)
    leaves = KERAS_LEAVES[leaf]
    if leaf == "bias" and "norm" in place[-1]:
        leaves = ("beta",)
    depthwise = leaf == "kernel" and "depthwise" in place
    if leaf == "kernel" and place[-1] in ("depthwise", "pointwise"):  # SeparableConv2D has both
        leaves = (f"{place[-1]}_kernel", "kernel")
    elif depthwise:
        leaves = ("depthwise_kernel", "kernel")
    return Entry(
        tuple(f"{name}/{leaf}" for leaf in leaves),
        lambda a: from_keras(a, form, depthwise),
        lambda a: to_keras(a, form, depthwise),
    )


def _as_it_is(array: np.ndarray) -> np.ndarray:
    return array


OURS = Names("cnnjax", lambda network: "/".join, ignored=r"$^")
"""Our own files: every array under its path."""
