"""The convolutional network of the dropout paper (Srivastava, Hinton, Krizhevsky, Sutskever,
Salakhutdinov 2014, "Dropout: a simple way to prevent neural networks from overfitting", section
6.1.2 and appendix B.2)."""

from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax

from cnnjax.errors import CnnjaxError
from cnnjax.layers import Conv, Dense, dropout, max_pool
from cnnjax.layers.regularization import check_rate
from cnnjax.models.network import Network

NO_DROPOUT = (1.0,) * 6
FULLY_CONNECTED = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
ALL_LAYERS = (0.9, 0.75, 0.75, 0.5, 0.5, 0.5)
"""What is kept of the inputs, the maps of the three convolutions and the units of the two fully
connected layers. The paper's list goes "from input to convolutional layers to fully connected
layers"."""


class DroppedConv(nn.Module):
    """A `Conv` whose input is dropped, number by number, in training: conv(dropout(x)).

    Attributes:
      conv: the convolution; its parameters are those of this module.
      rate: of zeroing.
    """

    conv: Conv
    rate: float = 0.0

    def setup(self) -> None:
        check_rate(self.rate)
        nn.share_scope(self, self.conv)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if train and self.rate > 0.0:
            x = dropout(x, self.rate, self.make_rng("dropout"))
        return self.conv(x, train=train)


class DropoutConvNet(Network):
    """Three convolutions of 5 x 5, each with max pooling 3 x 3 / 2, and two fully connected layers.

    `[N, 32, 32, C] -> [N, num_classes]`, stages conv1 ... conv3, fc4, fc5 and the head fc6; ReLU.
    The paper gives kernels, strides and pools; that convolutions keep the size (2 pixels of
    padding) is taken from the code of its authors' colleague, cuda-convnet. Weights are
    He-normal, biases zero.

    Attributes:
      filters: of the convolutions.
      units: of each fully connected layer.
      keep: the probability of keeping the inputs of conv1, ..., fc6, e.g. `ALL_LAYERS`.

    >>> DropoutConvNet(keep=ALL_LAYERS).stages
    ('conv1', 'conv2', 'conv3', 'fc4', 'fc5', 'fc6')
    """

    num_classes: int = 10
    filters: tuple[int, int, int] = (96, 128, 256)
    units: int = 2048
    keep: tuple[float, ...] = NO_DROPOUT

    image: ClassVar = (32, 32, 3)

    def layers(self) -> dict[str, nn.Module]:
        if len(self.filters) != 3 or len(self.keep) != 6 or not all(0 < p <= 1 for p in self.keep):
            raise CnnjaxError(
                f"filters are {self.filters} and keep is {self.keep}; give three numbers of "
                "filters and six probabilities above 0 of keeping what goes into a stage"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        pool = partial(max_pool, window=3, stride=2, padding=((0, 1), (0, 1)))
        rates = [round(1.0 - p, 9) for p in self.keep]
        conv = partial(Conv, kernel=5, padding=2, activation=nn.relu, pool=pool, **types)
        convolutions = {
            f"conv{i}": DroppedConv(conv(count), rate)
            for i, (count, rate) in enumerate(zip(self.filters, rates, strict=False), 1)
        }
        return convolutions | {
            "fc4": Dense(self.units, activation=nn.relu, dropout=rates[3], **types),
            "fc5": Dense(self.units, activation=nn.relu, dropout=rates[4], **types),
            "fc6": Dense(self.num_classes, dropout=rates[5], **types),
        }
