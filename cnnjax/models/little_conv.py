"""The small convolutional network of Chollet 2016, "Building powerful image classification models
using very little data" (the Keras blog)."""

from functools import partial
from typing import ClassVar

import flax.linen as nn

from cnnjax.layers import Conv, Dense, initializers, max_pool
from cnnjax.models.network import Network


class LittleConvNet(Network):
    """Three convolutions of 3 x 3, each with ReLU and max pooling 2 x 2, and two dense layers.

    `[N, 150, 150, 3] -> [N, num_classes]`, or any size from 22 x 22 on, with as many more or fewer
    weights in fc4; stages conv1 ... conv3, fc4 and the head fc5. 1,212,513 parameters with the one
    sigmoid unit that the blog has for its two classes, 1,212,578 with two units and softmax.

    Convolutions have 32, 32 and 64 filters and no padding; fc4 has 64 units, ReLU, and half of them
    are dropped in training. Weights are Glorot and Bengio's uniform ones, biases 0, as Keras' are.

    >>> LittleConvNet().stages
    ('conv1', 'conv2', 'conv3', 'fc4', 'fc5')
    """

    num_classes: int = 2

    image: ClassVar = (150, 150, 3)

    def layers(self) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": initializers.glorot_uniform,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        pool = partial(max_pool, window=2, stride=2)
        conv = partial(Conv, kernel=3, padding=0, activation=nn.relu, pool=pool, **shared)
        return {
            "conv1": conv(32),
            "conv2": conv(32),
            "conv3": conv(64),
            "fc4": Dense(64, activation=nn.relu, **shared),
            "fc5": Dense(self.num_classes, dropout=0.5, **shared),
        }
