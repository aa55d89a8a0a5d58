"""The names that torchvision, timm and Keras give to the weights of ResNet, ResNetV2, ResNeXt."""

from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, Place


def torchvision_name(place: Place) -> str:
    """("conv4_1", "shortcut", "norm") -> "layer3.0.downsample.1"."""
    if place == ("fc",):
        return "fc"
    if place[0] == "conv1":
        return {"conv": "conv1", "norm": "bn1"}[place[1]]
    stage, part, kind = place
    if part == "shortcut":
        return f"{block_of(stage)}.downsample.{('conv', 'norm').index(kind)}"
    return f"{block_of(stage)}.{'bn' if kind == 'norm' else 'conv'}{part[-1]}"


def block_of(stage: str) -> str:
    """ "conv4_1" -> "layer3.0"."""
    group, number = stage.removeprefix("conv").split("_")
    return f"layer{int(group) - 1}.{int(number) - 1}"


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give."""
    return {s: block_of(s) for s in network.stages if "_" in s} | {"conv1": "maxpool"}


def keras_name(place: Place) -> str:
    """("conv4_1", "shortcut", "norm") -> "conv4_block1_0_bn"."""
    if place == ("fc",):
        return "predictions"
    stage, *rest = place
    if stage == "conv1":
        return "conv1_bn" if rest == ["norm"] else "conv1_conv"
    if rest == ["post"]:
        return "post_bn"
    block = stage.replace("_", "_block")
    if rest == ["preact"]:
        return f"{block}_preact_bn"
    number = "0" if rest[0] == "shortcut" else rest[0][-1]
    return f"{block}_{number}_{'bn' if rest[-1] == 'norm' else 'conv'}"


TORCH = Names(
    "torch",
    lambda network: torchvision_name,
    {"variant": "torchvision"},
    modules=torchvision_modules,
)
SOURCES = {
    "torchvision": TORCH,
    "timm": TORCH,
    "keras": Names("keras", lambda network: keras_name, {"variant": "keras"}),
}
V2_SOURCES = {"keras": Names("keras", lambda network: keras_name)}
