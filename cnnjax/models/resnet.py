"""ResNet (He, Zhang, Ren and Sun 2016, "Deep residual learning for image recognition"), table 1,
and the two residual blocks of figure 5."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from cnnjax.layers import ConvNorm, PoolDense, initializers, max_pool
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

MakeConv = Callable[..., ConvNorm]
"""Makes a convolution with its batch normalisation: `ConvNorm` with momentum, epsilon,
initialisation and types bound, called as (features, kernel, ...)."""


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F two convolutions of 3 x 3 (figure 5, left).

    [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), features], parameters {"conv1": ...,
    "conv2": ..., "shortcut": ...}, each {"conv", "norm"}.

    Attributes:
      features: of both convolutions and of the output.
      conv: see `MakeConv`.
      stride: of the first convolution and of the shortcut.
      shortcut: x itself where the shapes agree; elsewhere, by section 3.3, "A" x[::stride,
        ::stride] with channels of zeros behind, "B" a 1 x 1 convolution with its normalisation.
        None leaves out every shortcut: relu(F(x)), the plain network.
      last_scale: initial gamma of F's last normalisation; zeros to begin as relu(shortcut(x)).

    >>> from cnnjax.layers import ConvNorm
    >>> block = BasicBlock(8, conv=partial(ConvNorm, momentum=0.9, epsilon=1e-5), stride=2)
    >>> images = jnp.ones((1, 7, 5, 4))
    >>> made = partial(block.init_with_output, train=False)
    >>> jax.eval_shape(made, jax.random.key(0), images)[0].shape
    (1, 4, 3, 8)
    """

    features: int
    conv: MakeConv
    stride: int = 1
    shortcut: Literal["A", "B"] | None = "B"
    last_scale: Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        conv = partial(self.conv, self.features, kernel=3, padding=1)
        y = conv(stride=self.stride, activation=nn.relu, name="conv1")(x, train=train)
        y = conv(scale_init=self.last_scale, name="conv2")(y, train=train)
        if self.shortcut is None:
            return nn.relu(y)
        shape_changes = self.stride > 1 or x.shape[-1] != self.features
        if shape_changes and self.shortcut == "A":
            more = self.features - x.shape[-1]
            x = jnp.pad(x[:, :: self.stride, :: self.stride], ((0, 0),) * 3 + ((0, more),))
        elif shape_changes:
            project = self.conv(self.features, 1, stride=self.stride, name="shortcut")
            x = project(x, train=train)
        return nn.relu(y + x.astype(y.dtype))


class Bottleneck(nn.Module):
    """relu(F(x) + shortcut(x)), F convolutions of 1 x 1, 3 x 3 and 1 x 1 (figure 5, right).

    [N, H, W, C] -> [N, ceil(H / s), ceil(W / s), features], s the product of `strides`, parameters
    {"conv1": ..., "conv2": ..., "conv3": ..., "shortcut": ...}, each {"conv", "norm"}. The
    shortcut is x itself where the shapes agree, and elsewhere a 1 x 1 convolution with its
    normalisation (section 3.3, option B).

    Attributes:
      width: of the first two convolutions.
      features: of the output.
      conv: see `MakeConv`.
      strides: of the first 1 x 1 and of the 3 x 3 convolution.
      groups: of the 3 x 3 convolution.
      last_scale: initial gamma of F's last normalisation; zeros to begin as relu(shortcut(x)).
    """

    width: int
    features: int
    conv: MakeConv
    strides: tuple[int, int] = (1, 1)
    groups: int = 1
    last_scale: Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        first, second = self.strides
        conv = partial(self.conv, self.width, activation=nn.relu)
        y = conv(kernel=1, stride=first, name="conv1")(x, train=train)
        y = conv(kernel=3, stride=second, padding=1, groups=self.groups, name="conv2")(
            y, train=train
        )
        y = self.conv(self.features, 1, scale_init=self.last_scale, name="conv3")(y, train=train)
        if first * second > 1 or x.shape[-1] != self.features:
            project = self.conv(self.features, 1, stride=first * second, name="shortcut")
            x = project(x, train=train)
        return nn.relu(y + x.astype(y.dtype))


@dataclass(frozen=True)
class Form:
    """What the sources of a ResNet do differently."""

    stride_in_3x3: bool  # of the bottleneck, or in its first 1 x 1 convolution
    use_bias: bool
    momentum: float
    epsilon: float
    kernel_init: Initializer
    head_init: Initializer


# "fan_out" is n_out of He et al. 2015, equation 14, which keeps the variance of what comes
# backwards; equation 10 with n_in, he_normal here, that of what goes forwards.
he_backward = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
torch_dense = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # ± 1 / sqrt(n_in)

FORMS = {
    "torchvision": Form(True, False, 0.9, 1e-5, he_backward, torch_dense),
    "paper": Form(False, False, 0.9, 1e-5, initializers.he_normal, initializers.he_normal),
    "keras": Form(False, True, 0.99, 1.001e-5, initializers.he_normal, initializers.he_normal),
}


class ResNet(Network):
    """ResNet: conv1, four groups of residual blocks conv2_1 ... conv5_3, and fc (table 1).

    `[N, 224, 224, 3] -> [N, num_classes]`, or any other size. conv1 is 7 x 7, 64, stride 2, with
    its 3 x 3 max pooling of stride 2; conv3_1, conv4_1 and conv5_1 have stride 2; fc takes the
    average of each map. Batch normalisation "right after each convolution and before activation"
    (section 3.4). Where a block changes the shape, its shortcut is a projection (option B); the
    others are identities.

    Variants (`resnet18` and `resnet34` have no bottleneck and no form in Keras):

      "torchvision": stride 2 in the 3 x 3 convolution of a bottleneck ("v1.5"), batch norm with
        momentum 0.9 and epsilon 1e-5, no biases of convolutions. Weights Gaussian of variance
        2 / n_out (He et al. 2015, equation 14), those of fc uniform within 1 / sqrt(n_in), as in
        the authors' later code in Torch.
      "paper": stride 2 in the first 1 x 1 convolution of a bottleneck, as in the networks that
        the authors released; all weights Gaussian of variance 2 / n_in ("as in [13]", equation
        10 there, section 3.4). The paper gives neither momentum nor epsilon nor padding; they are
        torchvision's here.
      "keras": stride as in "paper", biases in all convolutions although the normalisation takes
        them away, momentum 0.99 and epsilon 1.001e-5. Weights as in "paper"; Keras would draw
        them from Glorot's uniform.

    Biases begin at zero.

    Attributes:
      variant: see above.
      zero_init: whether the last batch norm scale of each block begins at 0, so that the block
        begins as its shortcut (Goyal et al. 2017, section 5.1); no source does by default.

    >>> ResNet18(num_classes=10).stages[:4]
    ('conv1', 'conv2_1', 'conv2_2', 'conv3_1')
    """

    variant: str = "torchvision"
    zero_init: bool = False

    image: ClassVar = (224, 224, 3)
    variants: ClassVar[tuple[str, ...]] = tuple(FORMS)
    blocks: ClassVar[tuple[int, int, int, int]]  # in conv2 ... conv5
    bottleneck: ClassVar[bool] = True
    groups: ClassVar[int] = 1
    width: ClassVar[int] = 64  # of conv2's 3 x 3 convolutions, in each group

    def layers(self) -> dict[str, nn.Module]:
        form = variant_of(self, {name: FORMS[name] for name in self.variants})
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = partial(
            ConvNorm,
            momentum=form.momentum,
            epsilon=form.epsilon,
            use_bias=form.use_bias,
            kernel_init=form.kernel_init,
            **types,
        )
        last_scale = nn.initializers.zeros if self.zero_init else nn.initializers.ones
        pool = partial(max_pool, window=3, stride=2, padding=1)
        stages = {"conv1": conv(64, 7, stride=2, padding=3, activation=nn.relu, pool=pool)}
        for group, count in enumerate(self.blocks):
            for number in range(1, count + 1):
                stride = 2 if group > 0 and number == 1 else 1
                if self.bottleneck:
                    block = Bottleneck(
                        self.groups * self.width * 2**group,
                        256 * 2**group,
                        conv,
                        strides=(1, stride) if form.stride_in_3x3 else (stride, 1),
                        groups=self.groups,
                        last_scale=last_scale,
                    )
                else:
                    block = BasicBlock(64 * 2**group, conv, stride, last_scale=last_scale)
                stages[f"conv{group + 2}_{number}"] = block
        head = PoolDense(self.num_classes, kernel_init=form.head_init, **types)
        return stages | {"fc": head}


class ResNet18(ResNet):
    """ResNet with 18 weight layers: 11,689,512 parameters at 1,000 classes."""

    variants = ("torchvision", "paper")
    blocks = (2, 2, 2, 2)
    bottleneck = False


class ResNet34(ResNet):
    """ResNet with 34 weight layers: 21,797,672 parameters at 1,000 classes."""

    variants = ("torchvision", "paper")
    blocks = (3, 4, 6, 3)
    bottleneck = False


class ResNet50(ResNet):
    """ResNet with 50 weight layers: 25,557,032 parameters, 25,583,592 with Keras' biases."""

    blocks = (3, 4, 6, 3)


class ResNet101(ResNet):
    """ResNet with 101 weight layers: 44,549,160 parameters, 44,601,832 with Keras' biases."""

    blocks = (3, 4, 23, 3)


class ResNet152(ResNet):
    """ResNet with 152 weight layers: 60,192,808 parameters, 60,268,520 with Keras' biases."""

    blocks = (3, 8, 36, 3)
