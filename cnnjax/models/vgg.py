"""VGG (Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image
recognition"), configurations A, B, D and E of table 1, with batch normalisation or without."""

from functools import partial
from typing import ClassVar

import flax.linen as nn

from cnnjax.layers import Conv, ConvNorm, Dense, initializers, max_pool
from cnnjax.models.network import Network

# Filters of the 3 x 3 convolutions with stride 1 and padding 1, by block; 2 x 2 max pooling with
# stride 2 ends a block.
TABLE_1 = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "D": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    "E": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(Network):
    """VGG: blocks of 3 x 3 convolutions, then fc6, fc7, fc8.

    `[N, 224, 224, 3] -> [N, num_classes]`, or any size from 32 x 32 on, with as many more or fewer
    weights in fc6. The stages are the weight layers that the paper counts, 8 to 16 convolutions
    named conv(block)_(number) and three fully connected; the last convolution of a block includes
    its pooling. ReLU everywhere but at the end; dropout 0.5 on the outputs of fc6 and fc7 (section
    3.1; drawn at the input of the stage that follows). Maps are flattened in the order (height,
    width, channel); Caffe and torch flatten (channel, height, width).

    Weights are those of Glorot and Bengio (uniform), biases zero: the paper drew them from a
    Gaussian of sd 0.01 and had to begin with the trained layers of configuration A, and "found
    that it is possible to initialise the weights without pre-training" in this way (section 3.1).

    Attributes:
      dropout: probability of zeroing an output of fc6 or fc7 in training.
    """

    dropout: float = 0.5

    image: ClassVar = (224, 224, 3)
    configuration: ClassVar[str]  # the column of table 1
    batch_norm: ClassVar[bool] = False

    def layers(self) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": initializers.glorot_uniform,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        conv = partial(Conv, kernel=3, padding=1, activation=nn.relu, **shared)
        if self.batch_norm:
            # With biases, as torchvision, although the normalisation takes them away.
            norm = {"momentum": 0.9, "epsilon": 1e-5, "use_bias": True}
            conv = partial(ConvNorm, kernel=3, padding=1, activation=nn.relu, **norm, **shared)
        dense = partial(Dense, **shared)
        pool = partial(max_pool, window=2, stride=2)
        convolutions = {
            f"conv{block}_{number}": conv(filters, pool=pool if number == len(row) else None)
            for block, row in enumerate(TABLE_1[self.configuration], 1)
            for number, filters in enumerate(row, 1)
        }
        return convolutions | {
            "fc6": dense(4096, activation=nn.relu),
            "fc7": dense(4096, activation=nn.relu, dropout=self.dropout),
            "fc8": dense(self.num_classes, dropout=self.dropout),
        }


class VGG11(VGG):
    """VGG with 11 weight layers, configuration A: 132,863,336 parameters at 1,000 classes."""

    configuration = "A"


class VGG13(VGG):
    """VGG with 13 weight layers, configuration B: 133,047,848 parameters at 1,000 classes."""

    configuration = "B"


class VGG16(VGG):
    """VGG with 16 weight layers, configuration D: 138,357,544 parameters at 1,000 classes, and
    134,268,738 at lecture 5's 2."""

    configuration = "D"


class VGG19(VGG):
    """VGG with 19 weight layers, configuration E: 143,667,240 parameters at 1,000 classes."""

    configuration = "E"


class VGG11BN(VGG11):
    """VGG11 with batch normalisation after every convolution: 132,868,840 parameters."""

    batch_norm = True


class VGG13BN(VGG13):
    """VGG13 with batch normalisation after every convolution: 133,053,736 parameters."""

    batch_norm = True


class VGG16BN(VGG16):
    """VGG16 with batch normalisation after every convolution: 138,365,992 parameters."""

    batch_norm = True


class VGG19BN(VGG19):
    """VGG19 with batch normalisation after every convolution: 143,678,248 parameters."""

    batch_norm = True
