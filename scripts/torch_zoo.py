"""Some networks of the zoo in PyTorch, without dropout, to compare speed with. Needs torch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

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


def resnet20(classes: int) -> nn.Module:
    layers, inputs = [*conv_norm(3, 16, 3), nn.ReLU()], 16
    for maps in (16, 32, 64):
        for _ in range(3):
            stride = 1 if inputs == maps else 2
            body = [*conv_norm(inputs, maps, 3, stride), nn.ReLU(), *conv_norm(maps, maps, 3)]
            shortcut = nn.Identity() if stride == 1 else OptionA()
            layers.append(Residual(nn.Sequential(*body), shortcut, nn.ReLU()))
            inputs = maps
    return nn.Sequential(*layers, *head(64, classes))


def resnext50(classes: int) -> nn.Module:
    layers, inputs = [*conv_norm(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 128 * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            body = [*conv_norm(inputs, width, 1), nn.ReLU()]
            body += [*conv_norm(width, width, 3, stride, groups=32), nn.ReLU()]
            body += conv_norm(width, 2 * width, 1)
            shortcut = conv_norm(inputs, 2 * width, 1, stride) if not block else []
            layers.append(Residual(nn.Sequential(*body), nn.Sequential(*shortcut), nn.ReLU()))
            inputs = 2 * width
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


ZOO: dict[str, Callable[[int], nn.Module]] = {
    "efficientnet_b0": efficientnet_b0,
    "mobilenet": mobilenet,
    "resnet20": resnet20,
    "resnext50_32x4d": resnext50,
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
