"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document
recognition", section II.B)."""

from collections.abc import Callable, Collection
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.layers import Conv, Dense, initializers, max_pool
from cnnjax.models.network import Network


def scaled_tanh(x: jax.Array) -> jax.Array:
    """The paper's squashing function, 1.7159 tanh(2x/3), for which f(1) = 1 and f(-1) = -1
    (appendix A).

    >>> round(float(scaled_tanh(1.0)), 3)
    1.0
    """
    return 1.7159 * jnp.tanh(2.0 / 3.0 * x)


class LeNet5(Network):
    """LeNet-5 as the lecture counts it: 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706 parameters.

    `[N, 32, 32, 1] -> [N, 10]`, stages named as in the paper. 28 x 28 images (MNIST) get the
    lecture's "2 pixels of padding all around". Against the paper: S2 and S4 are 2 x 2 max pooling
    without weights (the paper's trainable subsampling "is considered obsolete now", lecture 2),
    c3 sees all 6 maps (the paper's table I connects it sparsely: 1,516 weights), and the output
    is linear instead of radial basis functions. Weights are uniform in ±2.4 / fan-in (the paper's
    appendix A), biases zero.

    Attributes:
      activation: of every stage but the last.
      pool: of c1 and c3, called with the feature maps.
    """

    num_classes: int = 10
    activation: Callable[[jax.Array], jax.Array] = scaled_tanh
    pool: Callable[[jax.Array], jax.Array] = partial(max_pool, window=2, stride=2)

    image: ClassVar = (32, 32, 1)

    def layers(self) -> dict[str, nn.Module]:
        shared = {
            "kernel_init": initializers.lecun_uniform,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        conv = partial(Conv, activation=self.activation, pool=self.pool, **shared)
        dense = partial(Dense, **shared)
        return {
            "c1": conv(6, kernel=5),  # 28 x 28 x 6, pooled (S2) to 14 x 14
            "c3": conv(16, kernel=5),  # 10 x 10 x 16, pooled (S4) to 5 x 5
            "c5": dense(120, activation=self.activation),  # a 5 x 5 convolution on 5 x 5 maps
            "f6": dense(84, activation=self.activation),
            "output": dense(self.num_classes),
        }

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        frozen: Collection[str] = (),
    ) -> jax.Array:
        """As `Network.__call__`; pads 28 x 28 images to the paper's 32 x 32 field."""
        if start in (None, "c1") and x.shape[1:3] == (28, 28):
            x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
        return super().__call__(x, train=train, start=start, stop=stop, frozen=frozen)
