"""MobileNet (Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile
vision applications")."""

from functools import partial
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers import ConvNorm, Padding, PoolDense, initializers, relu6
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

# Table 1: maps and stride of each pair of a depthwise and a 1 x 1 convolution. The table prints
# a stride of 2 for the last depthwise convolution too, but 7 x 7 pixels before and after it.
TABLE_1 = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


class Variant(NamedTuple):
    """What implementations do differently: padding at stride 2, and batch normalisation."""

    first: Padding
    strided: Padding
    momentum: float
    epsilon: float


VARIANTS = {
    "keras": Variant("same", ((0, 1), (0, 1)), momentum=0.99, epsilon=1e-3),
    "timm": Variant(1, 1, momentum=0.9, epsilon=1e-5),
}

# The authors' code draws from a Gaussian of deviation 0.09 that is cut at two deviations.
KERNEL_INIT = initializers.truncated_normal(0.09 * initializers.CUT_DEVIATION)


class DepthwiseSeparable(nn.Module):
    """pointwise(depthwise(x)), each batch normalised and activated (section 3.1, figure 3).

    [N, H, W, C] -> [N, H', W', features], parameters {"depthwise", "pointwise"}: a 3 x 3
    convolution of each map by itself and a 1 x 1 convolution over the maps take 9 C + C features
    multiply-adds a pixel, where a full convolution takes 9 C features (equations 2 to 5).
    """

    features: int
    stride: int
    padding: Padding
    momentum: float
    epsilon: float
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        conv = partial(
            ConvNorm,
            momentum=self.momentum,
            epsilon=self.epsilon,
            activation=relu6,
            kernel_init=KERNEL_INIT,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        maps = x.shape[-1]
        geometry = {"stride": self.stride, "padding": self.padding, "groups": maps}
        x = conv(maps, kernel=3, name="depthwise", **geometry)(x, train=train)
        return conv(self.features, kernel=1, name="pointwise")(x, train=train)


class MobileNet(Network):
    """MobileNet: 4,231,976 parameters and 569 million multiply-adds at width 1 (table 8).

    `[N, 224, 224, 3] -> [N, num_classes]`, or any size. The stages are conv1, the thirteen pairs
    of a depthwise and a 1 x 1 convolution of table 1 as conv2 ... conv14, and fc: 28 layers with
    weights. The head averages the maps; the paper's resolution multiplier is the size of the
    images.

    Activations are ReLU6, as in the authors' code and Keras; the paper says ReLU. Weights are those
    of the authors' code too, a Gaussian of deviation 0.09 that is cut at two deviations (0.079
    after the cut); Keras draws Glorot's uniform ones.

    Attributes:
      alpha: width multiplier; each layer has alpha times the maps, rounded down (section 3.3).
      dropout: probability of zeroing an average in training; 0.001 in the authors' code and Keras.
      variant: "keras": an odd pixel of padding goes to the right and the bottom where the stride
        is 2, momentum 0.99, epsilon 1e-3. "timm": padding of 1 all around as in PyTorch, 0.9, 1e-5.
        Parameters are the same.
    """

    alpha: float = 1.0
    dropout: float = 1e-3
    variant: str = "keras"

    image: ClassVar = (224, 224, 3)

    def layers(self) -> dict[str, nn.Module]:
        form = variant_of(self, VARIANTS)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        shared = {"momentum": form.momentum, "epsilon": form.epsilon, **types}
        pairs = {
            f"conv{number}": DepthwiseSeparable(
                self._maps(maps), stride, form.strided if stride == 2 else 1, **shared
            )
            for number, (maps, stride) in enumerate(TABLE_1, 2)
        }
        conv1 = ConvNorm(
            self._maps(32),
            kernel=3,
            stride=2,
            padding=form.first,
            activation=relu6,
            kernel_init=KERNEL_INIT,
            **shared,
        )
        fc = PoolDense(self.num_classes, self.dropout, kernel_init=KERNEL_INIT, **types)
        return {"conv1": conv1, **pairs, "fc": fc}

    @nn.nowrap
    def _maps(self, maps: int) -> int:
        if int(maps * self.alpha) < 1:
            raise CnnjaxError(
                f"the width multiplier alpha is {self.alpha}; give one that leaves at least one "
                "of the 32 maps of conv1; the paper's are 1.0, 0.75, 0.5 and 0.25"
            )
        return int(maps * self.alpha)
