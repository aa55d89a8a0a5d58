"""EfficientNet (Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural
networks"), B0 to B7."""

import math
import string
from functools import partial
from typing import ClassVar, NamedTuple

import flax.linen as nn
from jax.nn.initializers import variance_scaling

from cnnjax.layers import ConvNorm, InvertedResidual, PoolDense, initializers, silu
from cnnjax.models.mobilenet_v2 import make_divisible
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

# Table 1, stages 2 to 8 of EfficientNet-B0.
# t: expansion, k: kernel, s: stride of the first, c: maps, n: layers
TABLE_1 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class Norm(NamedTuple):
    """The constants of batch normalisation."""

    momentum: float
    epsilon: float


TENSORFLOW = Norm(momentum=0.99, epsilon=1e-3)
TORCH = Norm(momentum=0.9, epsilon=1e-5)


class EfficientNet(Network):
    """EfficientNet: MobileNetV2's block with squeeze-and-excitation, scaled in width, depth and
    resolution together.

    `[N, image[0], image[1], 3] -> [N, num_classes]`, or any size. The stages are the stem (3 x 3
    convolution), each MBConv block, block1a ... block7a of B0, top (1 x 1 convolution) and fc,
    which averages the maps; the blocks of stage i in table 1 are called block(i - 1), as in Keras.
    SiLU everywhere but at the end of a block. An excitation squeezes its vector to a quarter of
    the maps that go INTO the block.

    A width w makes each number of maps w times as large, and divisible by 8; a depth d makes
    ceil(d n) of n blocks. (w, d, image) is the authors': the paper's compound coefficient (section
    3.3, equation 3) gives it but for rounding.

    Weights are those of the authors' code: Gaussian of variance 2 / fan_out, where the fan-out of
    a depthwise convolution is that of one map, k k; uniform in ±1 / sqrt(num_classes) in fc.
    torchvision takes k k C for a depthwise convolution.

    Attributes:
      dropout: probability of zeroing an average in training (section 5.2), 0.2 for B0 to 0.5 for
        B7.
      drop_connect: rate at which a block's branch is dropped in training, growing linearly from 0
        at the first block to this at the one that would follow the last (section 5.2: "stochastic
        depth with survival probability 0.8").
      variant: "torchvision": padding of (k - 1) / 2 all around; momentum 0.9 and epsilon 1e-5 of
        the normalisations for B0 to B4, 0.99 and 1e-3 for B5 to B7. "keras": an odd pixel of
        padding goes to the right and the bottom where the stride is 2, as TensorFlow pads, 0.99
        and 1e-3 for all, as in the authors' code. Parameters are the same. Keras' networks also
        scale the images from 0 ... 255, which is preprocessing here.
    """

    dropout: float = 0.2
    drop_connect: float = 0.2
    variant: str = "torchvision"

    width: ClassVar[float]
    depth: ClassVar[float]
    torch_norm: ClassVar[Norm] = TORCH

    def layers(self) -> dict[str, nn.Module]:
        norm = variant_of(self, {"torchvision": self.torch_norm, "keras": TENSORFLOW})
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        shared = {"activation": silu, **norm._asdict(), **types}
        fan_out = variance_scaling(2.0, "fan_out", "normal")
        conv = partial(ConvNorm, kernel_init=fan_out, **shared)
        # A depthwise kernel has k k weights a map: its fan-in and its fan-out.
        block = partial(
            InvertedResidual, kernel_init=fan_out, depthwise_init=initializers.he_normal, **shared
        )
        rows = self._blocks()
        blocks = {
            name: block(c, drop=self.drop_connect * number / len(rows), **arguments)
            for number, (name, c, arguments) in enumerate(rows)
        }
        uniform = variance_scaling(1 / 3, "fan_out", "uniform")
        return {
            "stem": conv(self._maps(32), 3, stride=2, padding=self._padding(3)),
            **blocks,
            "top": conv(self._maps(1280), 1),
            "fc": PoolDense(self.num_classes, self.dropout, kernel_init=uniform, **types),
        }

    @nn.nowrap
    def _blocks(self) -> list[tuple[str, int, dict[str, object]]]:
        """(name, maps, other arguments) of each block."""
        blocks, maps_in = [], self._maps(32)
        for number, (t, k, s, c, n) in enumerate(TABLE_1, 1):
            for i in range(math.ceil(self.depth * n)):
                arguments = {
                    "expansion": t,
                    "kernel": k,
                    "stride": s if i == 0 else 1,
                    "padding": self._padding(k),
                    "squeezed": max(1, maps_in // 4),
                }
                name = f"block{number}{string.ascii_lowercase[i]}"
                maps_in = self._maps(c)
                blocks.append((name, maps_in, arguments))
        return blocks

    @nn.nowrap
    def _maps(self, maps: int) -> int:
        return make_divisible(maps * self.width)

    @nn.nowrap
    def _padding(self, kernel: int) -> int | str:
        return "same" if self.variant == "keras" else (kernel - 1) // 2


class EfficientNetB0(EfficientNet):
    """EfficientNet-B0, table 1: 5,288,548 parameters at 1,000 classes."""

    width, depth = 1.0, 1.0
    image = (224, 224, 3)


class EfficientNetB1(EfficientNet):
    """EfficientNet-B1: 7,794,184 parameters at 1,000 classes."""

    width, depth = 1.0, 1.1
    image = (240, 240, 3)


class EfficientNetB2(EfficientNet):
    """EfficientNet-B2: 9,109,994 parameters at 1,000 classes."""

    dropout: float = 0.3

    width, depth = 1.1, 1.2
    image = (260, 260, 3)


class EfficientNetB3(EfficientNet):
    """EfficientNet-B3: 12,233,232 parameters at 1,000 classes."""

    dropout: float = 0.3

    width, depth = 1.2, 1.4
    image = (300, 300, 3)


class EfficientNetB4(EfficientNet):
    """EfficientNet-B4: 19,341,616 parameters at 1,000 classes."""

    dropout: float = 0.4

    width, depth = 1.4, 1.8
    image = (380, 380, 3)


class EfficientNetB5(EfficientNet):
    """EfficientNet-B5: 30,389,784 parameters at 1,000 classes."""

    dropout: float = 0.4

    width, depth = 1.6, 2.2
    image = (456, 456, 3)
    torch_norm = TENSORFLOW


class EfficientNetB6(EfficientNet):
    """EfficientNet-B6: 43,040,704 parameters at 1,000 classes."""

    dropout: float = 0.5

    width, depth = 1.8, 2.6
    image = (528, 528, 3)
    torch_norm = TENSORFLOW


class EfficientNetB7(EfficientNet):
    """EfficientNet-B7: 66,347,960 parameters at 1,000 classes."""

    dropout: float = 0.5

    width, depth = 2.0, 3.1
    image = (600, 600, 3)
    torch_norm = TENSORFLOW
