"""One weight layer as the papers count them, as Flax Linen modules.

Their parameters are `kernel` and `bias`, without a module in between.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers.convolution import conv2d
from cnnjax.layers.initializers import he_normal
from cnnjax.layers.windows import Padding, pair

ArrayFunction = Callable[[jax.Array], jax.Array]


class Conv(nn.Module):
    """pool(norm(activation(conv2d(x, kernel) + bias))): AlexNet's order (2012, section 3.3, 3.4).

    [N, H, W, C] -> [N, H', W', features]. `norm` and `pool` are functions of one array, such as
    `local_response_norm` and `partial(max_pool, window=3, stride=2)`.
    """

    features: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = 0
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
        shape = (*pair(self.kernel, "kernel"), x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        y = conv2d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
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
        if not 0.0 <= self.dropout < 1.0:
            raise CnnjaxError(f"dropout is {self.dropout}; give a probability in [0, 1)")
        x = x.astype(self.dtype)
        if x.ndim > 2:
            x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if train and self.dropout > 0.0:
            keep = 1.0 - self.dropout
            kept = jax.random.bernoulli(self.make_rng("dropout"), keep, x.shape)
            x = jnp.where(kept, x / keep, 0)
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        y = x @ kernel.astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            y = y + bias.astype(self.dtype)
        return y if self.activation is None else self.activation(y)
