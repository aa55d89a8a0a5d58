"""Two-dimensional convolution."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError
from cnnjax.layers import convolution_cpu
from cnnjax.layers.windows import Padding, Pads, pair, resolve_padding


def conv2d(
    images: jax.Array,
    kernels: jax.Array,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
) -> jax.Array:
    """Cross-correlation: y[n, i, j, o] = sum_{u,v,c} x[n, i s + u, j s + v, c] w[u, v, c, o].

    images [N, H, W, C], kernels [kh, kw, C, O] of the same dtype -> [N, H', W', O] with
    H' = output_size(H, kh, stride, padding). On the CPU the same sums are spelled so that XLA
    computes them fast (`convolution_cpu`); elsewhere this is `lax.conv_general_dilated`.
    Reverse-mode derivatives of any order; forward mode (`jax.jvp`) is not defined.

    Args:
      images: the batch.
      kernels: the filters, not flipped.
      stride: s, one for both directions or (down, right).
      padding: zeros around the images, see `Padding`.

    Raises:
      CnnjaxError: ranks, channels or dtypes that do not match, a stride below 1, a padding below
        0, a kernel larger than the padded images.

    >>> image = jnp.arange(9.0).reshape(1, 3, 3, 1)
    >>> conv2d(image, jnp.ones((2, 2, 1, 1)))[0, :, :, 0].tolist()
    [[8.0, 12.0], [20.0, 24.0]]
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
    if images.dtype != kernels.dtype or not jnp.issubdtype(images.dtype, jnp.floating):
        raise CnnjaxError(
            f"images are {images.dtype} and kernels {kernels.dtype}; conv2d takes one floating "
            "dtype for both, convert with .astype"
        )
    strides = pair(stride, "stride")
    pads = resolve_padding(padding, images.shape[1:3], kernels.shape[:2], strides)
    return _convolve(images, kernels, strides, pads)


def _stock(
    images: jax.Array, kernels: jax.Array, strides: tuple[int, int], pads: Pads
) -> jax.Array:
    return lax.conv_general_dilated(
        images, kernels, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(
    images: jax.Array, kernels: jax.Array, strides: tuple[int, int], pads: Pads
) -> jax.Array:
    return lax.platform_dependent(
        images,
        kernels,
        cpu=partial(convolution_cpu.convolve, strides=strides, pads=pads),
        default=partial(_stock, strides=strides, pads=pads),
    )


def _forward(
    images: jax.Array, kernels: jax.Array, strides: tuple[int, int], pads: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(images, kernels, strides, pads), (images, kernels)


def _backward(
    strides: tuple[int, int], pads: Pads, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernels = residuals
    stock = partial(_stock, strides=strides, pads=pads)
    dx = lax.platform_dependent(
        dy,
        kernels,
        cpu=partial(
            convolution_cpu.image_gradient, size=images.shape[1:3], strides=strides, pads=pads
        ),
        default=lambda dy, w: jax.linear_transpose(lambda x: stock(x, w), images)(dy)[0],
    )
    dw = lax.platform_dependent(
        images,
        dy,
        cpu=partial(
            convolution_cpu.kernel_gradient, window=kernels.shape[:2], strides=strides, pads=pads
        ),
        default=lambda x, dy: jax.linear_transpose(lambda w: stock(x, w), kernels)(dy)[0],
    )
    return dx, dw


_convolve.defvjp(_forward, _backward)
