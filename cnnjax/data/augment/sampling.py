"""Bilinear sampling of one image at real-valued places."""

import jax
import jax.numpy as jnp

_SLACK = 1e-4
"""Pixels by which rounding may push a place out of the image without its being outside."""


def sample(
    image: jax.Array, rows: jax.Array, columns: jax.Array, fill: str, cval: float
) -> jax.Array:
    """The image at the places (rows, columns), bilinearly between the four pixels around each.

    The value at (i + u, j + v), 0 <= u, v < 1, is
    (1-u)(1-v) x[i, j] + (1-u) v x[i, j+1] + u (1-v) x[i+1, j] + u v x[i+1, j+1].
    Outside of the image, along a row a b c d of n pixels, it is what `scipy.ndimage` says (and with
    it Keras, `interpolation_order=1`):

    | fill | |
    |---|---|
    | `nearest` | a a a a, a b c d, d d d d |
    | `constant` | `cval`, a b c d, `cval`, without a transition |
    | `reflect` | d c b a, a b c d, d c b a |
    | `wrap` | b c d, a b c d, b c d: of period n - 1, the first pixel lies upon the last |

    Args:
      image: float32 `[H, W, C]`.
      rows: places, 0 at the centre of the first row of pixels and H - 1 at that of the last.
      columns: the same along the width, of the same shape.
      fill: as in the table.
      cval: for `constant`.

    Returns:
      float32 `[*rows.shape, C]`.
    """
    height, width, _ = image.shape
    inside = _inside(rows, height) & _inside(columns, width)
    top, bottom, u = _neighbours(_folded(rows, height, fill), height)
    left, right, v = _neighbours(_folded(columns, width, fill), width)
    u, v = u[..., None], v[..., None]

    def pixel(i: jax.Array, j: jax.Array) -> jax.Array:
        return image.at[i, j].get(mode="promise_in_bounds")

    upper = pixel(top, left) * (1 - v) + pixel(top, right) * v
    lower = pixel(bottom, left) * (1 - v) + pixel(bottom, right) * v
    result = upper * (1 - u) + lower * u
    if fill == "constant":
        return jnp.where(inside[..., None], result, cval)
    return result


def resample(image: jax.Array, matrix: jax.Array, fill: str, cval: float) -> jax.Array:
    """The image `[H, W, C]` under the map `matrix` `[3, 3]`, by one bilinear interpolation."""
    height, width, _ = image.shape
    y, x = pixel_places(height, width)
    columns = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + (width - 1) / 2
    rows = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + (height - 1) / 2
    return sample(image, rows, columns, fill, cval)


def pixel_places(height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(y `[H, 1]`, x `[1, W]`) of the pixels' centres, from the centre of the image: y down."""
    y = jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2
    x = jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2
    return y[:, None], x[None, :]


def _inside(places: jax.Array, size: int) -> jax.Array:
    return (places >= -_SLACK) & (places <= size - 1 + _SLACK)


def _folded(places: jax.Array, size: int, fill: str) -> jax.Array:
    """The place in 0 ... size - 1 whose value stands at each place."""
    if fill == "reflect":  # about the outer edges of the first and of the last pixel
        folded = jnp.mod(places + 0.5, 2 * size)
        places = jnp.minimum(folded, 2 * size - folded) - 0.5
    elif fill == "wrap":
        places = jnp.where(_inside(places, size), places, jnp.mod(places, max(size - 1, 1)))
    return jnp.clip(places, 0, size - 1)


def _neighbours(places: jax.Array, size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    low = jnp.floor(places)
    first = low.astype(jnp.int32)
    return first, jnp.minimum(first + 1, size - 1), places - low
