"""The block of the mobile networks: expand, filter each map by itself, project without a
nonlinearity; and the squeeze-and-excitation that later networks put into it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers.activations import relu6, sigmoid
from cnnjax.layers.blocks import ConvNorm
from cnnjax.layers.initializers import he_normal
from cnnjax.layers.modules import ArrayFunction, Conv
from cnnjax.layers.regularization import check_rate, stochastic_depth
from cnnjax.layers.windows import Padding


class SqueezeExcite(nn.Module):
    """x_c s_c with s = sigma(W_2 delta(W_1 z + b_1) + b_2) and z_c the mean of map c (Hu et al.
    2018, "Squeeze-and-excitation networks", equations 2 to 4).

    [N, H, W, C] -> [N, H, W, C], parameters {"squeeze": W_1 and b_1, "excite": W_2 and b_2}. Both
    products are 1 x 1 convolutions of one pixel, kernels [1, 1, C, squeezed] and [1, 1, squeezed,
    C], as published weights have them.

    Attributes:
      squeezed: length of the vector in between, C / r in the paper.
      activation: delta, ReLU in the paper, SiLU in EfficientNet.
    """

    squeezed: int
    activation: ArrayFunction
    kernel_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = {
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        squeeze = Conv(self.squeezed, 1, activation=self.activation, name="squeeze", **shared)
        excite = Conv(x.shape[-1], 1, activation=sigmoid, name="excite", **shared)
        z = x.mean(axis=(1, 2), keepdims=True)
        return x * excite(squeeze(z, train=train), train=train)


class InvertedResidual(nn.Module):
    """[x +] project(depthwise(expand(x))), thin where a residual block is wide and wide where it
    is thin (Sandler et al. 2018, section 3.3 and table 1; MBConv in Tan and Le 2019).

    `expand` is a 1 x 1 convolution to t C maps, absent for t = 1; `depthwise` filters each map by
    itself, k x k with the stride of the block; `project` is a 1 x 1 convolution to `features` maps
    and a linear bottleneck: no activation. Each is batch normalised, and the first two are
    activated. The input is added where stride and number of maps let it.

    [N, H, W, C] -> [N, H', W', features], parameters {"expand", "depthwise", "squeeze_excite",
    "project"}. The depthwise kernel is [k, k, 1, t C].

    Attributes:
      expansion: t.
      momentum: of the running statistics of all three normalisations, see `BatchNorm`.
      epsilon: of the normalisations, see `BatchNorm`.
      padding: of the depthwise convolution.
      squeezed: of the `SqueezeExcite` between depthwise and project; 0 for none.
      drop: rate at which a branch that has a shortcut is dropped in training, for each example by
        itself, with the random stream "dropout", see `stochastic_depth`.
      depthwise_init: of the depthwise kernel; that of all others is `kernel_init`.
    """

    features: int
    kernel: int
    expansion: int
    momentum: float
    epsilon: float
    stride: int = 1
    padding: Padding = 0
    activation: ArrayFunction = relu6
    squeezed: int = 0
    drop: float = 0.0
    kernel_init: Initializer = he_normal
    depthwise_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        check_rate(self.drop)
        if self.expansion < 1:
            raise CnnjaxError(
                f"an inverted residual with an expansion of {self.expansion}; give an integer of "
                "at least 1, such as 6"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        shared = {"momentum": self.momentum, "epsilon": self.epsilon, **types}
        pointwise = {"kernel": 1, "kernel_init": self.kernel_init, **shared}
        channels, wide, y = x.shape[-1], self.expansion * x.shape[-1], x
        if self.expansion > 1:
            expand = ConvNorm(wide, activation=self.activation, name="expand", **pointwise)
            y = expand(y, train=train)
        depthwise = ConvNorm(
            wide,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            groups=wide,
            activation=self.activation,
            kernel_init=self.depthwise_init,
            name="depthwise",
            **shared,
        )
        y = depthwise(y, train=train)
        if self.squeezed:
            squeeze_excite = SqueezeExcite(
                self.squeezed,
                self.activation,
                kernel_init=self.kernel_init,
                name="squeeze_excite",
                **types,
            )
            y = squeeze_excite(y, train=train)
        y = ConvNorm(self.features, name="project", **pointwise)(y, train=train)
        if self.stride != 1 or channels != self.features:
            return y
        if train and self.drop > 0.0:
            y = stochastic_depth(y, self.drop, self.make_rng("dropout"))
        return x.astype(y.dtype) + y
