"""The networks of the study of batch normalisation, and the arms that train them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax

from cnnjax.layers import Conv, ConvNorm, Dense, gaussian, max_pool, relu, sigmoid
from cnnjax.models import Network
from cnnjax.models.mlp import MLP
from cnnjax.training import Variables
from cnnjax.transfer import initialise

PARTS = ("figure1", "rates", "batches")
RATES = (1.0, 5.0, 30.0)
"""The paper's multiples of its first learning rate (section 4.2.1)."""
HIDDEN = (100, 100, 100)
"""The paper's fully connected network (section 4.1)."""
ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid}


class ConvNet(Network):
    """Three 3 x 3 convolutions, each halving the image after its nonlinearity, and a linear head:
    the smallest network of the kind on which the paper compares learning rates.

    [N, H, W, C] -> [N, K]. Weights are He-normal, biases zero. Batch normalisation is between
    convolution and nonlinearity; its running statistics keep 0.9 at each step.
    """

    num_classes: int = 10
    activation: Callable[[jax.Array], jax.Array] = relu
    batch_norm: bool = False

    image: ClassVar = (20, 20, 1)

    def layers(self) -> dict[str, nn.Module]:
        norm = partial(ConvNorm, momentum=0.9, epsilon=1e-5)
        conv = partial(
            norm if self.batch_norm else Conv,
            kernel=3,
            padding=1,
            activation=self.activation,
            pool=partial(max_pool, window=2, stride=2),
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        head = Dense(self.num_classes, dtype=self.dtype, param_dtype=self.param_dtype)
        return {"conv1": conv(16), "conv2": conv(32), "conv3": conv(32), "fc4": head}


@dataclass(frozen=True)
class Arm:
    """One way to train, the same for all seeds.

    Attributes:
      part: of the study.
      normalised: whether the hidden layers are batch normalised.
      activation: of the hidden layers.
      multiple: of the part's learning rate.
      batch_size: examples a step.
    """

    part: str
    normalised: bool
    activation: str
    multiple: float
    batch_size: int

    @property
    def stem(self) -> str:
        """The name of its runs, without the seed."""
        kind = "bn" if self.normalised else "plain"
        if self.part == "figure1":
            return f"figure1-{kind}"
        if self.part == "batches":
            return f"batch{self.batch_size}-{kind}"
        return f"x{self.multiple:g}-{kind}{'-sigmoid' if self.activation == 'sigmoid' else ''}"

    def network(self, classes: int, std: float) -> Network:
        """Fully connected for figure 1, with Gaussian weights of deviation `std`."""
        shared = {
            "num_classes": classes,
            "activation": ACTIVATIONS[self.activation],
            "batch_norm": self.normalised,
        }
        if self.part == "figure1":
            return MLP(hidden=HIDDEN, kernel_init=gaussian_once(std), **shared)
        return ConvNet(**shared)

    def initialise(self, network: Network, shape: tuple[int, int, int], seed: int) -> Variables:
        """Fresh variables, with the same kernels whether or not the network is normalised."""
        if not self.normalised:
            return initialise(network, shape, seed)
        plain = initialise(network.clone(batch_norm=False), shape, seed)["params"]
        variables = initialise(network, shape, seed)
        layer = "dense" if self.part == "figure1" else "conv"
        params = {
            stage: {**arrays, layer: {"kernel": plain[stage]["kernel"]}}
            if layer in arrays
            else plain[stage]
            for stage, arrays in variables["params"].items()
        }
        return {**variables, "params": params}


_GAUSSIANS: dict[float, Callable] = {}


def gaussian_once(std: float) -> Callable:
    """`gaussian(std)`, the same object each time, so that equal networks share their programs."""
    return _GAUSSIANS.setdefault(std, gaussian(std))


def arms(
    parts: Sequence[str], batch_size: int, conv_batch_size: int, batch_sizes: Sequence[int]
) -> Iterator[Arm]:
    """All arms of these parts, normalised and plain ones in pairs."""
    if "figure1" in parts:
        for normalised in (False, True):
            yield Arm("figure1", normalised, "sigmoid", 1.0, batch_size)
    if "rates" in parts:
        for activation, multiples in (("relu", RATES), ("sigmoid", (5.0,))):
            for normalised in (False, True):
                for multiple in multiples:
                    yield Arm("rates", normalised, activation, multiple, conv_batch_size)
    if "batches" in parts:
        for size in batch_sizes:
            for normalised in (False, True):
                yield Arm("batches", normalised, "relu", 1.0, size)
