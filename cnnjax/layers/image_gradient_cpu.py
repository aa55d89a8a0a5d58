"""How the gradient of a convolution's images is computed on the CPU.

    dx[n, i, j, c] = sum_{u,v,o} dy[n, (i - u d) / s, (j - v d) / s, o] w[u, v, c, o]

It is a convolution of dy with the kernels turned by 180 degrees; where windows lie apart, or of few
channels, the gradients of the windows are added up where they lie. `python scripts/benchmark.py`
measures what it gives.
"""

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers.convolution_cpu import (
    PIXELS_AT_A_TIME,
    convolve,
    divisor,
    of_sums,
    pointwise,
    product,
)
from cnnjax.layers.windows import Pads

# Up to this many channels of the images, and wherever windows lie apart, the gradient of the images
# is made window by window.
FEW_CHANNELS = 8


def image_gradient(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """[N, H', W', O], [kh, kw, C, O] -> [N, H, W, C], whose H and W are `size`."""
    if pointwise(kernels.shape[:2], pads):
        dx = product(gradient, kernels[0, 0].T)
        apart = [
            (0, n - (m - 1) * s - 1, s - 1)
            for n, m, s in zip(size, gradient.shape[1:3], strides, strict=True)
        ]
        return lax.pad(dx, jnp.zeros((), dx.dtype), ((0, 0, 0), *apart, (0, 0, 0)))
    if kernels.shape[2] <= FEW_CHANNELS or strides != (1, 1):
        return _by_windows(gradient, kernels, size, strides, pads, dilation)
    # The convolution of the gradient with the kernels turned by 180 degrees. It is padded until
    # every pixel of the images has met every weight; the pixels of the padding get nothing.
    crops, outside = [], []
    for n, m, k, d, (low, _) in zip(
        size, gradient.shape[1:3], kernels.shape[:2], dilation, pads, strict=True
    ):
        before, after = (k - 1) * d - low, n + low - m
        crops.append((min(before, 0), min(after, 0), 0))
        outside.append((max(before, 0), max(after, 0)))
    zero = jnp.zeros((), gradient.dtype)
    gradient = lax.pad(gradient, zero, ((0, 0, 0), *crops, (0, 0, 0)))
    turned = kernels[::-1, ::-1].transpose(0, 1, 3, 2)
    return convolve(gradient, turned, (1, 1), tuple(outside), dilation)


def _by_windows(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """The gradient of every window by itself, then all of them added where they lie."""
    n, height, width, o = gradient.shape
    kh, kw, c, _ = kernels.shape
    few = divisor(n, max(4, PIXELS_AT_A_TIME // (height * width)))
    dtype = of_sums(gradient)
    weights = kernels.reshape(-1, o).T

    def fold(dy: jax.Array) -> jax.Array:
        windows = jnp.matmul(dy.reshape(-1, o), weights, preferred_element_type=dtype)
        windows = windows.reshape(few, height, width, kh, kw, c)
        zero = jnp.zeros((), dtype)
        total = jnp.zeros((few, *size, c), dtype)
        for u in range(kh):
            for v in range(kw):
                places = [
                    (w * d - low, length + low - w * d - (m - 1) * s - 1, s - 1)
                    for w, length, m, s, d, (low, _) in zip(
                        (u, v), size, (height, width), strides, dilation, pads, strict=True
                    )
                ]
                total += lax.pad(windows[:, :, :, u, v], zero, ((0, 0, 0), *places, (0, 0, 0)))
        return total.astype(gradient.dtype)

    batches = gradient.reshape(-1, few, *gradient.shape[1:])
    folded = lax.map(fold, batches).reshape(-1, *size, c)
    # Without the barrier XLA may add the windows up again in everything that reads their sum.
    return lax.optimization_barrier(folded)
