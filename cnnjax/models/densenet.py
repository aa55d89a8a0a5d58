"""DenseNet (Huang et al. 2017, "Densely connected convolutional networks"): the networks of table
1 for ImageNet, and DenseNet-BC for CIFAR."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.layers import (
    BatchNorm,
    Conv,
    ConvNorm,
    PoolDense,
    avg_pool,
    dropout,
    initializers,
    max_pool,
)
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

BOTTLENECK = 4
"""A 1 x 1 convolution gives its 3 x 3 one 4 k maps (section 3, "bottleneck layers")."""

# What the libraries add to variances, and keep of running statistics at each step.
NORMS = {
    "torchvision": {"momentum": 0.9, "epsilon": 1e-5},
    "keras": {"momentum": 0.99, "epsilon": 1.001e-5},
}


class NormReLU(BatchNorm):
    """relu(norm(x)): [..., C] -> [..., C], with the variables of `BatchNorm`."""

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return nn.relu(super().__call__(x, train=train))


class ConvDropout(Conv):
    """dropout(conv(x)), the dropout in training only; otherwise as `Conv`.

    Attributes:
      dropout: probability of zeroing an output.
    """

    dropout: float = 0.0

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = super().__call__(x, train=train)
        if not train or self.dropout == 0.0:
            return y
        return dropout(y, self.dropout, self.make_rng("dropout"))


class DenseLayer(nn.Module):
    """x_l = [x, H_l(x)], where x = [x_0, ..., x_(l-1)] are all maps of the block so far (equation
    2) and H_l is norm-ReLU-1 x 1 convolution to 4 k maps-norm-ReLU-3 x 3 convolution to k maps
    (section 3, "DenseNet-B").

    [N, H, W, C] -> [N, H, W, C + growth], parameters {"norm1", "conv1", "norm2", "conv2"}.

    Attributes:
      growth: k, the maps that the layer adds.
      make_norm: makes a normalisation with its ReLU.
      make_conv: makes a convolution of so many features and such a kernel.
    """

    growth: int
    make_norm: Callable[[], nn.Module]
    make_conv: Callable[..., nn.Module]

    def setup(self) -> None:
        self.norm1 = self.make_norm()
        self.conv1 = self.make_conv(BOTTLENECK * self.growth, kernel=1)
        self.norm2 = self.make_norm()
        self.conv2 = self.make_conv(self.growth, kernel=3, padding=1)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.conv1(self.norm1(x, train=train), train=train)
        y = self.conv2(self.norm2(y, train=train), train=train)
        return jnp.concatenate([x.astype(y.dtype), y], axis=-1)


class Transition(nn.Module):
    """Norm-ReLU-1 x 1 convolution, then 2 x 2 average pooling with stride 2 (section 3, "pooling
    layers"; that there is a ReLU stands below table 1).

    [N, H, W, C] -> [N, H // 2, W // 2, features], parameters {"norm", "conv"}. `make_norm` and
    `make_conv` are those of `DenseLayer`.
    """

    features: int
    make_norm: Callable[[], nn.Module]
    make_conv: Callable[..., nn.Module]

    def setup(self) -> None:
        self.norm = self.make_norm()
        self.conv = self.make_conv(self.features, kernel=1)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.conv(self.norm(x, train=train), train=train)
        return avg_pool(y, window=2, stride=2)


class DenseNet(Network):
    """DenseNet for ImageNet, table 1: conv1, four dense blocks with transitions between them, fc.

    `[N, 224, 224, 3] -> [N, num_classes]`, or any size from 29 x 29 on. The stages are

      conv1         7 x 7 convolution with stride 2 to 2 k maps, norm, ReLU, 3 x 3 max pooling
                    with stride 2
      dense1_1 ...  a layer of a dense block, i.e. 1 x 1 and 3 x 3 convolution: it gives all maps
                    of the block so far and k more
      transition1   1 x 1 convolution to half of the maps, 2 x 2 average pooling
      norm          norm and ReLU of the last block's maps
      fc            global average pooling, fully connected

    Norm and ReLU precede the convolution in the blocks, so that each layer scales and shifts in its
    own way the maps that all have in common. The last norm is a stage of its own, no part of the
    head: a new head keeps it, and without a head the network ends with the maps that Keras has
    with `include_top=False`. Convolutions have no biases. Weights are He's (section 4.2): Gaussian
    of variance 2 / fan_in, as torchvision's; the authors' Torch code has 2 / fan_out.

    Each layer of a block keeps its input for the backward pass, which grows from layer to layer:
    memory is quadratic in the layers of a block. With `remat=True` only these inputs are kept, and
    the rest is computed again. The authors do so with norms and ReLUs, and let the inputs share
    their memory (Pleiss et al. 2017, "Memory-efficient implementation of DenseNets").

    Attributes:
      dropout: probability of zeroing an output of any convolution but the first in training; the
        paper has 0.2 for data without augmentation (section 4.2), and none for ImageNet.
      variant: "torchvision" (momentum 0.9 and epsilon 1e-5 of the normalisations) or "keras" (0.99
        and 1.001e-5). There is no other difference: Keras pads symmetrically, too.

    Raises:
      CnnjaxError: an unknown variant.
    """

    dropout: float = 0.0
    variant: str = "torchvision"

    image: ClassVar = (224, 224, 3)
    growth: ClassVar[int] = 32  # k
    blocks: ClassVar[tuple[int, ...]]  # layers of each dense block

    def layers(self) -> dict[str, nn.Module]:
        constants = variant_of(self, NORMS)
        stem = ConvNorm(
            2 * self.growth,
            kernel=7,
            stride=2,
            padding=3,
            activation=nn.relu,
            pool=partial(max_pool, window=3, stride=2, padding=1),
            kernel_init=initializers.he_normal,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            **constants,
        )
        return stages_of(self, stem, constants)


class DenseNetBC(Network):
    """DenseNet-BC (L = 100, k = 12) for CIFAR: conv1, three dense blocks of (100 - 4) / 6 = 16
    layers with transitions between them, fc (section 3, "implementation details"; table 2).

    `[N, 32, 32, 3] -> [N, num_classes]`, or any size from 4 x 4 on; 769,162 parameters at 10
    classes, 0.8 million in the paper. Stages as in `DenseNet`, but for conv1: a 3 x 3 convolution
    with stride 1 and padding 1 to 2 k maps, without norm, ReLU and pooling, since the first dense
    layer begins with them. Momentum 0.9 and epsilon 1e-5, the defaults of the authors' Torch code.

    Attributes:
      dropout: as in `DenseNet`. The paper's 5.92 % error on CIFAR-10 without augmentation has 0.2,
        its 4.51 % with flips and shifts 0 (section 4.2, table 2).
    """

    num_classes: int = 10
    dropout: float = 0.0

    image: ClassVar = (32, 32, 3)
    growth: ClassVar[int] = 12  # k
    blocks: ClassVar[tuple[int, ...]] = (16, 16, 16)

    def layers(self) -> dict[str, nn.Module]:
        stem = Conv(
            2 * self.growth,
            kernel=3,
            padding=1,
            use_bias=False,
            kernel_init=initializers.he_normal,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        return stages_of(self, stem, NORMS["torchvision"])


def stages_of(
    network: DenseNet | DenseNetBC, stem: nn.Module, constants: dict[str, float]
) -> dict[str, nn.Module]:
    """The stages: conv1, the dense blocks with transitions between them, the last norm, the head.

    Args:
      network: whose blocks, growth, dropout and types are taken.
      stem: conv1, of 2 k maps.
      constants: momentum and epsilon of the normalisations.
    """
    types = {"dtype": network.dtype, "param_dtype": network.param_dtype}
    shared = {"kernel_init": initializers.he_normal, **types}
    norm = partial(NormReLU, **constants, **types)
    conv = partial(ConvDropout, dropout=network.dropout, use_bias=False, **shared)
    stages = {"conv1": stem}
    channels = 2 * network.growth
    for block, layers in enumerate(network.blocks, 1):
        for layer in range(1, layers + 1):
            stages[f"dense{block}_{layer}"] = DenseLayer(network.growth, norm, conv)
        channels += layers * network.growth
        if block < len(network.blocks):
            channels //= 2  # compression, theta = 0.5 (section 3, "DenseNet-C")
            stages[f"transition{block}"] = Transition(channels, norm, conv)
    return stages | {"norm": norm(), "fc": PoolDense(network.num_classes, **shared)}


class DenseNet121(DenseNet):
    """DenseNet-121: 7,978,856 parameters at 1,000 classes."""

    blocks = (6, 12, 24, 16)


class DenseNet169(DenseNet):
    """DenseNet-169: 14,149,480 parameters at 1,000 classes."""

    blocks = (6, 12, 32, 32)


class DenseNet201(DenseNet):
    """DenseNet-201: 20,013,928 parameters at 1,000 classes."""

    blocks = (6, 12, 48, 32)


class DenseNet161(DenseNet):
    """DenseNet-161, with k = 48: 28,681,000 parameters at 1,000 classes."""

    growth = 48
    blocks = (6, 12, 36, 24)
