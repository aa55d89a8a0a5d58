"""The networks of cnnjax with flax's own convolution and pooling, to compare speed with.

A stock network has the stages, parameters and values of its model, so that the variables of one
are those of the other:

    StockAlexNetSmall(num_classes=10).apply(variables of create("alexnet_small"), images)
"""

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import flax.linen as nn
import jax

from cnnjax.layers import Conv, max_pool
from cnnjax.layers.windows import pair
from cnnjax.models import AlexNetSmall, LeNet5, Network


class StockConv(Conv):
    """The fields and parameters of `Conv`, computed by `nn.Conv` and `nn.max_pool`."""

    def setup(self) -> None:
        padding = self.padding
        self.convolution = nn.Conv(
            self.features,
            kernel_size=pair(self.kernel, "kernel"),
            strides=self.stride,
            padding=padding.upper() if isinstance(padding, str) else padding,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        nn.share_scope(self, self.convolution)  # its parameters are this layer's, not one below

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """As `Conv`."""
        x = self.convolution(x)
        for step in (self.activation, self.norm, stock_pool(self.pool)):
            x = x if step is None else step(x)
        return x


def stock_pool(
    pool: Callable[[jax.Array], jax.Array] | None,
) -> Callable[[jax.Array], jax.Array] | None:
    """nn.max_pool with the window and stride of a `partial(max_pool, window=..., stride=...)`."""
    if pool is None:
        return None
    if (
        not isinstance(pool, partial)
        or pool.func is not max_pool
        or set(pool.keywords)
        != {
            "window",
            "stride",
        }
    ):
        raise TypeError(f"no stock counterpart is known of {pool}")
    window, stride = (pair(pool.keywords[name], name) for name in ("window", "stride"))
    return partial(nn.max_pool, window_shape=window, strides=stride, padding="VALID")


def stock_layers(layers: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Every `Conv` as a `StockConv` with the same fields; other layers are stock already."""
    names = [field.name for field in fields(Conv) if field.name not in ("parent", "name")]
    return {
        stage: StockConv(**{name: getattr(layer, name) for name in names})
        if isinstance(layer, Conv)
        else layer
        for stage, layer in layers.items()
    }


class StockAlexNetSmall(AlexNetSmall):
    """alexnet_small with stock layers."""

    def layers(self) -> dict[str, nn.Module]:
        return stock_layers(super().layers())


class StockLeNet5(LeNet5):
    """lenet5 with stock layers."""

    def layers(self) -> dict[str, nn.Module]:
        return stock_layers(super().layers())


STOCK: dict[str, type[Network]] = {"alexnet_small": StockAlexNetSmall, "lenet5": StockLeNet5}
