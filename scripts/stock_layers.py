"""Any network of cnnjax with the library's own layers, to compare speed with.

While it is traced within `stock_layers()`, a network is the same function of the same variables,
and its convolutions, pools and batch statistics are the operations of lax and flax:

    with stock_layers():
        lowered = jax.jit(network.apply).lower(variables, images)
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import jax
import jax.numpy as jnp

from cnnjax.layers import (
    average_pooling,
    batch_norm,
    convolution,
    max_pooling,
    normalization,
)
from cnnjax.layers.windows import Pads


def window_sums(
    x: jax.Array,
    size: tuple[int, int],
    windows: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
) -> jax.Array:
    """lax.reduce_window, as flax's average pooling."""
    return average_pooling._stock(x, windows, strides, pads)


def normalise_batch(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As nn.BatchNorm: the variance is the mean square less the squared mean."""
    axes = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = wide.mean(axes)
    variance = jnp.maximum(jnp.square(wide).mean(axes) - jnp.square(mean), 0.0)
    return batch_norm(x, mean, variance, scale, bias, epsilon), mean, variance


@contextmanager
def stock_layers() -> Iterator[None]:
    """What is traced meanwhile is made of the library's own operations."""
    with ExitStack() as stack:
        for module, name, stock in (
            (convolution, "_convolve", convolution._stock),
            (max_pooling, "_pool", max_pooling._stock),
            (average_pooling, "_window_sums", window_sums),
            (normalization, "normalise_batch", normalise_batch),
        ):
            stack.enter_context(patch.object(module, name, stock))
        yield
