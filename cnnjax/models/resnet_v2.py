"""ResNet with pre-activation (He, Zhang, Ren and Sun 2016, "Identity mappings in deep residual
networks"), in the form that Keras has."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.layers import BatchNorm, Conv, ConvNorm, PoolDense, max_pool
from cnnjax.models.network import Network


class PreActivationBottleneck(nn.Module):
    """shortcut + F(relu(norm(x))), F convolutions of 1 x 1, 3 x 3 and 1 x 1 (figure 1b).

    [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), 4 width], parameters {"preact": ...,
    "conv1": {"conv", "norm"}, "conv2": {"conv", "norm"}, "conv3": ..., "shortcut": ..., "post":
    ...}. Nothing follows the sum, so that what a unit adds reaches the end unchanged. The last
    convolution and the projection have biases; the first two, which are normalised, have none.

    Attributes:
      width: of the first two convolutions.
      conv: makes a `Conv` called as (features, kernel, ...).
      norm: makes a `BatchNorm` called with no more than a name.
      conv_norm: makes a `ConvNorm` called as (features, kernel, ...).
      stride: of the 3 x 3 convolution; a shortcut without projection is max pooling of 1 x 1
        pixels with this stride, i.e. x[::stride, ::stride].
      project: whether the shortcut is a 1 x 1 convolution of relu(norm(x)).
      post: whether relu(norm(.)) follows the sum.
    """

    width: int
    conv: Callable[..., Conv]
    norm: Callable[..., BatchNorm]
    conv_norm: Callable[..., ConvNorm]
    stride: int = 1
    project: bool = False
    post: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        features = 4 * self.width
        before = nn.relu(self.norm(name="preact")(x, train=train))
        if self.project:
            project = self.conv(features, 1, stride=self.stride, name="shortcut")
            shortcut = project(before, train=train)
        else:
            shortcut = max_pool(x, window=1, stride=self.stride)
        conv = partial(self.conv_norm, self.width, activation=nn.relu)
        y = conv(kernel=1, name="conv1")(before, train=train)
        y = conv(kernel=3, stride=self.stride, padding=1, name="conv2")(y, train=train)
        y = self.conv(features, 1, name="conv3")(y, train=train)
        y = y + shortcut.astype(y.dtype)
        return nn.relu(self.norm(name="post")(y, train=train)) if self.post else y


def zero_padded_pool(x: jax.Array) -> jax.Array:
    """3 x 3 max pooling with stride 2 of an image with a frame of zeros. Nothing makes the input
    positive here, so that zeros can win where they do not in `max_pool(..., padding=1)`."""
    return max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), window=3, stride=2)


class ResNetV2(Network):
    """ResNetV2: conv1, four groups of pre-activation units conv2_1 ... conv5_3, and fc.

    `[N, 224, 224, 3] -> [N, num_classes]`, or any other size. conv1 is 7 x 7, 64, stride 2, with a
    bias and without normalisation, and includes its pooling. "For the last Residual Unit [...], we
    adopt an extra activation right after its element-wise addition" (appendix): it belongs to
    conv5_3 here, with its normalisation, so that `num_classes=0` gives maps that are ready for use
    and no stage has nothing but a normalisation.

    As in Keras and unlike the authors' networks, stride 2 lies in the LAST unit of conv2, conv3
    and conv4, not in the first of conv3, conv4 and conv5; conv1 has no normalisation and ReLU of
    its own, which the first unit has instead, after the pooling, and what is pooled is padded with
    zeros; the convolutions that nothing normalises have biases. Momentum 0.99, epsilon 1.001e-5.
    Weights are Gaussian of variance 2 / n_in (He et al. 2015, equation 10, which the appendix
    cites), biases zero; Keras would draw from Glorot's uniform.
    """

    image: ClassVar = (224, 224, 3)
    blocks: ClassVar[tuple[int, int, int, int]]  # in conv2 ... conv5

    def layers(self) -> dict[str, nn.Module]:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        rates = {"momentum": 0.99, "epsilon": 1.001e-5}
        conv = partial(Conv, **types)
        unit = partial(
            PreActivationBottleneck,
            conv=conv,
            norm=partial(BatchNorm, **rates, **types),
            conv_norm=partial(ConvNorm, **rates, **types),
        )
        stages = {"conv1": conv(64, 7, stride=2, padding=3, pool=zero_padded_pool)}
        for group, count in enumerate(self.blocks):
            for number in range(1, count + 1):
                is_last = number == count
                stages[f"conv{group + 2}_{number}"] = unit(
                    64 * 2**group,
                    stride=2 if is_last and group < 3 else 1,
                    project=number == 1,
                    post=is_last and group == 3,
                )
        return stages | {"fc": PoolDense(self.num_classes, **types)}


class ResNet50V2(ResNetV2):
    """ResNetV2 with 50 weight layers: 25,568,360 parameters at 1,000 classes."""

    blocks = (3, 4, 6, 3)


class ResNet101V2(ResNetV2):
    """ResNetV2 with 101 weight layers: 44,577,896 parameters at 1,000 classes."""

    blocks = (3, 4, 23, 3)


class ResNet152V2(ResNetV2):
    """ResNetV2 with 152 weight layers: 60,236,904 parameters at 1,000 classes."""

    blocks = (3, 8, 36, 3)
