"""The networks of cnnjax in PyTorch, to compare speed with. Needs torch."""

from collections.abc import Callable

import flax.linen as nn
import numpy as np
import torch

from cnnjax.layers import Conv, Dense
from cnnjax.models import Network
from cnnjax.models.lenet import scaled_tanh


class ScaledTanh(torch.nn.Module):
    """LeNet-5's squashing function, 1.7159 tanh(2x/3)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(2.0 / 3.0 * x)


ACTIVATIONS = {nn.relu: torch.nn.ReLU, scaled_tanh: ScaledTanh, None: torch.nn.Identity}


def torch_network(network: Network) -> torch.nn.Sequential:
    """Layer for layer what the network is; PyTorch infers the input sizes at the first call."""
    modules = []
    for layer in network.layers().values():
        if isinstance(layer, Conv):
            modules.append(
                torch.nn.LazyConv2d(layer.features, layer.kernel, layer.stride, layer.padding)
            )
        elif isinstance(layer, Dense):
            flatten, dropout = torch.nn.Flatten(), torch.nn.Dropout(layer.dropout)
            modules += [flatten, dropout, torch.nn.LazyLinear(layer.features)]
        else:
            raise TypeError(f"no PyTorch counterpart is known of {type(layer).__name__}")
        modules.append(ACTIVATIONS[layer.activation]())
        if pool := getattr(layer, "pool", None):
            modules.append(torch.nn.MaxPool2d(pool.keywords["window"], pool.keywords["stride"]))
    return torch.nn.Sequential(*modules)


def torch_step(
    network: Network, images: np.ndarray, labels: np.ndarray, learning_rate: float, momentum: float
) -> Callable[[], object]:
    """A function that takes one training step on the batch `[N, H, W, C]`, `[N]`."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(labels.astype(np.int64))
    model = torch_network(network).train()
    model(x)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    loss = torch.nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return step
