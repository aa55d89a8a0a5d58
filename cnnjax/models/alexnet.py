"""AlexNet (Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional
neural networks") and the same eight stages at the size of small images."""

from functools import partial
from typing import ClassVar

import flax.linen as nn

from cnnjax.errors import CnnjaxError
from cnnjax.layers import Conv, Dense, initializers, local_response_norm, max_pool
from cnnjax.models.network import Network

overlapping_pool = partial(max_pool, window=3, stride=2)  # section 3.4


class AlexNet(Network):
    """AlexNet in one tower: 62,378,344 parameters at 1,000 classes.

    `[N, 227, 227, 3] -> [N, num_classes]`. The paper prints 224, but its 55 x 55 maps need 227
    without padding. The lecture's table says 62,369,152: it leaves out the biases of fc6 to fc8.
    The paper's two-GPU grouping of conv2, conv4 and conv5 is not in this form. Response
    normalisation with k = 2, n = 5, alpha = 1e-4, beta = 0.75 before pooling (section 3.3);
    dropout 0.5 on the outputs of fc6 and fc7 (section 4.2; drawn at the input of the stage that
    follows); weights Gaussian with sd 0.01, biases 1 in conv2, conv4, conv5, fc6, fc7 and 0
    elsewhere (section 5).

    Attributes:
      dropout: probability of zeroing an output of fc6 or fc7 in training.
    """

    dropout: float = 0.5

    image: ClassVar = (227, 227, 3)

    def layers(self) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": initializers.gaussian(0.01),
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        conv = partial(Conv, activation=nn.relu, **shared)
        dense = partial(Dense, **shared)
        lrn, one = local_response_norm, initializers.constant(1.0)
        return {
            "conv1": conv(96, kernel=11, stride=4, norm=lrn, pool=overlapping_pool),
            "conv2": conv(256, kernel=5, padding=2, norm=lrn, pool=overlapping_pool, bias_init=one),
            "conv3": conv(384, kernel=3, padding=1),
            "conv4": conv(384, kernel=3, padding=1, bias_init=one),
            "conv5": conv(256, kernel=3, padding=1, pool=overlapping_pool, bias_init=one),
            "fc6": dense(4096, activation=nn.relu, bias_init=one),
            "fc7": dense(4096, activation=nn.relu, bias_init=one, dropout=self.dropout),
            "fc8": dense(self.num_classes, dropout=self.dropout),
        }


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
