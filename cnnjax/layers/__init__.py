"""The layers: pure functions of arrays, and the two Flax modules made of them."""

from cnnjax.layers.convolution import conv2d
from cnnjax.layers.initializers import constant, gaussian, he_normal, lecun_uniform
from cnnjax.layers.max_pooling import max_pool
from cnnjax.layers.modules import Conv, Dense
from cnnjax.layers.normalization import local_response_norm
from cnnjax.layers.windows import Padding, output_size

__all__ = [
    "Conv",
    "Dense",
    "Padding",
    "constant",
    "conv2d",
    "gaussian",
    "he_normal",
    "lecun_uniform",
    "local_response_norm",
    "max_pool",
    "output_size",
]
