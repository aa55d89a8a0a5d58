"""How a convolution and its two gradients are computed on the CPU.

XLA hands a convolution to its fast library only in one spelling (NHWC images, HWIO kernels, no
dilation of the images, no more outputs than inputs, more than 16 channels on one side), and that
library divides the work among threads only along the width of the images. Both are facts of
jaxlib 0.10; other versions may be slower with what follows, never wrong. So here

  * each of the three convolutions is written in that spelling, inside loops as well as outside;
  * where it pays, the images of a batch are laid side by side into one wide image, pixel by
    pixel, and the kernel is dilated by the number of images: nothing is computed in vain.

docs/benchmarks.md has what it gives.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers.windows import Pads

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

# A wide image costs a copy of what goes in and of what comes out. It pays where each copied number
# takes part in at least this many multiply-adds (measured break-even: 80 to 190).
MULTIPLY_ADDS_PER_COPY = 128

# Up to this many channels of the images, the gradients are products with the matrix of all
# windows, made for a few images at a time so that it stays small.
FEW_CHANNELS = 8
IMAGES_AT_A_TIME = 16


def convolve(
    images: jax.Array, kernels: jax.Array, strides: tuple[int, int], pads: Pads
) -> jax.Array:
    """[N, H, W, C], [kh, kw, C, O] -> [N, H', W', O]."""
    kh, kw, c, o = kernels.shape
    if strides != (1, 1) or kh * kw * c * o < MULTIPLY_ADDS_PER_COPY * (c + o):
        return _canonical(images, kernels, strides, pads)
    n, height, width, _ = images.shape
    # Column j of image i is column j n + i of the wide image.
    wide = images.transpose(1, 2, 0, 3).reshape(1, height, width * n, c)
    y = _canonical(wide, kernels, pads=_widened(pads, n), dilation=(1, n))
    return y.reshape(y.shape[1], -1, n, o).transpose(2, 0, 1, 3)


def image_gradient(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """dx[n, i, j, c] = sum_{u,v,o} dy[n, (i - u) / s, (j - v) / s, o] w[u, v, c, o]."""
    by_windows = kernels.shape[2] <= FEW_CHANNELS or strides != (1, 1)
    rule = _image_gradient_by_windows if by_windows else _image_gradient_by_convolution
    return rule(gradient, kernels, size, strides, pads)


def _image_gradient_by_convolution(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """The gradient's pixels, set `strides` apart, with the kernel turned by 180 degrees."""
    spread, outside = [], []
    lengths = zip(size, gradient.shape[1:3], kernels.shape[:2], strides, pads, strict=True)
    for n, m, k, s, (low, _) in lengths:
        before, after = k - 1 - low, n + low - 1 - (m - 1) * s
        spread.append((min(before, 0), min(after, 0), s - 1))
        outside.append((max(before, 0), max(after, 0)))
    zero = jnp.zeros((), gradient.dtype)
    gradient = lax.pad(gradient, zero, ((0, 0, 0), *spread, (0, 0, 0)))
    turned = kernels[::-1, ::-1].transpose(0, 1, 3, 2)
    return convolve(gradient, turned, (1, 1), tuple(outside))


def _image_gradient_by_windows(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """The gradient of every window by itself, then all of them added where they lie."""
    n, height, width, o = gradient.shape
    kh, kw, c, _ = kernels.shape
    few = math.gcd(n, IMAGES_AT_A_TIME)
    weights = kernels.reshape(-1, o).T
    dtype = _of_sums(gradient)

    def fold(dy: jax.Array) -> jax.Array:
        windows = jnp.matmul(dy.reshape(-1, o), weights, preferred_element_type=dtype)
        windows = windows.reshape(few, height, width, kh, kw, c)
        zero = jnp.zeros((), dtype)
        total = jnp.zeros((few, *size, c), dtype)
        for u in range(kh):
            for v in range(kw):
                places = [
                    (w - low, length + low - w - (m - 1) * s - 1, s - 1)
                    for w, length, m, s, (low, _) in zip(
                        (u, v), size, (height, width), strides, pads, strict=True
                    )
                ]
                total += lax.pad(windows[:, :, :, u, v], zero, ((0, 0, 0), *places, (0, 0, 0)))
        return total.astype(gradient.dtype)

    batches = gradient.reshape(n // few, few, height, width, o)
    return lax.map(fold, batches).reshape(n, *size, c)


def kernel_gradient(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """dw[u, v, c, o] = sum_{n,i,j} x[n, i s + u, j s + v, c] dy[n, i, j, o]."""
    by_windows = images.shape[3] <= FEW_CHANNELS or strides != (1, 1)
    rule = _kernel_gradient_by_windows if by_windows else _kernel_gradient_by_convolution
    return rule(images, gradient, window, strides, pads)


def _kernel_gradient_by_convolution(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """One image whose channels are the batch, one kernel as large as the gradient. The image's
    columns and channels share the axis along which threads divide the work."""
    n, height, width, c = images.shape
    image = images.reshape(n, -1).T.reshape(1, height, width * c, n)
    kernel = gradient.transpose(1, 2, 0, 3)
    y = _canonical(image, kernel, pads=_widened(pads, c), dilation=(strides[0], strides[1] * c))
    kh, kw = window
    # What lies beyond belongs to rows and columns of the images that no window reaches.
    return y[0, :kh, : kw * c].reshape(kh, kw, c, -1)


def _kernel_gradient_by_windows(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """A row for every weight of the window, a column for every position, times the gradient."""
    padded = jnp.pad(images, ((0, 0), *pads, (0, 0)))
    n, _, _, c = padded.shape
    _, height, width, o = gradient.shape
    kh, kw = window
    few = math.gcd(n, IMAGES_AT_A_TIME)
    dtype = _of_sums(gradient)
    down, right = (s * (m - 1) + 1 for s, m in zip(strides, (height, width), strict=True))

    def add(total: jax.Array, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, dy = batch
        rows = [
            x[:, :, u : u + down : strides[0], v : v + right : strides[1]]
            for u in range(kh)
            for v in range(kw)
        ]
        windows = jnp.stack(rows).reshape(kh * kw * c, -1)
        return total + jnp.matmul(windows, dy.reshape(-1, o), preferred_element_type=dtype), None

    planes = padded.transpose(0, 3, 1, 2).reshape(n // few, few, c, *padded.shape[1:3])
    planes = planes.swapaxes(1, 2)
    batches = (planes, gradient.reshape(n // few, few, height, width, o))
    total, _ = lax.scan(add, jnp.zeros((kh * kw * c, o), dtype), batches)
    return total.reshape(kh, kw, c, o).astype(gradient.dtype)


def _of_sums(x: jax.Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


def _widened(pads: Pads, by: int) -> Pads:
    rows, (left, right) = pads
    return rows, (left * by, right * by)


def _canonical(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int] = (1, 1),
    pads: Pads = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    """The convolution in the spelling that XLA's fast library takes."""
    *_, c, o = kernels.shape
    if c > 1 and c % 2:  # 5 to 10 times slower than one channel of zeros more
        images = jnp.pad(images, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernels = jnp.pad(kernels, ((0, 0), (0, 0), (0, 1), (0, 0)))
    if c <= 4:  # at most 16 channels on both sides are left to slower code
        kernels = jnp.pad(kernels, ((0, 0), (0, 0), (0, 0), (0, max(0, 17 - o))))
    reach = tuple(d * (k - 1) for d, k in zip(dilation, kernels.shape[:2], strict=True))
    if any(sum(p) > r for p, r in zip(pads, reach, strict=True)):  # more outputs than inputs
        images = jnp.pad(images, ((0, 0), *pads, (0, 0)))
        pads = ((0, 0), (0, 0))
    y = lax.conv_general_dilated(
        images, kernels, strides, pads, rhs_dilation=dilation, dimension_numbers=DIMENSIONS
    )
    return y[..., :o]
