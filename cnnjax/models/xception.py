"""Xception (Chollet 2017, "Xception: deep learning with depthwise separable convolutions")."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.layers import (
    BatchNorm,
    ConvNorm,
    PoolDense,
    SeparableConv,
    initializers,
    max_pool,
)
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

ArrayFunction = Callable[[jax.Array], jax.Array]

# Features of the separable convolutions, from figure 5.
ENTRY_FLOW = {"block2": (128, 128), "block3": (256, 256), "block4": (728, 728)}
MIDDLE_FLOW = {f"block{i}": (728, 728, 728) for i in range(5, 13)}
EXIT_FLOW = {"block13": (728, 1024)}

# Momentum and epsilon of the normalisations, padding of the poolings.
VARIANTS = {"keras": (0.99, 1e-3, "same"), "timm": (0.9, 1e-5, 1)}


class SeparableNorm(nn.Module):
    """activation(norm(conv(x))) with a separable 3 x 3 convolution, which keeps the maps' size.

    [N, H, W, C] -> [N, H, W, features], parameters {"conv": {"depthwise", "pointwise"}, "norm"}.
    """

    features: int
    momentum: float
    epsilon: float
    kernel_init: Initializer
    dtype: DTypeLike
    param_dtype: DTypeLike
    activation: ArrayFunction | None = None

    def setup(self) -> None:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.conv = SeparableConv(
            self.features, kernel=3, padding=1, kernel_init=self.kernel_init, **types
        )
        self.norm = BatchNorm(self.momentum, self.epsilon, **types)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.norm(self.conv(x, train=train), train=train)
        return y if self.activation is None else self.activation(y)


class Plain(nn.Module):
    """conv2(conv1(x)): the first and the last module, around which there is no shortcut.

    [N, H, W, C] -> [N, H', W', C'], parameters {"conv1", "conv2"}. `first` and `second` make a
    convolution with its norm and ReLU.
    """

    first: Callable[[], nn.Module]
    second: Callable[[], nn.Module]

    def setup(self) -> None:
        self.conv1, self.conv2 = self.first(), self.second()

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.conv2(self.conv1(x, train=train), train=train)


class Residual(nn.Module):
    """pool(g(x)) + shortcut(x), where g is ReLU and separable convolution with norm, repeated.

    [N, H, W, C] -> [N, H', W', features[-1]], parameters {"sepconv1", ..., "shortcut"}. There is no
    ReLU on the shortcut, nor behind the sum.

    Attributes:
      features: of each separable convolution.
      separable: makes one of so many features, with its norm.
      relu_first: whether there is a ReLU in front of the first one.
      pool: follows the last one where the maps become smaller.
      projection: makes the shortcut of so many features, where the maps become smaller.
    """

    features: tuple[int, ...]
    separable: Callable[[int], nn.Module]
    relu_first: bool = True
    pool: ArrayFunction | None = None
    projection: Callable[[int], nn.Module] | None = None

    def setup(self) -> None:
        for i, features in enumerate(self.features, 1):
            setattr(self, f"sepconv{i}", self.separable(features))
        if self.projection is not None:
            self.shortcut = self.projection(self.features[-1])

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = x
        for i in range(1, len(self.features) + 1):
            y = nn.relu(y) if i > 1 or self.relu_first else y
            y = getattr(self, f"sepconv{i}")(y, train=train)
        y = y if self.pool is None else self.pool(y)
        return y + (x if self.projection is None else self.shortcut(x, train=train))


class Xception(Network):
    """Xception, figure 5: 22,855,952 parameters at 1,000 classes, 36 convolutions in 14 modules.

    `[N, 299, 299, 3] -> [N, num_classes]`, or any size from 7 x 7 on. The stages are the modules,
    numbered as in Keras, and the logistic regression:

      block1         two 3 x 3 convolutions, the first with stride 2, without padding
      block2 to 4    entry flow: two separable convolutions and 3 x 3 max pooling with stride 2,
                     beside a 1 x 1 convolution with stride 2
      block5 to 12   middle flow: three separable convolutions beside the identity
      block13        exit flow: as block2 to 4
      block14        two separable convolutions
      fc             global average pooling, fully connected

    A norm follows every convolution, separable ones and those of shortcuts included; separable
    convolutions have nothing between their two parts (section 4.7) and no biases. ReLU is behind
    the norms of block 1 and 14, in front of every other separable convolution but the first.

    Weights are Glorot's (uniform), as those of Keras, in which the author built the network; the
    paper says nothing. For depthwise kernels [3, 3, 1, C] that means variance 2 / (9 + 9 C), as if
    all channels were connected.

    Attributes:
      dropout: probability of zeroing an input of fc in training; 0.5 for ImageNet, 0 for the
        larger JFT (section 4.3).
      variant: "keras", the author's: momentum 0.99 and epsilon 1e-3 of the normalisations,
        TensorFlow's padding "same" of the poolings, which depends on the maps' size; or "timm",
        i.e. timm's legacy_xception: 0.9, 1e-5 and 1 pixel on all sides. At 299 x 299 the two pad
        the pooling of block 3 differently.

    Raises:
      CnnjaxError: an unknown variant.
    """

    dropout: float = 0.5
    variant: str = "keras"

    image: ClassVar = (299, 299, 3)

    def layers(self) -> dict[str, nn.Module]:
        momentum, epsilon, pool_padding = variant_of(self, VARIANTS)
        shared = {
            "kernel_init": initializers.glorot_uniform,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        norm = {"momentum": momentum, "epsilon": epsilon}
        conv = partial(ConvNorm, **norm, **shared)
        separable = partial(SeparableNorm, **norm, **shared)
        residual = partial(Residual, separable=separable)
        smaller = partial(
            residual,
            pool=partial(max_pool, window=3, stride=2, padding=pool_padding),
            projection=partial(conv, kernel=1, stride=2),
        )
        return {
            "block1": Plain(
                partial(conv, 32, kernel=3, stride=2, activation=nn.relu),
                partial(conv, 64, kernel=3, activation=nn.relu),
            ),
            **{
                block: smaller(features, relu_first=block != "block2")
                for block, features in ENTRY_FLOW.items()
            },
            **{block: residual(features) for block, features in MIDDLE_FLOW.items()},
            **{block: smaller(features) for block, features in EXIT_FLOW.items()},
            "block14": Plain(
                partial(separable, 1536, activation=nn.relu),
                partial(separable, 2048, activation=nn.relu),
            ),
            "fc": PoolDense(self.num_classes, dropout=self.dropout, **shared),
        }
