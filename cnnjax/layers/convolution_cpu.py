"""How a convolution is computed on the CPU.

XLA hands a convolution to its fast library, YNNPACK, only in one spelling (NHWC images, HWIO
kernels, images not dilated, no more outputs than inputs, more than 16 channels on one side), and
that library divides the work among threads only along the width of the images. Both are facts of
jaxlib 0.10; with another version what follows may be slower, but never wrong. So here

  * where a kernel has one pixel, the convolution and its gradients are one matrix product each;
  * any other is written in that spelling, inside loops as well as outside;
  * of images with few channels the columns that a stride passes over are one, with as many times
    the channels, or those under two or four windows, with as many times the outputs too;
  * where it pays, the images of a batch are laid side by side into one wide image, pixel by
    pixel, and the kernel is dilated by the number of images: nothing is computed in vain;
  * the gradients are made for a few images at a time, so that what they hold stays in the cache
    (`image_gradient_cpu`, `kernel_gradient_cpu`).

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

# Up to so many channels are those of an image, few for what a convolution costs besides its sums.
IMAGE_CHANNELS = 4

# With fewer channels on both sides than this, XLA's library leaves a convolution to slower code.
LIBRARY_CHANNELS = 17

# The numbers that the library computes at a time.
VECTOR = 16

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
        return product(images[:, :: strides[0], :: strides[1]], kernels[0, 0])
    c, o = kernels.shape[2:]
    # With one channel or two it pays only to fill the library's vectors.
    if c <= IMAGE_CHANNELS and dilation == (1, 1) and 4 * o >= LIBRARY_CHANNELS:
        if strides == (1, 1) and o < LIBRARY_CHANNELS:
            return _columns_together(images, kernels, strides, pads, _column_by_column)
        if c > 2:
            return _columns_together(images, kernels, strides, pads, _side_by_side)
    return _column_by_column(images, kernels, strides, pads, dilation)


def _column_by_column(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """The convolution of the columns as they are."""
    kh, kw, c, o = kernels.shape
    width = _outputs_computed(c, o)
    kernels = jnp.pad(kernels, ((0, 0), (0, 0), (0, 0), (0, width - o)))
    work = kh * kw * c * width / (c + width)
    in_library = max(c, width) >= LIBRARY_CHANNELS
    if strides == (1, 1) and in_library and work >= MULTIPLY_ADDS_PER_COPY:
        return _side_by_side(images, kernels, strides, pads, dilation)[..., :o]
    return canonical(images, kernels, strides, pads, dilation)[..., :o]


def _columns_together(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    form: Callable[..., jax.Array],
) -> jax.Array:
    """The columns where m neighbouring windows begin, and those between them, are one with m times
    the outputs. Kernel j of the m begins j windows further right, and is zero where others reach
    further than it."""
    kh, kw, c, o = kernels.shape
    width, stride, left = images.shape[2], strides[1], pads[1][0]
    least = 1 if stride > 1 else 2
    m = next(m for m in (1, 2, 4) if m >= least and m * o >= LIBRARY_CHANNELS)
    columns = m * stride
    across = -(-(columns - stride + kw) // columns)  # of the columns of columns
    outputs = (width + sum(pads[1]) - kw) // stride + 1
    right = (-(-outputs // m) + across - 1) * columns - left - width
    zero = jnp.zeros((), images.dtype)
    images = lax.pad(images, zero, ((0, 0, 0), (0, 0, 0), (left, right, 0), (0, 0, 0)))
    spare = across * columns - kw
    firsts = range(0, columns, stride)
    shifted = [jnp.pad(kernels, ((0, 0), (j, spare - j), (0, 0), (0, 0))) for j in firsts]
    wide = jnp.stack(shifted, 3).reshape(kh, across, columns * c, m * o)
    together = images.reshape(*images.shape[:2], -1, columns * c)
    y = form(together, wide, (strides[0], 1), (pads[0], (0, 0)), (1, 1))
    return y.reshape(*y.shape[:2], -1, o)[:, :, :outputs]


def _outputs_computed(c: int, o: int) -> int:
    """Of a convolution of c channels with o outputs. Some are computed in vain where that is
    faster: with few channels, and where the library would not fill its vectors."""
    if c <= IMAGE_CHANNELS:
        return max(o, LIBRARY_CHANNELS)
    return VECTOR if c >= LIBRARY_CHANNELS and VECTOR // 2 < o < VECTOR else o


def pointwise(window: tuple[int, int], pads: Pads) -> bool:
    """Whether a convolution is one matrix product: nothing of neighbouring pixels meets."""
    return window == (1, 1) and not any(map(any, pads))


def rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """[N, H, W, C] [C, O] -> [N, H, W, O]."""
    y = jnp.matmul(rows(x), matrix, preferred_element_type=of_sums(x))
    return y.astype(x.dtype).reshape(*x.shape[:3], -1)


def _side_by_side(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """Column j of image i is column j n + i of one wide image. Its windows lie 1 column apart."""
    n, height, width, c = images.shape
    wide = images.transpose(1, 2, 0, 3).reshape(1, height, width * n, c)
    apart = (dilation[0], dilation[1] * n)
    y = canonical(wide, kernels, strides, widened(pads, n), apart)
    return y.reshape(y.shape[1], -1, n, kernels.shape[3]).transpose(2, 0, 1, 3)


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
