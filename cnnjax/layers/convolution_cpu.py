"""How a convolution and the gradient of its images are computed on the CPU.

XLA hands a convolution to its fast library, YNNPACK, only in one spelling (NHWC images, HWIO
kernels, images not dilated, no more outputs than inputs, more than 16 channels on one side), and
that library divides the work among threads only along the width of the images. Both are facts of
jaxlib 0.10; with another version what follows may be slower, but never wrong. So here

  * where a kernel has one pixel, the convolution and its gradients are one matrix product each;
  * any other is written in that spelling, inside loops as well as outside;
  * of images with few channels two or four neighbouring columns are one, with as many times the
    channels and the outputs;
  * where it pays, the images of a batch are laid side by side into one wide image, pixel by
    pixel, and the kernel is dilated by the number of images: nothing is computed in vain;
  * the gradients are made for a few images at a time, so that what they hold stays in the cache;
  * the gradient of the kernels has a file of its own, `kernel_gradient_cpu`.

`python scripts/benchmark.py` measures what it gives.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers.windows import Pads

Sums = TypeVar("Sums", jax.Array, list[jax.Array])

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

# A wide image costs a copy of what goes in and of what comes out. It pays where each copied number
# takes part in at least this many multiply-adds.
MULTIPLY_ADDS_PER_COPY = 48

# With fewer channels on both sides than this, XLA's library leaves a convolution to slower code.
LIBRARY_CHANNELS = 17

# The numbers that the library computes at a time.
VECTOR = 16

# Up to this many channels of the images, and wherever windows lie apart, the gradient of the images
# is made window by window.
FEW_CHANNELS = 8

# Pixels of the gradient that are taken at a time.
PIXELS_AT_A_TIME = 8192


def convolve(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """[N, H, W, C], [kh, kw, C, O] -> [N, H', W', O]."""
    if pointwise(kernels.shape[:2], pads):
        return _product(images[:, :: strides[0], :: strides[1]], kernels[0, 0])
    kh, kw, c, o = kernels.shape
    if strides == dilation == (1, 1) and c <= 4 and o < LIBRARY_CHANNELS <= 4 * o:
        return _columns_together(images, kernels, pads, 2 if 2 * o >= LIBRARY_CHANNELS else 4)
    width = _outputs_computed(c, o)
    kernels = jnp.pad(kernels, ((0, 0), (0, 0), (0, 0), (0, width - o)))
    work = kh * kw * c * width / (c + width)
    in_library = max(c, width) >= LIBRARY_CHANNELS
    if strides == (1, 1) and in_library and work >= MULTIPLY_ADDS_PER_COPY:
        return _side_by_side(images, kernels, pads, dilation)[..., :o]
    return canonical(images, kernels, strides, pads, dilation)[..., :o]


def _columns_together(images: jax.Array, kernels: jax.Array, pads: Pads, m: int) -> jax.Array:
    """m neighbouring columns are one, with m times the channels and the outputs. Kernel j of the m
    begins j columns further right, and is zero where the others reach further than it."""
    n, height, width, c = images.shape
    kh, kw, _, o = kernels.shape
    across = -(-(m + kw - 1) // m)  # of the columns of columns
    outputs = width + sum(pads[1]) - kw + 1
    right = (-(-outputs // m) + across - 1) * m - pads[1][0] - width
    images = jnp.pad(images, ((0, 0), (0, 0), (pads[1][0], right), (0, 0)))
    spare = across * m - kw
    shifted = [jnp.pad(kernels, ((0, 0), (j, spare - j), (0, 0), (0, 0))) for j in range(m)]
    wide = jnp.stack(shifted, 3).reshape(kh, across, m * c, m * o)
    together = images.reshape(n, height, -1, m * c)
    y = convolve(together, wide, (1, 1), (pads[0], (0, 0)), (1, 1))
    return y.reshape(n, y.shape[1], -1, o)[:, :, :outputs]


def _outputs_computed(c: int, o: int) -> int:
    """Of a convolution of c channels with o outputs. Some are computed in vain where that is
    faster: with few channels, and where the library would not fill its vectors."""
    if c <= 4:
        return max(o, LIBRARY_CHANNELS)
    return VECTOR if c >= LIBRARY_CHANNELS and VECTOR // 2 < o < VECTOR else o


def pointwise(window: tuple[int, int], pads: Pads) -> bool:
    """Whether a convolution is one matrix product: nothing of neighbouring pixels meets."""
    return window == (1, 1) and not any(map(any, pads))


def rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """[N, H, W, C] [C, O] -> [N, H, W, O]."""
    y = jnp.matmul(rows(x), matrix, preferred_element_type=of_sums(x))
    return y.astype(x.dtype).reshape(*x.shape[:3], -1)


def _side_by_side(
    images: jax.Array, kernels: jax.Array, pads: Pads, dilation: tuple[int, int]
) -> jax.Array:
    """Column j of image i is column j n + i of one wide image."""
    n, height, width, c = images.shape
    wide = images.transpose(1, 2, 0, 3).reshape(1, height, width * n, c)
    apart = (dilation[0], dilation[1] * n)
    y = canonical(wide, kernels, pads=widened(pads, n), dilation=apart)
    return y.reshape(y.shape[1], -1, n, kernels.shape[3]).transpose(2, 0, 1, 3)


def image_gradient(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """dx[n, i, j, c] = sum_{u,v,o} dy[n, (i - u d) / s, (j - v d) / s, o] w[u, v, c, o]."""
    if pointwise(kernels.shape[:2], pads):
        dx = _product(gradient, kernels[0, 0].T)
        apart = [
            (0, n - (m - 1) * s - 1, s - 1)
            for n, m, s in zip(size, gradient.shape[1:3], strides, strict=True)
        ]
        return lax.pad(dx, jnp.zeros((), dx.dtype), ((0, 0, 0), *apart, (0, 0, 0)))
    if kernels.shape[2] <= FEW_CHANNELS or strides != (1, 1):
        return _image_gradient_by_windows(gradient, kernels, size, strides, pads, dilation)
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


def _image_gradient_by_windows(
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


def divisor(n: int, wanted: int, least: int = 4) -> int:
    """The largest from `least` to `wanted` that divides n; otherwise the next larger, or n."""
    enough = [d for d in range(1, n + 1) if n % d == 0 and d >= least] or [n]
    return max((d for d in enough if d <= wanted), default=enough[0])


def over_batches(add: Callable[..., Sums], nothing: Sums, few: int, *arrays: jax.Array) -> Sums:
    """nothing, then `sums = add(sums, *batch)` for each `few` examples of the arrays in turn.

    Each batch is cut out inside the loop. Were the arrays [N / few, few, ...] before it, XLA would
    compute them a second time in that shape.
    """

    def body(sums: Sums, i: jax.Array) -> tuple[Sums, None]:
        return add(sums, *(lax.dynamic_slice_in_dim(x, i * few, few) for x in arrays)), None

    return lax.scan(body, nothing, jnp.arange(len(arrays[0]) // few))[0]


def of_sums(x: jax.Array) -> jnp.dtype:
    """In what many numbers of a dtype are added: float32 at least."""
    return jnp.promote_types(x.dtype, jnp.float32)


def widened(pads: Pads, by: int) -> Pads:
    rows, (left, right) = pads
    return rows, (left * by, right * by)


def canonical(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int] = (1, 1),
    pads: Pads = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    dtype: jnp.dtype | None = None,
) -> jax.Array:
    """The convolution in the spelling that XLA's library takes; `dtype` is that of the result."""
    c = kernels.shape[2]
    if c > 1 and c % 2:  # up to 10 times slower than with one channel of zeros more
        images = jnp.pad(images, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernels = jnp.pad(kernels, ((0, 0), (0, 0), (0, 1), (0, 0)))
    reach = tuple(d * (k - 1) for d, k in zip(dilation, kernels.shape[:2], strict=True))
    if any(sum(p) > r for p, r in zip(pads, reach, strict=True)):  # more outputs than inputs
        images = jnp.pad(images, ((0, 0), *pads, (0, 0)))
        pads = ((0, 0), (0, 0))
    return lax.conv_general_dilated(
        images,
        kernels,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=DIMENSIONS,
        preferred_element_type=dtype,
    )
