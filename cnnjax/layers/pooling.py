"""Pooling by p-norms, and by any function of regions that do not overlap."""

import math
from collections.abc import Callable
from functools import partial
from numbers import Real

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError
from cnnjax.layers.windows import Padding, pair, require_images, resolve_padding, shifts


def lp_pool(
    x: jax.Array,
    p: float,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: Padding = 0,
) -> jax.Array:
    """p-norm over windows: y = (sum_k |x_k|^p)^(1/p), for each channel.

    x [N, H, W, C], floating -> [N, H', W', C] with H' = output_size(H, window, stride, padding);
    padded pixels are 0 and add nothing. The derivative is

        dy / dx_i = sign(x_i) |x_i|^(p-1) (sum_k |x_k|^p)^(1/p-1) = sign(x_i) (|x_i| / y)^(p-1),

    and 0 where a window holds zeros only. Lecture 3 prints it without sign(x_i), which is right
    for x_i >= 0 only. Numbers are scaled by the largest of their window, so that no power
    overflows; sums are float32 at least.

    Args:
      x: the batch.
      p: 1 gives the sum of absolute values; as p grows, y becomes the largest of them.
      window: of one size or (height, width).
      stride: one for both directions or (down, right).
      padding: see `Padding`.

    Raises:
      CnnjaxError: another rank or dtype, a p that is not a finite number of at least 1, a window
        that does not fit.

    >>> x = jnp.array([3.0, -4.0]).reshape(1, 1, 2, 1)
    >>> lp_pool(x, 2, window=(1, 2), stride=1).item()
    5.0
    >>> jax.grad(lambda x: lp_pool(x, 2, (1, 2), 1).sum())(x).round(3).ravel().tolist()
    [0.6000000238418579, -0.800000011920929]
    """
    require_images(x, "lp_pool")
    if not isinstance(p, Real) or not 1 <= p < math.inf:
        raise CnnjaxError(
            f"p is {p!r}; give a finite number of at least 1 (for infinity, max_pool of |x|)"
        )
    windows, strides = pair(window, "window"), pair(stride, "stride")
    pads = resolve_padding(padding, x.shape[1:3], windows, strides)
    wide = jnp.pad(x, ((0, 0), *pads, (0, 0))).astype(jnp.promote_types(x.dtype, jnp.float32))
    rows = shifts(wide, windows[0], strides[0], axis=1)
    pixels = [one for row in rows for one in shifts(row, windows[1], strides[1], axis=2)]
    return _norm(jnp.stack(pixels), float(p)).astype(x.dtype)


def subsample(
    x: jax.Array, g: Callable[[jax.Array], jax.Array], m: int | tuple[int, int]
) -> jax.Array:
    """Lecture 3's pooling by any g: y_n = g(x_{(n-1)m+1 : nm}), on regions that do not overlap.

    [N, H, W, C] -> [N, H // h, W // w, C] with (h, w) = m; rows and columns left over are not
    used. `max_pool`, `avg_pool` and `lp_pool` with window = stride = m are this with a maximum,
    mean or norm for g, and faster.

    Args:
      x: the batch.
      g: from the pixels of a region, [..., h w] in reading order, to [...].
      m: the region.

    Raises:
      CnnjaxError: another rank or dtype, a region that does not fit.

    >>> x = jnp.array([1.0, 2.0, 5.0, 3.0]).reshape(1, 1, 4, 1)
    >>> subsample(x, partial(jnp.median, axis=-1), (1, 2)).ravel().tolist()
    [1.5, 4.0]
    """
    require_images(x, "subsample")
    h, w = pair(m, "m")
    resolve_padding(0, x.shape[1:3], (h, w), (h, w))
    n, height, width, c = len(x), x.shape[1] // h, x.shape[2] // w, x.shape[3]
    regions = x[:, : height * h, : width * w].reshape(n, height, h, width, w, c)
    return g(regions.transpose(0, 1, 3, 5, 2, 4).reshape(n, height, width, c, h * w))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _norm(pixels: jax.Array, p: float) -> jax.Array:
    """The p-norm along the first axis."""
    sizes = jnp.abs(pixels)
    largest = sizes.max(0)
    scale = jnp.where(largest > 0, largest, 1)
    return scale * jnp.sum((sizes / scale) ** p, 0) ** (1 / p)


@_norm.defjvp
def _norm_jvp(
    p: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (pixels,), (tangent,) = primals, tangents
    y = _norm(pixels, p)
    ratio = pixels / jnp.where(y > 0, y, 1)
    return y, jnp.sum(jnp.sign(pixels) * jnp.abs(ratio) ** (p - 1) * tangent, 0)
