"""How the gradient of a convolution's kernels is computed on the CPU.

    dw[u, v, c, o] = sum_{n,i,j} x[n, i s + u d, j s + v d, c] dy[n, i, j, o]

Laid out as windows times gradients it is one matrix product whose left side holds every pixel
kh kw times. But the product of the columns of all windows, kw c of them, with the rows of all
windows, kh o of them, has the same numbers in it: x is copied kw times and dy kh times, and each
of the kh kw c o sums is made once. `python scripts/benchmark.py` measures what it gives.
"""

import jax
import jax.numpy as jnp

from cnnjax.layers.convolution_cpu import (
    LIBRARY_CHANNELS,
    canonical,
    images_at_a_time,
    of_sums,
    over_batches,
    pointwise,
    rows,
    widened,
)
from cnnjax.layers.windows import Pads

# With fewer channels of the images, or rows of the gradient, a product costs more than it saves.
LEAST_CHANNELS, LEAST_ROWS = 5, 8

# Pixels of the gradient in one product: from the least on it keeps both cores at work, and up to
# the most what it reads stays in the cache.
LEAST_PIXELS, MOST_PIXELS = 1024, 4096


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
    large = images.shape[3] >= LEAST_CHANNELS and gradient.shape[1] >= LEAST_ROWS
    form = _by_products if large else _by_convolution
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
    _, height, width, o = gradient.shape
    few = _images_in_a_product(gradient)
    by_phase: dict[int, list[int]] = {}
    for u in range(kh):
        by_phase.setdefault(u * dilation[0] % strides[0], []).append(u)

    def columns(x: jax.Array, phase: int, count: int) -> jax.Array:
        """[few, ...] -> [few count width, kw c]: of `count` rows, the pixels under each v."""
        last = phase + (count - 1) * strides[0] + 1
        over = (width - 1) * strides[1] + 1
        starts = [v * dilation[1] for v in range(kw)]
        under = [x[:, phase : last : strides[0], v : v + over : strides[1]] for v in starts]
        return jnp.concatenate(under, 3).reshape(-1, kw * c)

    def product(x: jax.Array, dy: jax.Array, phase: int) -> jax.Array:
        shifts = [u * dilation[0] // strides[0] for u in by_phase[phase]]
        most = max(shifts)
        dy = jnp.pad(dy, ((0, 0), (most, most), (0, 0), (0, 0)))
        count = height + most
        met = [dy[:, most - a : most - a + count] for a in shifts]
        met = jnp.concatenate(met, 3).reshape(-1, len(shifts) * o)
        return jnp.matmul(columns(x, phase, count).T, met, preferred_element_type=dtype)

    def add(totals: list[jax.Array], x: jax.Array, dy: jax.Array) -> list[jax.Array]:
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        return [t + product(x, dy, p) for t, p in zip(totals, by_phase, strict=True)]

    nothing = [jnp.zeros((kw * c, len(us) * o), dtype) for us in by_phase.values()]
    totals = over_batches(add, nothing, few, images, gradient)
    found = {}
    for us, total in zip(by_phase.values(), totals, strict=True):
        found |= dict(zip(us, total.reshape(kw, c, len(us), o).transpose(2, 0, 1, 3), strict=True))
    return jnp.stack([found[u] for u in range(kh)]).astype(gradient.dtype)


def _images_in_a_product(gradient: jax.Array) -> int:
    """A divisor of the number of images that suits the product; all where there is none."""
    n, height, width, _ = gradient.shape
    most = max(1, MOST_PIXELS // (height * width))
    best = max(d for d in range(1, min(n, most) + 1) if n % d == 0)
    return best if best * height * width >= LEAST_PIXELS else n


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
    _, height, width, c = images.shape
    kh, kw = window
    span = (kw - 1) * dilation[1] + 1
    # The images are the channels here: where the outputs are not as many as the library asks for,
    # the images must be. With the few channels of an image it does not pay.
    in_library = gradient.shape[3] >= LIBRARY_CHANNELS or c <= 4
    few = images_at_a_time(gradient, 4 if in_library else 32)
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
