"""MobileNetV2 (Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks")."""

from functools import partial
from typing import ClassVar, NamedTuple

import flax.linen as nn
from jax.nn.initializers import variance_scaling

from cnnjax.errors import CnnjaxError
from cnnjax.layers import ConvNorm, InvertedResidual, Padding, PoolDense, initializers, relu6
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

# Table 2, the rows of bottlenecks.
# t: expansion, c: maps, n: repeats, s: stride of the first
TABLE_2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Variant(NamedTuple):
    """What implementations do differently: padding of 3 x 3 windows, and batch normalisation."""

    padding: Padding
    momentum: float
    epsilon: float


VARIANTS = {
    "torchvision": Variant(1, momentum=0.9, epsilon=1e-5),
    "keras": Variant("same", momentum=0.999, epsilon=1e-3),
}


class MobileNetV2(Network):
    """MobileNetV2: 3,504,872 parameters and 301 million multiply-adds at width 1.

    `[N, 224, 224, 3] -> [N, num_classes]`, or any size. The stages are those of table 2: conv1, the
    17 inverted residuals as bottleneck1 ... bottleneck17 (the text of section 4 says 19), the 1 x 1
    convolution conv2, and fc, which averages the maps. ReLU6 everywhere but at the end of a
    bottleneck, which is linear.

    Weights are torchvision's, since the paper says nothing of them: Gaussian of variance 2 /
    fan_out, where the fan-out of a depthwise convolution is that of its whole kernel, 9 C, and of
    deviation 0.01 in fc. Keras draws Glorot's uniform ones.

    Attributes:
      alpha: width multiplier; numbers of maps are made divisible by 8, and those of conv2 are never
        below 1280 (section 4, table 2 and text).
      dropout: probability of zeroing an average in training; 0.2 in torchvision and the authors'
        code, Keras' network has none.
      variant: "torchvision": padding of 1 all around; momentum 0.9, epsilon 1e-5 of the
        normalisations. "keras": an odd pixel of padding goes to the right and the bottom where the
        stride is 2, as TensorFlow pads; 0.999, 1e-3. Parameters are the same.
    """

    alpha: float = 1.0
    dropout: float = 0.2
    variant: str = "torchvision"

    image: ClassVar = (224, 224, 3)

    def layers(self) -> dict[str, nn.Module]:
        form = variant_of(self, VARIANTS)
        if not self.alpha > 0:
            raise CnnjaxError(
                f"the width multiplier alpha is {self.alpha}; give a positive one; the paper's "
                "are 0.35 to 1.4"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        fan_out = variance_scaling(2.0, "fan_out", "normal")
        norm = {"momentum": form.momentum, "epsilon": form.epsilon}
        conv = partial(ConvNorm, activation=relu6, kernel_init=fan_out, **norm, **types)
        bottleneck = partial(
            InvertedResidual,
            kernel=3,
            padding=form.padding,
            activation=relu6,
            kernel_init=fan_out,
            depthwise_init=fan_out,
            **norm,
            **types,
        )
        blocks = [
            bottleneck(make_divisible(c * self.alpha), expansion=t, stride=s if i == 0 else 1)
            for t, c, n, s in TABLE_2
            for i in range(n)
        ]
        return {
            "conv1": conv(make_divisible(32 * self.alpha), 3, stride=2, padding=form.padding),
            **{f"bottleneck{number}": block for number, block in enumerate(blocks, 1)},
            "conv2": conv(make_divisible(1280 * max(self.alpha, 1.0)), 1),
            "fc": PoolDense(
                self.num_classes, self.dropout, kernel_init=initializers.gaussian(0.01), **types
            ),
        }


def make_divisible(maps: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` (halves up), at least `divisor` itself, or the next one
    where that is more than a tenth below `maps` (the authors' code).

    >>> make_divisible(32 * 0.35), make_divisible(24 * 0.75), make_divisible(16 * 0.35)
    (16, 24, 8)
    """
    rounded = max(divisor, int(maps + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * maps else rounded
