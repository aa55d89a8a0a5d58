"""The layers: pure functions of arrays, and the Flax modules made of them."""

from cnnjax.layers import kernels
from cnnjax.layers.activations import (
    elu,
    leaky_relu,
    maxout,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from cnnjax.layers.adaptive_pooling import adaptive_avg_pool
from cnnjax.layers.average_pooling import avg_pool, global_avg_pool
from cnnjax.layers.blocks import ConvNorm, PoolDense, SeparableConv
from cnnjax.layers.convolution import conv2d
from cnnjax.layers.initializers import (
    constant,
    gaussian,
    glorot_truncated,
    glorot_uniform,
    he_normal,
    he_truncated,
    lecun_uniform,
    truncated_normal,
)
from cnnjax.layers.inverted_residual import InvertedResidual, SqueezeExcite
from cnnjax.layers.max_pooling import max_pool
from cnnjax.layers.modules import Conv, Dense, Maxout
from cnnjax.layers.normalization import BatchNorm, batch_norm, batch_statistics
from cnnjax.layers.pooling import lp_pool, subsample
from cnnjax.layers.regularization import dropout, max_norm, stochastic_depth
from cnnjax.layers.response_normalization import local_response_norm
from cnnjax.layers.windows import Padding, PadMode, output_size, same_padding

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvNorm",
    "Dense",
    "InvertedResidual",
    "Maxout",
    "PadMode",
    "Padding",
    "PoolDense",
    "SeparableConv",
    "SqueezeExcite",
    "adaptive_avg_pool",
    "avg_pool",
    "batch_norm",
    "batch_statistics",
    "constant",
    "conv2d",
    "dropout",
    "elu",
    "gaussian",
    "global_avg_pool",
    "glorot_truncated",
    "glorot_uniform",
    "he_normal",
    "he_truncated",
    "kernels",
    "leaky_relu",
    "lecun_uniform",
    "local_response_norm",
    "lp_pool",
    "max_norm",
    "max_pool",
    "maxout",
    "output_size",
    "relu",
    "relu6",
    "same_padding",
    "sigmoid",
    "silu",
    "softmax",
    "stochastic_depth",
    "subsample",
    "tanh",
    "truncated_normal",
]
