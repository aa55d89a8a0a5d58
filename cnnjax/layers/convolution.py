"""Two-dimensional convolution."""

from functools import partial
from numbers import Integral
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError
from cnnjax.layers import grouped_convolution_cpu as on_cpu
from cnnjax.layers.windows import Padding, PadMode, Pads, dilated, pad_edge, pair, resolve_padding


def conv2d(
    images: jax.Array,
    kernels: jax.Array,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    pad_mode: PadMode = "zero",
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Cross-correlation: y[n, i, j, o] = sum_{u,v,c} x[n, i s + u d, j s + v d, c] w[u, v, c, o].

    images [N, H, W, C], kernels [kh, kw, C / groups, O] of the same dtype -> [N, H', W', O] with
    H' = output_size(H, (kh - 1) d + 1, stride, padding). With groups, output o of the O / groups
    of a group sees the C / groups channels of its group only (Krizhevsky et al. 2012; Xie et al.
    2017); groups = C is the depthwise convolution (Chollet 2017).

    The lectures' "convolution" is this one: the kernel is not flipped. On the CPU the same sums
    are spelled so that XLA computes them fast (`grouped_convolution_cpu`); elsewhere this is
    `lax.conv_general_dilated`. Reverse-mode derivatives of any order; forward mode (`jax.jvp`) is
    not defined.

    Args:
      images: the batch.
      kernels: the filters, not flipped.
      stride: s, one for both directions or (down, right).
      padding: around the images, see `Padding`; `same_padding(k)` is lecture 2's.
      pad_mode: "zero", or "edge": the padding repeats the pixels of the edge.
      dilation: d, the step between the weights of a kernel, one or (down, right).
      groups: parts into which the channels fall.

    Raises:
      CnnjaxError: ranks, channels or dtypes that do not match, a stride, dilation or number of
        groups below 1, a padding below 0, an unknown pad mode, a kernel larger than the padded
        images.

    Lecture 2's first example:

    >>> image = jnp.array([[3.0, 2, 1], [1, 2, 3], [1, 1, 1]]).reshape(1, 3, 3, 1)
    >>> kernel = jnp.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(3, 3, 1, 1)
    >>> conv2d(image, kernel).item()
    2.0
    """
    _check(images, kernels, groups)
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    pads = resolve_padding(
        padding, images.shape[1:3], dilated(kernels.shape[:2], dilations), strides
    )
    if pad_mode == "edge":
        images, pads = pad_edge(images, pads), ((0, 0), (0, 0))
    elif pad_mode != "zero":
        raise CnnjaxError(f'pad_mode is {pad_mode!r}; the modes are "zero" and "edge"')
    return _convolve(images, kernels, Geometry(strides, pads, dilations, groups))


def _check(images: jax.Array, kernels: jax.Array, groups: int) -> None:
    if images.ndim != 4 or kernels.ndim != 4:
        raise CnnjaxError(
            f"images have shape {images.shape} and kernels {kernels.shape}; conv2d takes images "
            "[N, H, W, C] and kernels [kh, kw, C, O], with groups [kh, kw, C / groups, O]"
        )
    if not isinstance(groups, Integral) or groups < 1:
        raise CnnjaxError(f"groups is {groups!r}; give an integer of at least 1")
    if images.shape[3] != kernels.shape[2] * groups:
        raise CnnjaxError(
            f"images have {images.shape[3]} channels and kernels take {kernels.shape[2]}; "
            f"with groups={groups} the third axis of the kernels must be the last axis of the "
            f"images divided by {groups}"
        )
    if kernels.shape[3] % groups:
        raise CnnjaxError(
            f"kernels give {kernels.shape[3]} channels in {groups} groups; the last axis of the "
            "kernels must be a multiple of groups"
        )
    if images.dtype != kernels.dtype or not jnp.issubdtype(images.dtype, jnp.floating):
        raise CnnjaxError(
            f"images are {images.dtype} and kernels {kernels.dtype}; conv2d takes one floating "
            "dtype for both, convert with .astype"
        )


class Geometry(NamedTuple):
    """What of a convolution is no array."""

    strides: tuple[int, int]
    pads: Pads
    dilation: tuple[int, int]
    groups: int


def _stock(images: jax.Array, kernels: jax.Array, geometry: Geometry) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernels,
        geometry.strides,
        geometry.pads,
        rhs_dilation=geometry.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=geometry.groups,
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: jax.Array, kernels: jax.Array, geometry: Geometry) -> jax.Array:
    return lax.platform_dependent(
        images,
        kernels,
        cpu=partial(on_cpu.convolve, **geometry._asdict()),
        default=partial(_stock, geometry=geometry),
    )


def _forward(
    images: jax.Array, kernels: jax.Array, geometry: Geometry
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(images, kernels, geometry), (images, kernels)


def _backward(
    geometry: Geometry, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernels = residuals
    stock, rule = partial(_stock, geometry=geometry), geometry._asdict()
    dx = lax.platform_dependent(
        dy,
        kernels,
        cpu=partial(on_cpu.image_gradient, size=images.shape[1:3], **rule),
        default=lambda dy, w: jax.linear_transpose(lambda x: stock(x, w), images)(dy)[0],
    )
    dw = lax.platform_dependent(
        images,
        dy,
        cpu=partial(on_cpu.kernel_gradient, window=kernels.shape[:2], **rule),
        default=lambda x, dy: jax.linear_transpose(lambda w: stock(x, w), kernels)(dy)[0],
    )
    return dx, dw


_convolve.defvjp(_forward, _backward)
