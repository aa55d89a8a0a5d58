"""The multilayer perceptron that the first lecture starts from."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.layers import BatchNorm, Dense, he_normal
from cnnjax.models.network import Network


class DenseNorm(nn.Module):
    """activation(norm(dense(x))): batch normalisation between a fully connected layer and its
    nonlinearity (Ioffe and Szegedy 2015, section 3.2).

    [N, ...] -> [N, features], parameters {"dense": {"kernel"}, "norm": {"scale", "bias"}}: the
    layer has no bias of its own, since the normalisation takes the mean away. Its constants are
    Flax's: momentum 0.99 of the running statistics, epsilon 1e-5.

    Attributes:
      remaining attributes: as in `Dense`.
    """

    features: int
    activation: Callable[[jax.Array], jax.Array]
    dropout: float = 0.0
    kernel_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        dense = Dense(
            self.features,
            dropout=self.dropout,
            use_bias=False,
            kernel_init=self.kernel_init,
            name="dense",
            **types,
        )
        norm = BatchNorm(momentum=0.99, epsilon=1e-5, name="norm", **types)
        return self.activation(norm(dense(x, train=train), train=train))


class MLP(Network):
    """Fully connected network on flattened images: fc1 ... fcL.

    By default the lecture's 784-1200-1200-1200-10 (lecture 2: "98 % test accuracy on MNIST, ReLU,
    3 hidden layers of depth 1200"), 3,836,410 parameters. Weights are He-normal, biases zero.

    Attributes:
      hidden: sizes of the hidden layers.
      dropout: probability of zeroing an input of fc2 ... fcL, i.e. a hidden unit.
      input_dropout: probability of zeroing an input of fc1, i.e. a pixel.
      activation: of the hidden layers.
      kernel_init: of all layers.
      batch_norm: whether hidden layers are normalised before their activation, see `DenseNorm`.

    >>> MLP(hidden=(100, 100, 100), activation=nn.sigmoid, batch_norm=True).stages
    ('fc1', 'fc2', 'fc3', 'fc4')
    """

    num_classes: int = 10
    hidden: tuple[int, ...] = (1200, 1200, 1200)
    dropout: float = 0.0
    input_dropout: float = 0.0
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    kernel_init: Initializer = he_normal
    batch_norm: bool = False

    image: ClassVar = (28, 28, 1)

    def layers(self) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        layer = partial(DenseNorm if self.batch_norm else Dense, activation=self.activation)
        rates = [self.input_dropout, *[self.dropout] * len(self.hidden)]
        hidden = {
            f"fc{i}": layer(size, dropout=rate, **shared)
            for i, (size, rate) in enumerate(zip(self.hidden, rates, strict=False), 1)
        }
        last = f"fc{len(self.hidden) + 1}"
        return hidden | {last: Dense(self.num_classes, dropout=rates[-1], **shared)}
