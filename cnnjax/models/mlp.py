"""The multilayer perceptron that the first lecture starts from."""

from typing import ClassVar

import flax.linen as nn

from cnnjax.layers import Dense
from cnnjax.models.network import Network


class MLP(Network):
    """Fully connected ReLU network on flattened images: fc1 ... fcL.

    By default the lecture's 784-1200-1200-1200-10 (lecture 2: "98 % test accuracy on MNIST, ReLU,
    3 hidden layers of depth 1200"), 3,836,410 parameters. Weights are He-normal, biases zero.

    Attributes:
      hidden: sizes of the hidden layers.
      dropout: probability of zeroing an input of fc2 ... fcL, i.e. a hidden unit.
    """

    num_classes: int = 10
    hidden: tuple[int, ...] = (1200, 1200, 1200)
    dropout: float = 0.0

    image: ClassVar = (28, 28, 1)

    def layers(self) -> dict[str, nn.Module]:
        sizes = (*self.hidden, self.num_classes)
        last = len(sizes) - 1
        return {
            f"fc{i + 1}": Dense(
                size,
                activation=nn.relu if i < last else None,
                dropout=self.dropout if i > 0 else 0.0,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
            )
            for i, size in enumerate(sizes)
        }
