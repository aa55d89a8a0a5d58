"""Pooling over windows of an image."""

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError
from cnnjax.layers.windows import Padding, pair, resolve_padding


def max_pool(
    x: jax.Array,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: Padding = 0,
) -> jax.Array:
    """Maximum over windows: y[n, i, j, c] = max_{u,v} x[n, i s + u, j s + v, c].

    x [N, H, W, C] -> [N, H', W', C]; padded pixels count as -inf and never win.
    """
    if x.ndim != 4:
        raise CnnjaxError(f"the input has shape {x.shape}; max_pool takes [N, H, W, C]")
    windows, strides = pair(window, "window"), pair(stride, "stride")
    pads = resolve_padding(padding, x.shape[1:3], windows, strides)
    return lax.reduce_window(
        x,
        -jnp.inf,
        lax.max,
        (1, *windows, 1),
        (1, *strides, 1),
        ((0, 0), *pads, (0, 0)),
    )
