"""The network behind lecture 1's illustration of augmentation on CIFAR-10: six convolutions in the
manner of VGG, each normalised after its nonlinearity, and two fully connected layers."""

from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cnnjax.layers import BatchNorm, Conv, Dense, initializers, max_pool
from cnnjax.layers.modules import ArrayFunction
from cnnjax.models.network import Network


class NormAfter(nn.Module):
    """pool(norm(layer(x))): batch normalisation of what a layer gives, its nonlinearity included.

    Ioffe and Szegedy 2015 (section 3.2) have it in front of the nonlinearity, see `ConvNorm`.
    [N, ..., C] -> [N, ..., C'], parameters {"layer": ..., "norm": ...}.

    Attributes:
      layer: a `Conv` or a `Dense`.
      momentum: of the running statistics, see `BatchNorm`.
      epsilon: of the normalisation, see `BatchNorm`.
      pool: a function of one array.
    """

    layer: nn.Module
    momentum: float
    epsilon: float
    pool: ArrayFunction | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.norm = BatchNorm(
            self.momentum, self.epsilon, dtype=self.dtype, param_dtype=self.param_dtype
        )

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.norm(self.layer(x, train=train), train=train)
        return y if self.pool is None else self.pool(y)


class CifarVGG(Network):
    """The network that lecture 1 trains on CIFAR-10 with augmentation and without.

    `[N, 32, 32, 3] -> [N, num_classes]`, or any size from 8 x 8 on, with as many more or fewer
    weights in fc7: 1,343,146 parameters and 1,920 running statistics at 32 x 32 and 10 classes.

    | stages           | each                                             | maps at the end |
    |------------------|--------------------------------------------------|-----------------|
    | conv1_1, conv1_2 | 3 x 3, 32 filters, ReLU, then batch normalisation | 16 x 16 x 32   |
    | conv2_1, conv2_2 | 3 x 3, 64 filters, likewise                      | 8 x 8 x 64      |
    | conv3_1, conv3_2 | 3 x 3, 128 filters, likewise                     | 4 x 4 x 128     |
    | fc7              | 512 units, likewise                              |                 |
    | fc8              | the classes; dropout 0.5 at its input            |                 |

    Convolutions have stride 1, padding 1 and biases; a 2 x 2 max pooling with stride 2 ends a
    block, after the normalisation. Stages are named as in `VGG`, counting weight layers.

    Source: the notebook from which the lecture has its two curves, "CNN with Image Augmentation
    (CIFAR10)" (github.com/moritzhambach/Image-Augmentation-in-Keras-CIFAR-10-). Initialisation
    and constants are those of its Keras layers: weights of Glorot and Bengio (uniform), biases 0,
    momentum 0.99 and epsilon 1e-3. Keras keeps the biased running variance, see `BatchNorm`.

    Attributes:
      dropout: probability of zeroing an output of fc7 in training.
    """

    num_classes: int = 10
    dropout: float = 0.5

    image: ClassVar = (32, 32, 3)

    def layers(self) -> dict[str, nn.Module]:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        shared = {"kernel_init": initializers.glorot_uniform, **types}
        conv = partial(Conv, kernel=3, padding=1, activation=nn.relu, **shared)
        norm = partial(NormAfter, momentum=0.99, epsilon=1e-3, **types)
        pool = partial(max_pool, window=2, stride=2)
        convolutions = {
            f"conv{block}_{number}": norm(conv(filters), pool=pool if number == 2 else None)
            for block, filters in enumerate((32, 64, 128), 1)
            for number in (1, 2)
        }
        return convolutions | {
            "fc7": norm(Dense(512, activation=nn.relu, **shared)),
            "fc8": Dense(self.num_classes, dropout=self.dropout, **shared),
        }
