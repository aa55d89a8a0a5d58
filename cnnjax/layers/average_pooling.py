"""Average pooling."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax.errors import CnnjaxError
from cnnjax.layers.windows import Padding, Pads, pair, require_images, resolve_padding, shifts


def avg_pool(
    x: jax.Array,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: Padding = 0,
    *,
    count_padding: bool | None = None,
) -> jax.Array:
    """Mean over windows: y[n, i, j, c] = sum_{u,v} x[n, i s + u, j s + v, c] / m.

    x [N, H, W, C], floating -> [N, H', W', C] with H' = output_size(H, window, stride, padding).
    Lecture 3's mean pooling, dy / dx_k = 1 / m with m the pixels of a window. Sums are float32 at
    least. Reverse-mode derivatives only, as `conv2d`.

    Args:
      x: the batch.
      window: of one size or (height, width).
      stride: s, one for both directions or (down, right).
      padding: see `Padding`.
      count_padding: whether m counts padded pixels, as zeros that they are (PyTorch's default:
        torchvision's Inception v3), or only those of the image (TensorFlow, Keras). Must be said
        wherever there may be padding, since the libraries disagree. A window of padding only is 0.

    Raises:
      CnnjaxError: another rank or dtype, a window that does not fit, `count_padding` left open.

    Lecture 2's example:

    >>> x = jnp.array([[2.0, 1, 0, -1], [-3, 8, 2, 5], [1, -1, 3, 4], [0, 1, 1, -2]])
    >>> avg_pool(x[None, :, :, None], window=2, stride=2)[0, :, :, 0].tolist()
    [[2.0, 1.5], [0.25, 1.5]]
    """
    require_images(x, "avg_pool")
    windows, strides = pair(window, "window"), pair(stride, "stride")
    size = x.shape[1:3]
    pads = resolve_padding(padding, size, windows, strides)
    if count_padding is None and (padding == "same" or any(map(any, pads))):
        raise CnnjaxError(
            f"count_padding is not given and padding is {padding!r}; give True to average over "
            "padded zeros too (PyTorch), False to leave them out (TensorFlow, Keras)"
        )
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    sums = _window_sums(wide, size, windows, strides, pads)
    if count_padding:
        return (sums / math.prod(windows)).astype(x.dtype)
    rows, columns = map(_pixels, size, windows, strides, pads, sums.shape[1:3])
    counts = np.maximum(np.outer(rows, columns), 1)[:, :, None]
    return (sums / counts.astype(sums.dtype)).astype(x.dtype)


def global_avg_pool(x: jax.Array) -> jax.Array:
    """Mean over the whole image: [N, H, W, C] -> [N, C] (lecture 2; Lin et al. 2014, section 3.2).

    Raises CnnjaxError for another rank or dtype, or an image without pixels.

    >>> global_avg_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[1.5]]
    """
    require_images(x, "global_avg_pool")
    if 0 in x.shape[1:3]:
        raise CnnjaxError(f"the input is {list(x.shape)}; its images must have pixels")
    return jnp.mean(x, axis=(1, 2))


def _pixels(n: int, k: int, s: int, pad: tuple[int, int], m: int) -> np.ndarray:
    """How many pixels of an image of n each of m windows holds, along one axis."""
    starts = np.arange(m) * s - pad[0]
    return np.maximum(np.minimum(starts + k, n) - np.maximum(starts, 0), 0)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _window_sums(
    x: jax.Array,
    size: tuple[int, int],
    windows: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    rule = {"windows": windows, "strides": strides, "pads": pads}
    return lax.platform_dependent(x, cpu=partial(_slices, **rule), default=partial(_stock, **rule))


def _stock(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> jax.Array:
    return lax.reduce_window(
        x, 0.0, lax.add, (1, *windows, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
    )


def _slices(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> jax.Array:
    """The sum of shifted images, first along rows, then along columns."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    for axis in (2, 1):
        x = sum(shifts(x, windows[axis - 1], strides[axis - 1], axis))
    return x


def _forward(
    x: jax.Array,
    size: tuple[int, int],
    windows: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> tuple[jax.Array, None]:
    return _window_sums(x, size, windows, strides, pads), None


def _backward(
    size: tuple[int, int],
    windows: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    _: None,
    dy: jax.Array,
) -> tuple[jax.Array]:
    """dx is a sum over windows too: of dy with zeros where windows lie apart.

    On the CPU shifted images add it up 2 to 12 times faster than XLA does, except where windows
    do not overlap and there is nothing to add.
    """
    rule = {"windows": windows, "strides": strides, "pads": pads}
    images = jax.ShapeDtypeStruct((len(dy), *size, dy.shape[3]), dy.dtype)

    def stock(dy: jax.Array) -> jax.Array:
        return jax.linear_transpose(partial(_stock, **rule), images)(dy)[0]

    def shifted(dy: jax.Array) -> jax.Array:
        places = [
            (k - 1 - low, n + low - (m - 1) * s - 1, s - 1)
            for n, m, k, s, (low, _) in zip(
                size, dy.shape[1:3], windows, strides, pads, strict=True
            )
        ]
        dy = lax.pad(dy, jnp.zeros((), dy.dtype), ((0, 0, 0), *places, (0, 0, 0)))
        return _slices(dy, windows, (1, 1), ((0, 0), (0, 0)))

    overlap = any(k > s and m > 1 for k, s, m in zip(windows, strides, dy.shape[1:3], strict=True))
    return (lax.platform_dependent(dy, cpu=shifted if overlap else stock, default=stock),)


_window_sums.defvjp(_forward, _backward)
