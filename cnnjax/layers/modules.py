"""One weight layer as the papers count them, as Flax Linen modules.

Their parameters are `kernel` and `bias`, without a module in between.
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers.activations import maxout
from cnnjax.layers.convolution import conv2d
from cnnjax.layers.initializers import he_normal
from cnnjax.layers.regularization import check_rate, dropout
from cnnjax.layers.windows import Padding, pair

ArrayFunction = Callable[[jax.Array], jax.Array]


class Conv(nn.Module):
    """pool(norm(activation(conv2d(x, kernel) + bias))): AlexNet's order (2012, section 3.3, 3.4).

    [N, H, W, C] -> [N, H', W', features]. `norm` and `pool` are functions of one array, such as
    `local_response_norm` and `partial(max_pool, window=3, stride=2)`. The kernel is [kh, kw,
    C / groups, features]; groups = C makes a depthwise convolution.
    """

    features: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = 0
    groups: int = 1
    activation: ArrayFunction | None = None
    norm: ArrayFunction | None = None
    pool: ArrayFunction | None = None
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if self.groups < 1 or x.shape[-1] % self.groups or self.features % self.groups:
            raise CnnjaxError(
                f"{x.shape[-1]} channels and {self.features} features in {self.groups} groups; "
                "give a number of groups that divides both"
            )
        shape = (*pair(self.kernel, "kernel"), x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv2d(x, kernel, self.stride, self.padding, groups=self.groups)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            y = y + bias.astype(self.dtype)
        for step in (self.activation, self.norm, self.pool):
            y = y if step is None else step(y)
        return y


class Dense(nn.Module):
    """activation(dropout(x) kernel + bias); an input of more than two axes is flattened first.

    [N, ...] -> [N, features]. Dropout acts on the INPUT, in training only, with the random stream
    "dropout": a paper's "dropout on the output of fc6" is `dropout` of fc7 here, so that what fc6
    gives is a function of its weights alone and can be kept while fc6 is frozen.
    """

    features: int
    activation: ArrayFunction | None = None
    dropout: float = 0.0
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        check_rate(self.dropout)
        x = x.astype(self.dtype)
        if x.ndim > 2:
            x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if train and self.dropout > 0.0:
            x = dropout(x, self.dropout, self.make_rng("dropout"))
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        y = x @ kernel.astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            y = y + bias.astype(self.dtype)
        return y if self.activation is None else self.activation(y)


class Maxout(nn.Module):
    """h_j = max_{i < k} (x^T W_{.ij} + b_{ij}) with k = `pieces`: each unit is its own activation.

    For k = 2 the lecture's max(w_1^T x + b_1, w_2^T x + b_2) (lecture 4; Goodfellow et al. 2013,
    "Maxout networks", equation 2). With w_1 = 0 it can be a ReLU, with w_1 = 0.1 w_2 a leaky one.

    [N, ...] -> [N, features]: a `Dense` of features * pieces units, whose columns j k ... j k + k -
    1 belong to unit j, followed by `maxout`. It flattens and drops inputs as `Dense` does.

    Attributes:
      kernel_init: there is no default. The mean square of what goes in is kept for k = 2 by a
        variance of 1 / n_in; He's 2 / n_in, right for ReLU, doubles it from layer to layer.
    """

    features: int
    pieces: int
    kernel_init: Initializer
    dropout: float = 0.0
    use_bias: bool = True
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if self.pieces < 1:
            raise CnnjaxError(f"pieces is {self.pieces}; give an integer of at least 1, such as 2")
        self.affine = Dense(
            self.features * self.pieces,
            activation=partial(maxout, pieces=self.pieces),
            dropout=self.dropout,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        nn.share_scope(self, self.affine)  # the parameters are `kernel` and `bias` of Maxout itself

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.affine(x, train=train)
