"""What later networks are made of, as Flax Linen modules: a convolution with its batch
normalisation, the separable convolution, and the head that averages each map."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.layers.average_pooling import global_avg_pool
from cnnjax.layers.initializers import he_normal
from cnnjax.layers.modules import ArrayFunction, Conv, Dense
from cnnjax.layers.normalization import BatchNorm
from cnnjax.layers.windows import Padding


class ConvNorm(nn.Module):
    """pool(activation(norm(conv(x)))): batch normalisation between a convolution and its
    nonlinearity (Ioffe and Szegedy 2015, section 3.2).

    [N, H, W, C] -> [N, H', W', features], parameters {"conv": ..., "norm": ...}. The convolution
    has no bias of its own by default, since the normalisation takes the mean away.

    Attributes:
      momentum: of the running statistics, see `BatchNorm`.
      epsilon: of the normalisation, see `BatchNorm`.
      groups: as in `Conv`; C for a depthwise convolution.
      use_scale: whether the normalisation has its gamma.
      scale_init: of gamma; zeros for the last of a residual block, to begin as the identity.
      remaining attributes: as in `Conv`.
    """

    features: int
    kernel: int | tuple[int, int]
    momentum: float
    epsilon: float
    stride: int | tuple[int, int] = 1
    padding: Padding = 0
    groups: int = 1
    activation: ArrayFunction | None = None
    pool: ArrayFunction | None = None
    use_bias: bool = False
    use_scale: bool = True
    kernel_init: Initializer = he_normal
    scale_init: Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.conv = Conv(
            self.features,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            **types,
        )
        self.norm = BatchNorm(
            self.momentum,
            self.epsilon,
            use_scale=self.use_scale,
            scale_init=self.scale_init,
            **types,
        )

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.norm(self.conv(x, train=train), train=train)
        for step in (self.activation, self.pool):
            y = y if step is None else step(y)
        return y


class SeparableConv(nn.Module):
    """A convolution of each channel by itself, then a 1 x 1 convolution over the channels, and
    nothing in between (Chollet 2017, section 2; lecture 3).

    [N, H, W, C] -> [N, H', W', features], parameters {"depthwise": {"kernel": [kh, kw, 1, C]},
    "pointwise": {"kernel": [1, 1, C, features]}}: kh kw C + C features weights, where a full
    convolution has kh kw C features. There are no biases.
    """

    features: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = 0
    kernel_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        shared = {
            "use_bias": False,
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        geometry = {"stride": self.stride, "padding": self.padding, "groups": channels}
        depthwise = Conv(channels, self.kernel, name="depthwise", **geometry, **shared)
        pointwise = Conv(self.features, 1, name="pointwise", **shared)
        return pointwise(depthwise(x, train=train), train=train)


class PoolDense(nn.Module):
    """dense(dropout(average of each map)): the head of most networks since Lin et al. 2014,
    "Network in network", section 3.2.

    [N, H, W, C] -> [N, features], or [N, C] -> [N, features] where the maps are averaged already;
    parameters `kernel` [C, features] and `bias`. Dropout acts on the averages, in training only.
    """

    features: int
    dropout: float = 0.0
    kernel_init: Initializer = he_normal
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.dense = Dense(
            self.features,
            dropout=self.dropout,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        nn.share_scope(self, self.dense)  # `kernel` and `bias` are of PoolDense itself

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.dense(global_avg_pool(x) if x.ndim == 4 else x, train=train)
