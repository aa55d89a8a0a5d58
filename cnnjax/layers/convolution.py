"""Two-dimensional convolution."""

import jax
from jax import lax

from cnnjax.errors import CnnjaxError
from cnnjax.layers.windows import Padding, pair, resolve_padding

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    images: jax.Array,
    kernels: jax.Array,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
) -> jax.Array:
    """Cross-correlation: y[n, i, j, o] = sum_{u,v,c} x[n, i s + u, j s + v, c] w[u, v, c, o].

    images [N, H, W, C], kernels [kh, kw, C, O] -> [N, H', W', O] with
    H' = output_size(H, kh, stride, padding).

    Raises CnnjaxError where ranks, channels or dtypes do not match or the window does not fit.
    """
    if images.ndim != 4 or kernels.ndim != 4:
        raise CnnjaxError(
            f"images have shape {images.shape} and kernels {kernels.shape}; conv2d takes images "
            "[N, H, W, C] and kernels [kh, kw, C, O]"
        )
    if images.shape[3] != kernels.shape[2]:
        raise CnnjaxError(
            f"images have {images.shape[3]} channels and kernels take {kernels.shape[2]}; "
            "the third axis of the kernels must equal the last axis of the images"
        )
    if images.dtype != kernels.dtype:
        raise CnnjaxError(
            f"images are {images.dtype} and kernels {kernels.dtype}; convert one of them first"
        )
    strides = pair(stride, "stride")
    pads = resolve_padding(padding, images.shape[1:3], kernels.shape[:2], strides)
    return lax.conv_general_dilated(images, kernels, strides, pads, dimension_numbers=DIMENSIONS)
