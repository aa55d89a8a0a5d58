"""AlexNet (Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional
neural networks") and the same eight stages at the size of small images."""

from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, variance_scaling

from cnnjax.errors import CnnjaxError
from cnnjax.layers import (
    Conv,
    Dense,
    adaptive_avg_pool,
    initializers,
    local_response_norm,
    max_pool,
)
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

overlapping_pool = partial(max_pool, window=3, stride=2)  # section 3.4


class AlexNet(Network):
    """AlexNet: 62,378,344 parameters at 1,000 classes in one tower.

    `[N, 227, 227, 3] -> [N, num_classes]`. The paper prints 224, but its 55 x 55 maps need 227
    without padding. The lecture's table says 62,369,152: it leaves out the biases of fc6 to fc8.
    Response normalisation with k = 2, n = 5, alpha = 1e-4, beta = 0.75 before pooling (section
    3.3); dropout 0.5 on the outputs of fc6 and fc7 (section 4.2; drawn at the input of the stage
    that follows); weights Gaussian with sd 0.01, biases 1 in conv2, conv4, conv5, fc6, fc7 and 0
    elsewhere (section 5).

    The variants, all with the same eight stages:

    "one_tower": each convolution sees all maps of the one before, as in the lecture's table.

    "grouped": 60,965,224 parameters, the paper's own network (section 3.5, figure 2). Each of two
    GPUs holds half of the maps; conv2, conv4 and conv5 see those on their own GPU only, conv3 and
    fc6 to fc8 see all. The first half of the maps is the first GPU's. Response normalisation runs
    over all maps, as in Caffe; at the border of the halves the paper's GPUs may have had fewer
    neighbours.

    "torchvision": 61,100,840 parameters, the one tower of Krizhevsky 2014, "One weird trick for
    parallelizing convolutional neural networks", as torchvision has it: 64, 192, 384, 256, 256
    maps, no response normalisation, 2 pixels of padding in conv1, so that 224 x 224 images give 6
    x 6 maps after conv5, and those of any other image from 63 x 63 on are averaged to 6 x 6.
    Dropout acts on the inputs of fc6 and fc7. Weights and biases begin with torch's default, of
    which no paper speaks: uniform within ±1 / sqrt(n_in), of variance 1 / (3 n_in); for the bias
    of conv1 n_in is that of colour images, 363.

    Attributes:
      variant: "one_tower", "grouped" or "torchvision".
      dropout: probability of zeroing a number in training, where the variant does.
    """

    variant: str = "one_tower"
    dropout: float = 0.5

    image: ClassVar = (227, 227, 3)

    def layers(self) -> dict[str, nn.Module]:
        variants = {
            "one_tower": partial(self._paper, groups=1),
            "grouped": partial(self._paper, groups=2),
            "torchvision": self._torchvision,
        }
        return variant_of(self, variants)()

    @nn.nowrap
    def _paper(self, groups: int) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": initializers.gaussian(0.01),
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        conv = partial(Conv, activation=nn.relu, **shared)
        halves = partial(conv, groups=groups)
        dense = partial(Dense, **shared)
        lrn, pool, one = local_response_norm, overlapping_pool, initializers.constant(1.0)
        return {
            "conv1": conv(96, kernel=11, stride=4, norm=lrn, pool=pool),
            "conv2": halves(256, kernel=5, padding=2, norm=lrn, pool=pool, bias_init=one),
            "conv3": conv(384, kernel=3, padding=1),
            "conv4": halves(384, kernel=3, padding=1, bias_init=one),
            "conv5": halves(256, kernel=3, padding=1, pool=pool, bias_init=one),
            "fc6": dense(4096, activation=nn.relu, bias_init=one),
            "fc7": dense(4096, activation=nn.relu, bias_init=one, dropout=self.dropout),
            "fc8": dense(self.num_classes, dropout=self.dropout),
        }

    @nn.nowrap
    def _torchvision(self) -> dict[str, nn.Module]:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}

        def layer(module: type[nn.Module], n_in: int, *args: int, **kwargs: object) -> nn.Module:
            inits = {"kernel_init": torch_uniform, "bias_init": uniform_within(n_in**-0.5)}
            return module(*args, **inits, **types, **kwargs)

        conv, dense = partial(layer, Conv), partial(layer, Dense)
        three = {"kernel": 3, "padding": 1}
        relu, pool, dropout = {"activation": nn.relu}, overlapping_pool, self.dropout
        return {
            "conv1": conv(11 * 11 * 3, 64, kernel=11, stride=4, padding=2, pool=pool, **relu),
            "conv2": conv(5 * 5 * 64, 192, kernel=5, padding=2, pool=pool, **relu),
            "conv3": conv(3 * 3 * 192, 384, **three, **relu),
            "conv4": conv(3 * 3 * 384, 256, **three, **relu),
            "conv5": conv(3 * 3 * 256, 256, pool=pool_to_six, **three, **relu),
            "fc6": dense(6 * 6 * 256, 4096, dropout=dropout, **relu),
            "fc7": dense(4096, 4096, dropout=dropout, **relu),
            "fc8": dense(4096, self.num_classes),
        }


def pool_to_six(x: jax.Array) -> jax.Array:
    """AlexNet's pooling, and maps of 6 x 6 pixels whatever the image is."""
    return adaptive_avg_pool(overlapping_pool(x), 6)


torch_uniform: Initializer = variance_scaling(1 / 3, "fan_in", "uniform")
"""Uniform in ±1 / sqrt(n_in), what torch.nn.Conv2d and torch.nn.Linear begin with."""


def uniform_within(bound: float) -> Initializer:
    """Uniform in ±bound."""

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound).astype(dtype)

    return draw


class AlexNetSmall(Network):
    """AlexNet's eight stages for images of 16 to 64 pixels: `[N, H, W, C] -> [N, num_classes]`.

    By default an eighth of the paper's filters (12, 32, 48, 48, 32); conv1 is 5 x 5 with stride 1
    instead of 11 x 11 with stride 4. There is no response normalisation (it "does not improve the
    performance", VGG, section 2.1). Weights are He-normal and biases zero, so that plain SGD
    trains it in a few hundred steps; fc8 keeps the paper's Gaussian with sd 0.01, so that training
    begins at uniform predictions.

    Attributes:
      width: filters of conv1, a multiple of 3; the others keep the paper's proportions
        96 : 256 : 384 : 384 : 256.
      units: of fc6 and of fc7.
      dropout: probability of zeroing an output of fc6 or fc7 in training; the paper's 0.5 keeps
        so small a network from learning in a few epochs.
    """

    num_classes: int = 10
    width: int = 12
    units: int = 128
    dropout: float = 0.0

    image: ClassVar = (32, 32, 3)

    def layers(self) -> dict[str, nn.Module]:
        if self.width < 3 or self.width % 3:
            raise CnnjaxError(f"width is {self.width}; give a multiple of 3, from 3 on")
        shared = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = partial(Conv, activation=nn.relu, **shared)
        dense = partial(Dense, **shared)
        head = partial(dense, kernel_init=initializers.gaussian(0.01))
        narrow, middle, wide = self.width, self.width * 8 // 3, self.width * 4
        return {
            "conv1": conv(narrow, kernel=5, padding=2, pool=overlapping_pool),
            "conv2": conv(middle, kernel=5, padding=2, pool=overlapping_pool),
            "conv3": conv(wide, kernel=3, padding=1),
            "conv4": conv(wide, kernel=3, padding=1),
            "conv5": conv(middle, kernel=3, padding=1, pool=overlapping_pool),
            "fc6": dense(self.units, activation=nn.relu),
            "fc7": dense(self.units, activation=nn.relu, dropout=self.dropout),
            "fc8": head(self.num_classes, dropout=self.dropout),
        }
