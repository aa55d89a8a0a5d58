"""The names that timm and Keras give to the weights of Xception."""

from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, Place

# Our blocks 2 to 13 are timm's 1 to 12, what is around them stands in its network itself.
AROUND = {
    ("block1", "conv1", "conv"): "conv1",
    ("block1", "conv1", "norm"): "bn1",
    ("block1", "conv2", "conv"): "conv2",
    ("block1", "conv2", "norm"): "bn2",
    ("block14", "conv1", "conv", "depthwise"): "conv3.conv1",
    ("block14", "conv1", "conv", "pointwise"): "conv3.pointwise",
    ("block14", "conv1", "norm"): "bn3",
    ("block14", "conv2", "conv", "depthwise"): "conv4.conv1",
    ("block14", "conv2", "conv", "pointwise"): "conv4.pointwise",
    ("block14", "conv2", "norm"): "bn4",
    ("fc",): "fc",
}
SHORTCUTS = ("block2", "block3", "block4", "block13")


def timm_name(place: Place) -> str:
    """("block4", "sepconv1", "norm") -> "block3.rep.2": its blocks are lists of ReLU, convolution,
    norm."""
    if place in AROUND:
        return AROUND[place]
    stage, part, *inner = place
    block = int(stage.removeprefix("block")) - 1
    if part == "shortcut":
        return f"block{block}.{ {'conv': 'skip', 'norm': 'skipbn'}[inner[0]] }"
    position = 3 * (int(part.removeprefix("sepconv")) - 1) + (0 if block == 1 else 1)
    if inner == ["norm"]:
        return f"block{block}.rep.{position + 1}"
    return f"block{block}.rep.{position}.{ {'depthwise': 'conv1'}.get(inner[1], inner[1]) }"


def timm_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give."""
    blocks = {f"block{i}": f"block{i - 1}" for i in range(2, 14)}
    return blocks | {"block1": "act2", "block14": "act4"}


def keras_name(place: Place) -> str:
    """("block4", "sepconv1", "norm") -> "block4_sepconv1_bn"; the shortcuts have no names of their
    own, Keras counts them: "conv2d", "batch_normalization", "conv2d_1", ..."""
    stage, part, *inner = (*place, "")
    if stage == "fc":
        return "predictions"
    if part == "shortcut":
        number = SHORTCUTS.index(stage)
        kind = {"conv": "conv2d", "norm": "batch_normalization"}[inner[0]]
        return f"{kind}_{number}" if number else kind
    part = part.replace("conv", "sepconv") if stage == "block14" else part
    return f"{stage}_{part}" + ("_bn" if inner[0] == "norm" else "")


SOURCES = {
    "timm": Names("torch", lambda network: timm_name, {"variant": "timm"}, modules=timm_modules),
    "keras": Names("keras", lambda network: keras_name, {"variant": "keras"}),
}
