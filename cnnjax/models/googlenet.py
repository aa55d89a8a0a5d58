"""GoogLeNet, later called Inception v1 (Szegedy et al. 2015, "Going deeper with convolutions")."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError
from cnnjax.layers import (
    Conv,
    ConvNorm,
    Dense,
    PoolDense,
    adaptive_avg_pool,
    avg_pool,
    initializers,
    local_response_norm,
    max_pool,
    same_padding,
)
from cnnjax.models.network import Network, keep_auxiliary, wants_auxiliary
from cnnjax.models.variants import variant_of

ArrayFunction = Callable[[jax.Array], jax.Array]
ModuleFactory = Callable[..., nn.Module]

TABLE_1 = {
    # 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool proj
    "inception_3a": (64, 96, 128, 16, 32, 32),
    "inception_3b": (128, 128, 192, 32, 96, 64),
    "inception_4a": (192, 96, 208, 16, 48, 64),
    "inception_4b": (160, 112, 224, 24, 64, 64),
    "inception_4c": (128, 128, 256, 24, 64, 64),
    "inception_4d": (112, 144, 288, 32, 64, 64),
    "inception_4e": (256, 160, 320, 32, 128, 128),
    "inception_5a": (256, 160, 320, 32, 128, 128),
    "inception_5b": (384, 192, 384, 48, 128, 128),
}


def hanging_pool(x: jax.Array, window: int, stride: int = 2) -> jax.Array:
    """Maxima over windows of which the last may hang over the end (`ceil_mode` in torch, and what
    Caffe always does): ceil((n - window) / stride) + 1 of them in each direction."""
    rows, columns = ((0, (window - n) % stride) for n in x.shape[1:3])
    return max_pool(x, window, stride, padding=(rows, columns))


class Inception(nn.Module):
    """Convolutions of three sizes and a pooling side by side, each behind or before a 1 x 1
    convolution that makes it cheap (figure 2b).

    [N, H, W, C] -> [N, H, W, 1x1 + 3x3 + 5x5 + pool proj], the order of the channels.

    Attributes:
      filters: a row of table 1.
      conv: makes a convolution with its nonlinearity, called as
        `conv(features, kernel, padding=..., name=...)`.
      kernel5x5: of the branch "5x5".
      pool: acts on the outcome.
      auxiliary: makes the auxiliary head, which takes the outcome before `pool`.
    """

    filters: tuple[int, int, int, int, int, int]
    conv: ModuleFactory
    kernel5x5: int = 5
    pool: ArrayFunction | None = None
    auxiliary: ModuleFactory | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(x: jax.Array, name: str, features: int, kernel: int) -> jax.Array:
            layer = self.conv(features, kernel, padding=same_padding(kernel), name=name)
            return layer(x, train=train)

        n1x1, reduce3x3, n3x3, reduce5x5, n5x5, projection = self.filters
        y = jnp.concatenate(
            [
                conv(x, "conv1x1", n1x1, 1),
                conv(conv(x, "reduce3x3", reduce3x3, 1), "conv3x3", n3x3, 3),
                conv(conv(x, "reduce5x5", reduce5x5, 1), "conv5x5", n5x5, self.kernel5x5),
                conv(max_pool(x, window=3, stride=1, padding=1), "projection", projection, 1),
            ],
            axis=-1,
        )
        if self.auxiliary is not None and wants_auxiliary(self, train):
            keep_auxiliary(self, self.auxiliary(name="auxiliary")(y, train=train))
        return y if self.pool is None else self.pool(y)


class ReducedConv(nn.Module):
    """The row "convolution 3x3/1" of table 1: 64 filters of 1 x 1 ("3x3 reduce"), 192 of 3 x 3."""

    conv: ModuleFactory
    pool: ArrayFunction

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = self.conv(64, 1, name="reduce3x3")(x, train=train)
        return self.pool(self.conv(192, 3, padding=1, name="conv3x3")(x, train=train))


class AuxiliaryHead(nn.Module):
    """The classifier on inception_4a and inception_4d (section 5): pooling, 128 filters of 1 x 1,
    1,024 units, 70 % dropout, logits. [N, H, W, C] -> [N, num_classes]."""

    num_classes: int
    conv: ModuleFactory
    hidden: ModuleFactory
    dense: ModuleFactory
    pool: ArrayFunction
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = self.conv(128, 1, name="conv")(self.pool(x), train=train)
        x = self.hidden(1024, name="fc1")(x, train=train)
        return self.dense(self.num_classes, dropout=self.dropout, name="fc2")(x, train=train)


def five_by_five_pool(x: jax.Array) -> jax.Array:
    """The paper's pooling for the auxiliary heads: means over 5 x 5 pixels at a stride of 3."""
    if min(x.shape[1:3]) < 5:
        raise CnnjaxError(
            f"the auxiliary head averages 5 x 5 pixels and its maps are {x.shape[1]} x "
            f"{x.shape[2]}; give larger images, or auxiliary=False"
        )
    return avg_pool(x, window=5, stride=3)


class GoogLeNet(Network):
    """GoogLeNet: two convolutions, nine inception modules, one linear layer (table 1).

    `[N, 224, 224, 3] -> [N, num_classes]`, or smaller images, see below. A stage is a row of table
    1 that has weights: "conv1", "conv2" (with its "3x3 reduce"), "inception_3a" ...
    "inception_5b", "linear"; the rows in between, the max poolings, belong to the stage in front
    of them, the average pooling and dropout to the linear layer. ReLU after every convolution.

    Both variants place the windows as Caffe and torch do, where the paper just says "S" (the
    outputs are the inputs over the stride) or "V" (no padding; figure 3): convolutions are padded
    evenly, poolings of stride 2 at the end, as much as the last window needs.

    "torchvision", the default, because there are weights for it and because it trains whatever the
    image's size, from 15 x 15 on: 6,624,904 parameters, 13,004,888 with the auxiliary heads. A port
    of a network that Google trained later: batch normalisation (epsilon 1e-3, momentum 0.9) in
    place of biases and of response normalisation; 3 x 3 filters in the branch "5x5"
    (pytorch/vision, issue 906: a mistake that the weights cannot do without); inception_4e is
    pooled over 2 x 2 pixels; 20 % dropout; the auxiliary heads average the cells of a 4 x 4 grid,
    whatever the size. Weights begin Gaussian with sd 0.01.

    "paper": 6,998,552 parameters, 13,378,280 with the auxiliary heads at 224 x 224. Biases,
    response normalisation (figure 3) after the first and before the second pooling, 5 x 5 filters,
    3 x 3 poolings, 40 % dropout; the auxiliary heads average 5 x 5 pixels at a stride of 3, so that
    they take images from 79 x 79 on, the rest from 31 x 31, and the weights of their "fc1" depend
    on the size. What the paper leaves open is that of BVLC's replication in Caffe, made with its
    first author's help: response normalisation over 5 channels with k = 1 and alpha = 1e-4 / 5
    (beta = 0.75), weights uniform with a variance of 1 / fan_in ("xavier"; the paper's are Gaussian
    of an unknown sd), biases 0.2 but for those of logits, 0.

    Table 1's own figures do not all add up. "Params" count filters without biases, in units of
    1,024; those of conv1 (2.7K, where 7 x 7 x 3 x 64 are 9.2K), 4a (364K for 367K), 4c (463 for
    498), 4d (580 for 591), 4e (840 for 847), 5a (1072 for 1018) and 5b (1388 for 1409) are others
    than those of their rows' filters. So are the "ops" of conv1 (34M for 118M) and 5a (54M for
    51M). The figures of conv1 are those of a separable convolution, 7 x 7 x 3 x 8 and
    24 x 64 weights, with which Inception v1 is said to begin (Chollet 2017, section 2).

    Attributes:
      variant: "torchvision" or "paper".
      auxiliary: whether inception_4a and inception_4d have classifiers of their own. They run in
        training only, and their losses count with a weight of 0.3 (section 5). Another
        `num_classes` changes their last layer too.
      dropout: probability of zeroing an input of the linear layer in training; None for that of
        the variant.
      auxiliary_dropout: the same in the auxiliary heads (section 5).
    """

    variant: str = "torchvision"
    auxiliary: bool = True
    dropout: float | None = None
    auxiliary_dropout: float = 0.7

    image: ClassVar = (224, 224, 3)
    auxiliary_weight: ClassVar = 0.3

    def layers(self) -> dict[str, nn.Module]:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        pool = partial(hanging_pool, window=3)
        if variant_of(self, {"torchvision": False, "paper": True}):
            weights = {"kernel_init": nn.initializers.variance_scaling(1.0, "fan_in", "uniform")}
            biases = {"bias_init": initializers.constant(0.2)}
            conv = partial(Conv, activation=nn.relu, **biases, **weights, **types)
            lrn = partial(local_response_norm, bias=1.0, alpha=1e-4 / 5)
            pools = (lambda x: lrn(pool(x)), lambda x: pool(lrn(x)), pool, pool)
            kernel5x5, dropout, auxiliary_pool = 5, 0.4, five_by_five_pool
        else:
            weights, biases = {"kernel_init": initializers.gaussian(0.01)}, {}
            norm = {"momentum": 0.9, "epsilon": 1e-3}
            conv = partial(ConvNorm, activation=nn.relu, **norm, **weights, **types)
            pools = (pool, pool, pool, partial(hanging_pool, window=2))
            kernel5x5, dropout, auxiliary_pool = 3, 0.2, partial(adaptive_avg_pool, size=4)
        head = partial(
            AuxiliaryHead,
            num_classes=self.num_classes,
            conv=conv,
            hidden=partial(Dense, activation=nn.relu, **biases, **weights, **types),
            dense=partial(Dense, **weights, **types),
            pool=auxiliary_pool,
            dropout=self.auxiliary_dropout,
        )
        heads = {"inception_4a", "inception_4d"} if self.auxiliary and self.num_classes else set()
        modules = {
            stage: Inception(
                filters,
                conv,
                kernel5x5,
                pool={"inception_3b": pools[2], "inception_4e": pools[3]}.get(stage),
                auxiliary=head if stage in heads else None,
            )
            for stage, filters in TABLE_1.items()
        }
        return {
            "conv1": conv(64, kernel=7, stride=2, padding=3, pool=pools[0]),
            "conv2": ReducedConv(conv, pools[1]),
            **modules,
            "linear": PoolDense(
                self.num_classes,
                dropout=dropout if self.dropout is None else self.dropout,
                **weights,
                **types,
            ),
        }
