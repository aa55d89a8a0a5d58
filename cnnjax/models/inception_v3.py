"""Inception v3 (Szegedy et al. 2016, "Rethinking the Inception architecture for computer
vision")."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from cnnjax.errors import CnnjaxError
from cnnjax.layers import (
    ConvNorm,
    PoolDense,
    avg_pool,
    initializers,
    max_pool,
    same_padding,
)
from cnnjax.models.network import Network, keep_auxiliary, wants_auxiliary
from cnnjax.models.variants import variant_of

ArrayFunction = Callable[[jax.Array], jax.Array]
ModuleFactory = Callable[..., nn.Module]
Convolve = Callable[..., jax.Array]  # (x, name, features, kernel, stride=1) -> array
Branches = Iterator[jax.Array]


class Variant(NamedTuple):
    """What torchvision and Keras do differently."""

    momentum: float
    use_scale: bool  # of batch normalisation
    count_padding: bool  # whether average pooling counts padded zeros as pixels
    dropout: float
    kernel_init: Initializer
    auxiliary_inits: tuple[Initializer, Initializer]  # of its 5 x 5 convolution and its logits


SMALLER = (initializers.gaussian(0.01), initializers.gaussian(0.001))
GLOROT = initializers.glorot_uniform
VARIANTS = {
    "torchvision": Variant(0.9, True, True, 0.5, initializers.gaussian(0.1), SMALLER),
    "keras": Variant(0.99, False, False, 0.0, GLOROT, (GLOROT, GLOROT)),
}

reducing_pool = partial(max_pool, window=3, stride=2)


def figure_5(conv: Convolve, average: ArrayFunction, x: jax.Array, projection: int) -> Branches:
    """Two 3 x 3 convolutions in place of a 5 x 5. The branch beside keeps its 5 x 5, where the
    figure has one 3 x 3."""
    yield conv(x, "branch1x1", 64, 1)
    y = conv(x, "branch5x5_1", 48, 1)
    yield conv(y, "branch5x5_2", 64, 5)
    y = conv(x, "branch3x3dbl_1", 64, 1)
    y = conv(y, "branch3x3dbl_2", 96, 3)
    yield conv(y, "branch3x3dbl_3", 96, 3)
    yield conv(average(x), "branch_pool", projection, 1)


def figure_10(conv: Convolve, average: ArrayFunction, x: jax.Array) -> Branches:
    """Half the pixels: stride 2 in convolutions and in a pooling, side by side."""
    yield conv(x, "branch3x3", 384, 3, stride=2)
    y = conv(x, "branch3x3dbl_1", 64, 1)
    y = conv(y, "branch3x3dbl_2", 96, 3)
    yield conv(y, "branch3x3dbl_3", 96, 3, stride=2)
    yield reducing_pool(x)


def figure_6(conv: Convolve, average: ArrayFunction, x: jax.Array, width: int) -> Branches:
    """A 1 x n and an n x 1 convolution in place of an n x n one, n = 7."""
    yield conv(x, "branch1x1", 192, 1)
    y = conv(x, "branch7x7_1", width, 1)
    y = conv(y, "branch7x7_2", width, (1, 7))
    yield conv(y, "branch7x7_3", 192, (7, 1))
    y = conv(x, "branch7x7dbl_1", width, 1)
    y = conv(y, "branch7x7dbl_2", width, (7, 1))
    y = conv(y, "branch7x7dbl_3", width, (1, 7))
    y = conv(y, "branch7x7dbl_4", width, (7, 1))
    yield conv(y, "branch7x7dbl_5", 192, (1, 7))
    yield conv(average(x), "branch_pool", 192, 1)


def figure_10_with_7(conv: Convolve, average: ArrayFunction, x: jax.Array) -> Branches:
    """As `figure_10`, with a 1 x 7 and a 7 x 1 convolution in one branch."""
    y = conv(x, "branch3x3_1", 192, 1)
    yield conv(y, "branch3x3_2", 320, 3, stride=2)
    y = conv(x, "branch7x7x3_1", 192, 1)
    y = conv(y, "branch7x7x3_2", 192, (1, 7))
    y = conv(y, "branch7x7x3_3", 192, (7, 1))
    yield conv(y, "branch7x7x3_4", 192, 3, stride=2)
    yield reducing_pool(x)


def figure_7(conv: Convolve, average: ArrayFunction, x: jax.Array) -> Branches:
    """A 1 x 3 and a 3 x 1 convolution side by side, for many channels of few pixels."""
    yield conv(x, "branch1x1", 320, 1)
    y = conv(x, "branch3x3_1", 384, 1)
    yield conv(y, "branch3x3_2a", 384, (1, 3))
    yield conv(y, "branch3x3_2b", 384, (3, 1))
    y = conv(x, "branch3x3dbl_1", 448, 1)
    y = conv(y, "branch3x3dbl_2", 384, 3)
    yield conv(y, "branch3x3dbl_3a", 384, (1, 3))
    yield conv(y, "branch3x3dbl_3b", 384, (3, 1))
    yield conv(average(x), "branch_pool", 192, 1)


BLOCKS = {
    "mixed_5b": partial(figure_5, projection=32),
    "mixed_5c": partial(figure_5, projection=64),
    "mixed_5d": partial(figure_5, projection=64),
    "mixed_6a": figure_10,
    "mixed_6b": partial(figure_6, width=128),
    "mixed_6c": partial(figure_6, width=160),
    "mixed_6d": partial(figure_6, width=160),
    "mixed_6e": partial(figure_6, width=192),
    "mixed_7a": figure_10_with_7,
    "mixed_7b": figure_7,
    "mixed_7c": figure_7,
}


class Mixed(nn.Module):
    """The branches of one of the paper's figures on one input, concatenated in their order.

    [N, H, W, C] -> [N, H, W, C'], or half of the pixels where the figure has a stride.

    Attributes:
      branches: the figure.
      conv: makes a convolution with batch normalisation and ReLU.
      average: the average pooling that keeps the size.
      auxiliary: makes the auxiliary head, which takes the outcome.
    """

    branches: Callable[[Convolve, ArrayFunction, jax.Array], Branches]
    conv: ModuleFactory
    average: ArrayFunction
    auxiliary: ModuleFactory | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(
            x: jax.Array, name: str, features: int, kernel: int | tuple[int, int], stride: int = 1
        ) -> jax.Array:
            padding = same_padding(kernel) if stride == 1 else 0
            layer = self.conv(features, kernel, stride=stride, padding=padding, name=name)
            return layer(x, train=train)

        y = jnp.concatenate(list(self.branches(conv, self.average, x)), axis=-1)
        if self.auxiliary is not None and wants_auxiliary(self, train):
            keep_auxiliary(self, self.auxiliary(name="auxiliary")(y, train=train))
        return y


class AuxiliaryHead(nn.Module):
    """The classifier on the last 17 x 17 maps (section 4, figure 8): pooling, 128 filters of
    1 x 1, 768 of 5 x 5, logits. [N, H, W, C] -> [N, num_classes], H and W from 17 on."""

    num_classes: int
    conv: ModuleFactory
    dense: ModuleFactory
    inits: tuple[Initializer, Initializer]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if min(x.shape[1:3]) < 17:
            raise CnnjaxError(
                f"the auxiliary head takes maps of 17 x 17 at least and these are {x.shape[1]} x "
                f"{x.shape[2]}; give images of 299 x 299 at least, or auxiliary=False"
            )
        wide, logits = self.inits
        x = avg_pool(x, window=5, stride=3)
        x = self.conv(128, 1, name="conv0")(x, train=train)
        x = self.conv(768, 5, kernel_init=wide, name="conv1")(x, train=train)
        return self.dense(self.num_classes, kernel_init=logits, name="fc")(x, train=train)


class InceptionV3(Network):
    """Inception v3: five convolutions, eleven modules of branches, one linear layer.

    `[N, 299, 299, 3] -> [N, num_classes]`, or any size from 299 x 299 on, from 75 x 75 on with
    `auxiliary=False`. Stages are named as in the network that the authors released for
    TensorFlow, since the paper numbers figures: "mixed_5b" ... "mixed_5d" (figure 5), "mixed_6a"
    (figure 10), "mixed_6b" ... "mixed_6e" (figure 6), "mixed_7a" (figure 10), "mixed_7b" and
    "mixed_7c" (figure 7). The max poolings belong to "conv_2b" and "conv_4a". Batch normalisation
    (epsilon 1e-3) and ReLU follow every convolution, which has no bias.

    Table 1 of the paper is of another network than the released one, which this is: behind the
    first pooling it has convolutions of 3 x 3 to 80, 192 (stride 2) and 288 channels, and no
    second pooling; and it counts 3, 5 and 2 modules of figures 5, 6 and 7, where here are 3, 4
    and 2, and two of figure 10.

    "torchvision": 27,161,264 parameters, 23,834,568 without the auxiliary head. Momentum 0.9,
    average pooling counts padded zeros as pixels, 50 % dropout; weights begin Gaussian with sd
    0.1, in the auxiliary head 0.01 (5 x 5) and 0.001 (logits). Its `transform_input` is
    preprocessing, not network.

    "keras": 23,817,352 parameters without the auxiliary head, which Keras lacks. Momentum 0.99,
    no scale in batch normalisation, averages over the pixels of the image only, no dropout;
    weights begin as Glorot and Bengio's (uniform).

    Attributes:
      variant: "torchvision" or "keras".
      auxiliary: whether mixed_6e has a classifier of its own. It runs in training only, and its
        loss counts with a weight of 0.4, as in the authors' TensorFlow code; the paper says
        nothing of it, and GoogLeNet has 0.3. Another `num_classes` changes its last layer too.
      dropout: probability of zeroing an input of the linear layer in training; None for that of
        the variant.
    """

    variant: str = "torchvision"
    auxiliary: bool = True
    dropout: float | None = None

    image: ClassVar = (299, 299, 3)
    auxiliary_weight: ClassVar = 0.4

    def layers(self) -> dict[str, nn.Module]:
        form = variant_of(self, VARIANTS)
        shared = {
            "kernel_init": form.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        norm = {"momentum": form.momentum, "epsilon": 1e-3, "use_scale": form.use_scale}
        conv = partial(ConvNorm, activation=nn.relu, **norm, **shared)
        average = partial(avg_pool, window=3, stride=1, padding=1, count_padding=form.count_padding)
        dense = partial(PoolDense, **shared)
        head = partial(AuxiliaryHead, self.num_classes, conv, dense, form.auxiliary_inits)
        heads = {"mixed_6e"} if self.auxiliary and self.num_classes else set()
        blocks = {
            stage: Mixed(branches, conv, average, head if stage in heads else None)
            for stage, branches in BLOCKS.items()
        }
        return {
            "conv_1a": conv(32, kernel=3, stride=2),
            "conv_2a": conv(32, kernel=3),
            "conv_2b": conv(64, kernel=3, padding=1, pool=reducing_pool),
            "conv_3b": conv(80, kernel=1),
            "conv_4a": conv(192, kernel=3, pool=reducing_pool),
            **blocks,
            "linear": dense(
                self.num_classes,
                dropout=form.dropout if self.dropout is None else self.dropout,
            ),
        }
