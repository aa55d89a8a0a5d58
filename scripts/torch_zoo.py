"""Some networks of the zoo in PyTorch, to compare speed with; dropout in VGG alone. Needs torch."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch_networks import torch_network

import cnnjax
from cnnjax.models.mobilenet import TABLE_1


def conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution padded to keep the size, and batch normalisation."""
    padding = kernel // 2
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def head(features: int, classes: int) -> list[nn.Module]:
    """The average of each map, then logits."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes)]


class Residual(nn.Module):
    """after(shortcut(x) + body(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.shortcut(x) + self.body(x))


class OptionA(nn.Module):
    """Every other pixel, and as many maps again that are zero (He et al. 2016, section 3.3)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        more = x.shape[1] // 2
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more, more))


def resnet_cifar(classes: int, blocks: int) -> nn.Module:
    """6 n + 2 layers (He et al. 2016, section 4.2): n blocks a group."""
    layers, inputs = [*conv_norm(3, 16, 3), nn.ReLU()], 16
    for maps in (16, 32, 64):
        for _ in range(blocks):
            stride = 1 if inputs == maps else 2
            body = [*conv_norm(inputs, maps, 3, stride), nn.ReLU(), *conv_norm(maps, maps, 3)]
            shortcut = nn.Identity() if stride == 1 else OptionA()
            layers.append(Residual(nn.Sequential(*body), shortcut, nn.ReLU()))
            inputs = maps
    return nn.Sequential(*layers, *head(64, classes))


def resnet_bottlenecks(classes: int, width: int, groups: int) -> nn.Module:
    """50 layers; `width` maps within the first blocks, in so many groups."""
    layers, inputs = [*conv_norm(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner, maps = width * 2**stage, 256 * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            body = [*conv_norm(inputs, inner, 1), nn.ReLU()]
            body += [*conv_norm(inner, inner, 3, stride, groups=groups), nn.ReLU()]
            body += conv_norm(inner, maps, 1)
            shortcut = conv_norm(inputs, maps, 1, stride) if not block else []
            layers.append(Residual(nn.Sequential(*body), nn.Sequential(*shortcut), nn.ReLU()))
            inputs = maps
    return nn.Sequential(*layers, *head(inputs, classes))


def mobilenet(classes: int) -> nn.Module:
    layers, inputs = [*conv_norm(3, 32, 3, 2), nn.ReLU6()], 32
    for maps, stride in TABLE_1:
        layers += [*conv_norm(inputs, inputs, 3, stride, groups=inputs), nn.ReLU6()]
        layers += [*conv_norm(inputs, maps, 1), nn.ReLU6()]
        inputs = maps
    return nn.Sequential(*layers, *head(inputs, classes))


class SqueezeExcite(nn.Module):
    """x scaled by what two small layers make of the average of each map."""

    def __init__(self, maps: int, squeezed: int) -> None:
        super().__init__()
        ends = nn.Conv2d(maps, squeezed, 1), nn.Conv2d(squeezed, maps, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), ends[0], nn.SiLU(), ends[1], nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


# Table 1 of Tan and Le 2019: kernel, stride, expansion, maps, blocks
EFFICIENTNET = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def efficientnet_b0(classes: int) -> nn.Module:
    layers, inputs = [*conv_norm(3, 32, 3, 2), nn.SiLU()], 32
    for kernel, stride, expansion, maps, blocks in EFFICIENTNET:
        for block in range(blocks):
            wide, step = inputs * expansion, 1 if block else stride
            body = [*conv_norm(inputs, wide, 1), nn.SiLU()] if expansion > 1 else []
            body += [*conv_norm(wide, wide, kernel, step, groups=wide), nn.SiLU()]
            body += [SqueezeExcite(wide, inputs // 4), *conv_norm(wide, maps, 1)]
            one = nn.Sequential(*body)
            layers.append(Residual(one, nn.Identity(), nn.Identity()) if block else one)
            inputs = maps
    return nn.Sequential(*layers, *conv_norm(inputs, 1280, 1), nn.SiLU(), *head(1280, classes))


def sequence(classes: int, name: str) -> nn.Module:
    """A network whose layers follow each other, of any image size as ours: PyTorch infers what the
    first dense layer takes at the first call."""
    return torch_network(cnnjax.create(name, num_classes=classes))


ZOO: dict[str, Callable[[int], nn.Module]] = {
    "alexnet_small": partial(sequence, name="alexnet_small"),
    "efficientnet_b0": efficientnet_b0,
    "mobilenet": mobilenet,
    "resnet20": partial(resnet_cifar, blocks=3),
    "resnet50": partial(resnet_bottlenecks, width=64, groups=1),
    "resnet56": partial(resnet_cifar, blocks=9),
    "resnext50_32x4d": partial(resnet_bottlenecks, width=128, groups=32),
    "vgg11": partial(sequence, name="vgg11"),
}


def torch_functions(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    learning_rate: float,
    momentum: float,
) -> tuple[Callable[[], object], Callable[[], object]]:
    """(forward, step) on the batch `[N, H, W, C]`, `[N]`: functions of nothing."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(labels.astype(np.int64))
    model, loss = ZOO[name](classes), nn.CrossEntropyLoss()
    model.eval()(x[:1])
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return model.eval()(x)

    def step() -> float:
        model.train()
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return forward, step


def compiled_steps(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    learning_rate: float,
    momentum: float,
    steps: int,
    batch_size: int,
    device: str,
    dtype: str,
) -> Callable[[], object] | None:
    """A function that takes so many training steps on uint8 images `[N, H, W, C]` that lie on the
    device: compiled, channels last, in `dtype` by autocast. None where torch has no such device."""
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        return None
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    y = torch.from_numpy(labels.astype(np.int64)).to(device)
    model, loss = (
        ZOO[name](classes).to(device, memory_format=torch.channels_last),
        nn.CrossEntropyLoss(),
    )
    model.eval()(x[:1].float())
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    mixed = {"device_type": device, "dtype": getattr(torch, dtype), "enabled": dtype != "float32"}

    @torch.compile
    def value(pixels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(**mixed):
            return loss(model(pixels.float() / 127.5 - 1.0), targets)

    def run() -> float:
        model.train()
        for step in range(steps):
            begin = step * batch_size % (len(y) - batch_size + 1)
            rows = slice(begin, begin + batch_size)
            optimizer.zero_grad()
            value(x[rows].contiguous(memory_format=torch.channels_last), y[rows]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return next(model.parameters()).flatten()[0].item()

    return run
