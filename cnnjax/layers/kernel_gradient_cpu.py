"""How the gradient of a convolution's kernels is computed on the CPU.

    dw[u, v, c, o] = sum_{n,i,j} x[n, i s + u d, j s + v d, c] dy[n, i, j, o]

It is a convolution of the images with a kernel as large as dy. Where windows lie apart, or the fast
library does not take it, it is made of matrix products. Laid out as windows times gradients that
were one product whose left side holds every pixel kh kw times. But the product of the columns of
all windows, kw c of them, with the rows of all windows, kh o of them, has the same numbers in it: x
is copied kw times and dy kh times, and each of the kh kw c o sums is made once.
`python scripts/benchmark.py` measures what it gives.
"""

import math

import jax
import jax.numpy as jnp

from cnnjax.layers.convolution_cpu import (
    IMAGE_CHANNELS,
    LIBRARY_CHANNELS,
    PIXELS_AT_A_TIME,
    canonical,
    divisor,
    of_sums,
    over_batches,
    pointwise,
    rows,
    widened,
)
from cnnjax.layers.windows import Pads

# With the channels of an image, or fewer rows of the gradient, a product costs more than it saves.
LEAST_ROWS = 8

# Pixels of the gradient that the library takes at a time.
LIBRARY_PIXELS = 2048

# Pixels of the gradient in one product keep both cores at work from the least on; beyond that, the
# numbers which it reads stay in the cache.
LEAST_PIXELS, MOST_NUMBERS = 1024, 2**19


def kernel_gradient(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """[N, H, W, C], [N, H', W', O] -> [kh, kw, C, O]."""
    if pointwise(window, pads):
        x, dy = rows(images[:, :: strides[0], :: strides[1]]), rows(gradient)
        sums = jnp.matmul(x.T, dy, preferred_element_type=of_sums(gradient))
        return sums[None, None].astype(gradient.dtype)
    c, height, o = images.shape[3], gradient.shape[1], gradient.shape[3]
    few_outputs = o < LIBRARY_CHANNELS and height >= LEAST_ROWS
    apart = strides != (1, 1) or dilation != (1, 1)
    products = c > IMAGE_CHANNELS and (apart or few_outputs)
    form = _by_products if products else _by_convolution
    return form(images, gradient, window, strides, pads, dilation)


def _by_products(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """One product for each row of pixels within a stride: of the windows' rows u that begin there,
    u d = s a + phase, row i of dy meets row i + a of the images."""
    (kh, kw), c, dtype = window, images.shape[3], of_sums(gradient)
    n, height, width, o = gradient.shape
    by_phase: dict[int, list[int]] = {}
    for u in range(kh):
        by_phase.setdefault(u * dilation[0] % strides[0], []).append(u)
    met = max(map(len, by_phase.values()))
    numbers = (height + (kh - 1) * dilation[0] // strides[0]) * width * (kw * c + met * o)
    least = -(-LEAST_PIXELS // (height * width))
    few = divisor(n, max(least, MOST_NUMBERS // numbers), least)

    def columns(x: jax.Array, first: int, count: int) -> jax.Array:
        """[few, ...] -> [few count width, kw c]: of `count` rows, the pixels under each v."""
        lines = slice(first, first + count * strides[0], strides[0])
        over = (width - 1) * strides[1] + 1
        starts = [v * dilation[1] for v in range(kw)]
        under = [x[:, lines, v : v + over : strides[1]] for v in starts]
        return jnp.concatenate(under, 3).reshape(-1, kw * c)

    def product(x: jax.Array, dy: jax.Array, phase: int) -> jax.Array:
        shifts = [u * dilation[0] // strides[0] for u in by_phase[phase]]
        # Row i of dy and the window's row a lie over row s k + phase - top of the images, where
        # k = i + a. Rows of the padding meet nothing, so only dy is padded.
        offset, least, most = pads[0][0] - phase, min(shifts), max(shifts)
        first = max(0, -(-offset // strides[0]))
        last = min((x.shape[1] - 1 + offset) // strides[0], height - 1 + most)
        before, after = max(0, most - first), max(0, last - least - height + 1)
        dy = jnp.pad(dy, ((0, 0), (before, after), (0, 0), (0, 0)))
        met = [dy[:, before + first - a : before + last + 1 - a] for a in shifts]
        met = jnp.concatenate(met, 3).reshape(-1, len(shifts) * o)
        under = columns(x, first * strides[0] - offset, last + 1 - first)
        return jnp.matmul(under.T, met, preferred_element_type=dtype)

    def add(totals: list[jax.Array], x: jax.Array, dy: jax.Array) -> list[jax.Array]:
        x = jnp.pad(x, ((0, 0), (0, 0), pads[1], (0, 0)))
        return [t + product(x, dy, p) for t, p in zip(totals, by_phase, strict=True)]

    nothing = [jnp.zeros((kw * c, len(us) * o), dtype) for us in by_phase.values()]
    totals = over_batches(add, nothing, few, images, gradient)
    found = {}
    for us, total in zip(by_phase.values(), totals, strict=True):
        found |= dict(zip(us, total.reshape(kw, c, len(us), o).transpose(2, 0, 1, 3), strict=True))
    return jnp.stack([found[u] for u in range(kh)]).astype(gradient.dtype)


def _by_convolution(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """A convolution too, of one image whose channels are the batch with a kernel as large as the
    gradient. The image's columns and channels share the axis along which threads divide the work;
    so of a dilated kernel the columns in between are computed too, and left out."""
    n, height, width, c = images.shape
    kh, kw = window
    span = (kw - 1) * dilation[1] + 1
    # The images are the channels here: where the outputs are not as many as the library asks for,
    # the images must be. With the few channels of an image it does not pay.
    pixels = math.prod(gradient.shape[1:3])
    if c > IMAGE_CHANNELS and gradient.shape[3] >= LIBRARY_CHANNELS:
        few = divisor(n, max(4, LIBRARY_PIXELS // pixels))
    else:
        few = divisor(n, max(32 if c > IMAGE_CHANNELS else 4, PIXELS_AT_A_TIME // pixels))
    dtype = of_sums(gradient)

    def add(total: jax.Array, x: jax.Array, dy: jax.Array) -> jax.Array:
        image = x.reshape(few, -1).T.reshape(1, height, width * c, few)
        kernel = dy.transpose(1, 2, 0, 3)
        apart = (strides[0], strides[1] * c)
        y = canonical(image, kernel, (dilation[0], 1), widened(pads, c), apart, dtype)
        # What lies beyond belongs to rows and columns of the images that no window reaches.
        return total + y[0, :kh, : span * c]

    nothing = jnp.zeros((kh, span * c, gradient.shape[3]), dtype)
    total = over_batches(add, nothing, few, images, gradient)
    return total.reshape(kh, span, c, -1)[:, :: dilation[1]].astype(gradient.dtype)
