"""Maximum pooling."""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers.windows import Padding, Pads, pair, require_images, resolve_padding

# Up to so many pixels in a window its gradient is found pixel by pixel: one comparison for each.
MOST_PLACES = 25


def max_pool(
    x: jax.Array,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: Padding = 0,
) -> jax.Array:
    """Maximum over windows: y[n, i, j, c] = max_{u,v} x[n, i s + u, j s + v, c].

    x [N, H, W, C], floating -> [N, H', W', C] with H' = output_size(H, window, stride, padding).
    Padded pixels count as -inf and never win; a window of nothing else gives -inf. Where several
    pixels of a window share the maximum, the first in reading order gets the whole gradient, as in
    `flax.linen.max_pool`. Reverse-mode derivatives only, as `conv2d`.

    Raises CnnjaxError for another rank or dtype, or a window that does not fit.

    >>> x = jnp.array([[1.0, 2.0, 0.0], [4.0, 3.0, 5.0], [0.0, 0.0, 9.0]])
    >>> max_pool(x[None, :, :, None], window=2, stride=1)[0, :, :, 0].tolist()
    [[4.0, 5.0], [4.0, 9.0]]
    """
    require_images(x, "max_pool")
    windows, strides = pair(window, "window"), pair(stride, "stride")
    pads = resolve_padding(padding, x.shape[1:3], windows, strides)
    return _pool(x, windows, strides, pads)


def _stock(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> jax.Array:
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, *windows, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
    )


def _slices(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> jax.Array:
    """The maximum of shifted images, first along rows, then along columns. On the CPU its gradient
    is much faster than the scatter that XLA derives from a window maximum."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    for axis in (2, 1):
        k, s, n = windows[axis - 1], strides[axis - 1], x.shape[axis]
        last = (n - k) // s * s
        x = reduce(
            _first_maximum, [lax.slice_in_dim(x, u, u + last + 1, s, axis) for u in range(k)]
        )
    return x


@jax.custom_jvp
def _first_maximum(a: jax.Array, b: jax.Array) -> jax.Array:
    """The maximum of two; of two equals the gradient goes to the first (jnp.maximum halves it)."""
    return jnp.maximum(a, b)


@_first_maximum.defjvp
def _first_maximum_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (a, b), (da, db) = primals, tangents
    return _first_maximum(a, b), jnp.where(a >= b, da, db)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _pool(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> jax.Array:
    rule = {"windows": windows, "strides": strides, "pads": pads}
    return lax.platform_dependent(x, cpu=partial(_slices, **rule), default=partial(_stock, **rule))


def _forward(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> tuple[jax.Array, jax.Array]:
    return _pool(x, windows, strides, pads), x


def _backward(
    windows: tuple[int, int], strides: tuple[int, int], pads: Pads, x: jax.Array, dy: jax.Array
) -> tuple[jax.Array]:
    def of(pool: Callable[..., jax.Array], x: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(partial(pool, windows=windows, strides=strides, pads=pads), x)[1](dy)[0]

    # The maxima are computed again; inside one jit XLA finds them in the forward pass.
    small = windows[0] * windows[1] <= MOST_PLACES
    gather = partial(_gather, windows=windows, strides=strides, pads=pads)
    on_cpu = gather if small else partial(of, _slices)
    return (lax.platform_dependent(x, dy, cpu=on_cpu, default=partial(of, _stock)),)


def _gather(
    x: jax.Array,
    dy: jax.Array,
    windows: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """The gradient as each pixel finds it. With p[n, a, b, c] the place of the maximum in a window,

        dx[n, i, j, c] = sum_{a,b} dy[n, a, b, c] [p[n, a, b, c] = (i - a s, j - b s)],

    for the pixels of one place within the strides a sum of shifted images; these lie side by side
    at the end. The derivative of `_slices` adds up images as large as x instead, one for each pixel
    of a row and of a column of the window."""
    size = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    # Once for all windows that ask: without the barrier each of them finds the maximum again.
    places = lax.optimization_barrier(_places(x, windows, strides, dy.shape[1:3]))
    before = [(k - 1) // s for k, s in zip(windows, strides, strict=True)]
    counts = [-(-n // s) for n, s in zip(x.shape[1:3], strides, strict=True)]
    around = [
        (0, 0),
        *((t, max(0, n - m)) for t, n, m in zip(before, counts, dy.shape[1:3], strict=True)),
        (0, 0),
    ]
    places, dy = jnp.pad(places, around, constant_values=-1), jnp.pad(dy, around)

    def pixels(row: int, column: int) -> jax.Array:
        """The gradient of the pixels i = a s + row, j = b s + column, for all a and b."""
        total = jnp.zeros((len(dy), *counts, dy.shape[3]), dy.dtype)
        for u in range(row, windows[0], strides[0]):
            for v in range(column, windows[1], strides[1]):
                up, left = before[0] - u // strides[0], before[1] - v // strides[1]
                of = slice(None), slice(up, up + counts[0]), slice(left, left + counts[1])
                total += jnp.where(places[of] == u * windows[1] + v, dy[of], 0)
        return total

    rows, columns = strides
    dx = jnp.stack(
        [jnp.stack([pixels(r, c) for c in range(columns)], 3) for r in range(rows)], 2
    ).reshape(len(dy), counts[0] * rows, counts[1] * columns, -1)
    (top, _), (left, _) = pads
    return dx[:, top : top + size[0], left : left + size[1]]


def _places(
    x: jax.Array, windows: tuple[int, int], strides: tuple[int, int], counts: tuple[int, int]
) -> jax.Array:
    """Where in its window the first maximum in reading order is, u kw + v, int32 [N, H', W', C]."""
    most, place = None, None
    for u in range(windows[0]):
        for v in range(windows[1]):
            last = [b + (n - 1) * s for b, n, s in zip((u, v), counts, strides, strict=True)]
            candidate = x[:, u : last[0] + 1 : strides[0], v : last[1] + 1 : strides[1]]
            if most is None:
                most, place = candidate, jnp.zeros(candidate.shape, jnp.int32)
                continue
            larger = candidate > most
            most = jnp.where(larger, candidate, most)
            place = jnp.where(larger, u * windows[1] + v, place)
    return place


_pool.defvjp(_forward, _backward)
