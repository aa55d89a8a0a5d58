"""The names that torchvision, timm and Keras give to the weights of MobileNetV2."""

from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, Place

# timm's blocks of our stages bottleneck1, bottleneck2, ...
TIMM_BLOCKS = [f"{i}.{j}" for i, n in enumerate((1, 2, 3, 4, 3, 3, 1)) for j in range(n)]


def torchvision_name(place: Place) -> str:
    """("bottleneck2", "expand", "norm") -> "features.2.conv.0.1"."""
    stage, *inner = place
    if stage == "fc":
        return "classifier.1"
    number = {"conv": 0, "norm": 1}[inner[-1]]
    if stage in ("conv1", "conv2"):
        return f"features.{ {'conv1': 0, 'conv2': 18}[stage] }.{number}"
    block = int(stage[10:])
    position = ["expand", "depthwise", "project"].index(inner[0]) - (block == 1)
    if inner[0] == "project":  # its convolution and its norm are not wrapped into one module
        return f"features.{block}.conv.{position + number}"
    return f"features.{block}.conv.{position}.{number}"


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give."""
    return {stage: f"features.{i}" for i, stage in enumerate(network.stages) if stage != "fc"}


def timm_name(place: Place) -> str:
    """("bottleneck2", "expand", "norm") -> "blocks.1.0.bn1"."""
    stage, *inner = place
    if stage == "fc":
        return "classifier"
    if stage in ("conv1", "conv2"):
        names = {"conv1": ("conv_stem", "bn1"), "conv2": ("conv_head", "bn2")}[stage]
        return names[inner[0] == "norm"]
    number = int(stage[10:])
    order = ["expand", "depthwise", "project"][number == 1 :]
    position = order.index(inner[0])
    kernels = ["conv_dw", "conv_pw"] if number == 1 else ["conv_pw", "conv_dw", "conv_pwl"]
    last = kernels[position] if inner[1] == "conv" else f"bn{position + 1}"
    return f"blocks.{TIMM_BLOCKS[number - 1]}.{last}"


def keras_name(place: Place) -> str:
    """("bottleneck2", "expand", "norm") -> "block_1_expand_BN"."""
    stage, *inner = place
    norm = inner and inner[-1] == "norm"
    if stage == "fc":
        return "predictions"
    if stage == "conv1":
        return "bn_Conv1" if norm else "Conv1"
    if stage == "conv2":
        return "Conv_1_bn" if norm else "Conv_1"
    return f"{keras_block(stage)}_{inner[0]}{'_BN' if norm else ''}"


def keras_block(stage: str) -> str:
    """ "bottleneck2" -> "block_1"."""
    number = int(stage[10:]) - 1
    return f"block_{number}" if number else "expanded_conv"


SOURCES = {
    "torchvision": Names(
        "torch",
        lambda network: torchvision_name,
        {"variant": "torchvision"},
        modules=torchvision_modules,
    ),
    "timm": Names("torch", lambda network: timm_name, {"variant": "torchvision"}),
    "keras": Names("keras", lambda network: keras_name, {"variant": "keras"}),
}
