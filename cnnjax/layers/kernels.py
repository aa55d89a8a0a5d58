"""The kernels of traditional image processing (lectures 1, 2 and 3) and what is made with them.

Kernels are float32 arrays `[k, k]`, met with the image as they stand: `filter2d` and `conv2d`
compute cross-correlations. Coordinates are lecture 3's: x increases to the right, y downwards.

    SOBEL_X     -1 0 1    SOBEL_Y   -1 -2 -1    LAPLACIAN  0  1 0    LOOPY_PATTERN  1  1 1
                -2 0 2               0  0  0               1 -4 1                   1 -1 1 / 9
                -1 0 1               1  2  1               0  1 0                   1  1 1

    SHARPEN      0 -1  0  EDGE      -1 -1 -1    EMBOSS    -2 -1 0
                -1  5 -1            -1  8 -1              -1  1 1
                 0 -1  0            -1 -1 -1               0  1 2

The lectures print the Sobel kernels in two ways. Lecture 2 has SOBEL_X as it is here: by
cross-correlation it gives the derivative of the brightness. Lecture 3 copies G_x = [1 0 -1; ...]
and G_y = [1 2 1; 0 0 0; -1 -2 -1] from a text where * is the flipped convolution, and then
cross-correlates: its edge between 0 above and 255 below comes out as -1020. Its two "edge
detectors" are -SOBEL_X (vertical edges) and -SOBEL_Y (horizontal edges).
"""

import math
from numbers import Integral, Real

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers.convolution import conv2d
from cnnjax.layers.windows import Padding, PadMode, require_images


def _constant(values: ArrayLike) -> np.ndarray:
    kernel = np.array(values, np.float32)
    kernel.setflags(write=False)
    return kernel


# An average down times a difference across (lecture 3: [1 2 1]^T [1 0 -1], with the other sign).
SOBEL_X = _constant(np.outer([1, 2, 1], [-1, 0, 1]))
SOBEL_Y = _constant(SOBEL_X.T)

# The second derivatives, from four neighbours.
LAPLACIAN = _constant([[0, 1, 0], [1, -4, 1], [0, 1, 0]])

# The image minus its Laplacian; the rest as on setosa.io/ev/image-kernels, where lecture 2 links.
SHARPEN = _constant([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
EDGE = _constant([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
EMBOSS = _constant([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])

# Lecture 1: answers 1 where a ring of ones surrounds -1, on images of ones and -1.
LOOPY_PATTERN = _constant(np.array([[1, 1, 1], [1, -1, 1], [1, 1, 1]]) / 9)


def box_kernel(size: int) -> np.ndarray:
    """[size, size] of 1 / size^2: the blur that is a mean.

    Raises CnnjaxError for a size below 1.

    >>> box_kernel(2).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    _check_size(size)
    return _constant(np.full((size, size), 1 / size**2))


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """[size, size] of exp(-(x^2 + y^2) / (2 sigma^2)), divided by their sum: the Gaussian blur.

    (x, y) is measured from the centre in pixels, as is sigma. What lies beyond the kernel is cut
    off: size >= 6 sigma + 1 leaves out less than half a percent.

    Raises CnnjaxError for a size below 1 or a sigma that is not positive and finite.

    >>> [f"{weight:.4f}" for weight in gaussian_kernel(3, 0.85)[1]]  # nearly 2, 4, 2 of 16
    ['0.1250', '0.2497', '0.1250']
    """
    _check_size(size)
    if not isinstance(sigma, Real) or not 0 < sigma < math.inf:
        raise CnnjaxError(f"sigma is {sigma!r}; give a positive number of pixels")
    line = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    line /= line.sum()
    return _constant(np.outer(line, line))


def filter2d(
    images: jax.Array,
    kernel: ArrayLike,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    pad_mode: PadMode = "zero",
) -> jax.Array:
    """One kernel over every channel: y[n, i, j, c] = sum_{u,v} x[n, i s + u, j s + v, c] w[u, v].

    [N, H, W, C], floating -> [N, H', W', C], `stride`, `padding` and `pad_mode` as in `conv2d`.

    Raises CnnjaxError for a kernel that is not [kh, kw], and as `conv2d`.

    Lecture 3's edge, 0 above and 255 below, and its "Sobel horizontal edge detector":

    >>> image = jnp.repeat(jnp.array([0.0, 255.0]), 3)[None, :, None, None] * jnp.ones((1, 1, 6, 1))
    >>> filter2d(image, -SOBEL_Y)[0, :, 0, 0].tolist()
    [0.0, -1020.0, -1020.0, 0.0]
    """
    require_images(images, "filter2d")
    weights = jnp.asarray(kernel, images.dtype)
    if weights.ndim != 2:
        raise CnnjaxError(f"the kernel has shape {weights.shape}; filter2d takes one [kh, kw]")
    channels = images.shape[3]
    each = jnp.broadcast_to(weights[:, :, None, None], (*weights.shape, 1, channels))
    return conv2d(images, each, stride, padding, pad_mode, groups=channels)


def gradient_magnitude(
    images: jax.Array, padding: Padding = 0, pad_mode: PadMode = "zero"
) -> jax.Array:
    """Strength of the edges: G = sqrt(G_x^2 + G_y^2), by the Sobel kernels (lecture 3).

    [N, H, W, C] -> [N, H', W', C], channel by channel; padding=1 with pad_mode="edge" keeps the
    size and makes no edges of its own. Its derivative where G = 0 is 0.
    """
    gx, gy = _gradients(images, padding, pad_mode)
    squares = gx * gx + gy * gy
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))


def gradient_direction(
    images: jax.Array, padding: Padding = 0, pad_mode: PadMode = "zero"
) -> jax.Array:
    """Where it gets brighter: atan2(G_y, G_x), in radians in [-pi, pi] (lecture 3).

    0 is to the right and, as y increases downwards, pi / 2 is down: angles turn clockwise as one
    sees the image. An edge runs at right angles to it. 0, with derivative 0, where nothing
    changes. The slide prints the name of the angle without a formula.

    [N, H, W, C] -> [N, H', W', C], channel by channel.
    """
    gx, gy = _gradients(images, padding, pad_mode)
    flat = (gx == 0) & (gy == 0)
    return jnp.where(flat, 0, jnp.arctan2(gy, jnp.where(flat, 1, gx)))


def min_max_normalise(images: jax.Array, low: float = 0.0, high: float = 255.0) -> jax.Array:
    """(x - min) / (max - min) (high - low) + low, image by image: the slide's "normalization".

    [N, H, W, C], floating, of the same shape; minimum and maximum over an image with all of its
    channels. An image of one value becomes `low`.

    Raises CnnjaxError for another rank or dtype, or low >= high.

    >>> rows = jnp.array([0.0, -1020.0, -1020.0, 0.0]).reshape(1, 4, 1, 1)
    >>> min_max_normalise(rows).ravel().tolist()
    [255.0, 0.0, 0.0, 255.0]
    """
    require_images(images, "min_max_normalise")
    if not low < high:
        raise CnnjaxError(f"low is {low} and high {high}; low must be below high")
    least = images.min((1, 2, 3), keepdims=True)
    span = images.max((1, 2, 3), keepdims=True) - least
    return (images - least) / jnp.where(span > 0, span, 1) * (high - low) + low


def _gradients(
    images: jax.Array, padding: Padding, pad_mode: PadMode
) -> tuple[jax.Array, jax.Array]:
    return tuple(
        filter2d(images, sobel, padding=padding, pad_mode=pad_mode) for sobel in (SOBEL_X, SOBEL_Y)
    )


def _check_size(size: int) -> None:
    if not isinstance(size, Integral) or size < 1:
        raise CnnjaxError(f"size is {size!r}; give an integer of at least 1")
