"""Stacks of convolutions, to compare small kernels with large ones (lectures 3 and 5)."""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax

from cnnjax.errors import CnnjaxError
from cnnjax.layers import Conv, Dense, Padding
from cnnjax.models.network import Network


class AveragedDense(Dense):
    """`Dense` on the mean of each channel: [N, H, W, C] -> [N, features]."""

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return super().__call__(x.mean(axis=(1, 2)), train=train)


class ConvStack(Network):
    """k x k convolutions with stride 1, one on the other: conv1 ... convL, and a head.

    `[N, H, W, C] -> [N, num_classes]`, or the maps of convL where num_classes is 0. A stack of
    L kernels of k has a receptive field of 1 + L (k - 1) pixels: three 3 x 3 layers see as much
    as one 7 x 7 layer, with 27 weights for each pair of channels instead of 49 (lecture 5; Simonyan
    and Zisserman 2015, section 2.3). The head averages each map, so that stacks of one receptive
    field are compared with the same head. Weights are He-normal, biases zero.

    Attributes:
      kernels: the side of the kernel of each layer.
      features: filters of every layer, or of each.
      padding: of every layer; 0 as in the lecture's 9 -> 7 -> 5 -> 3.
      activation: of every convolution.
      use_bias: whether convolutions have biases; the lecture counts without.

    >>> three, one = ConvStack(kernels=(3, 3, 3)), ConvStack(kernels=(7,))
    >>> three.stages, one.stages
    (('conv1', 'conv2', 'conv3', 'head'), ('conv1', 'head'))
    """

    num_classes: int = 10
    kernels: tuple[int, ...] = (3, 3, 3)
    features: int | tuple[int, ...] = 16
    padding: Padding = 0
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    use_bias: bool = True

    image: ClassVar = (9, 9, 1)

    def layers(self) -> dict[str, nn.Module]:
        shared = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features = self.features
        if isinstance(features, int):
            features = (features,) * len(self.kernels)
        if not self.kernels or len(features) != len(self.kernels):
            raise CnnjaxError(
                f"kernels are {self.kernels} and features {self.features}; give at least one "
                "kernel, and one number of features or as many as there are kernels"
            )
        convolutions = {
            f"conv{i}": Conv(
                filters,
                kernel=kernel,
                padding=self.padding,
                activation=self.activation,
                use_bias=self.use_bias,
                **shared,
            )
            for i, (kernel, filters) in enumerate(zip(self.kernels, features, strict=True), 1)
        }
        return convolutions | {"head": AveragedDense(self.num_classes, **shared)}
