"""The names that timm and Keras give to the weights of MobileNet."""

from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, Place, Window

# timm's blocks of our stages conv2, conv3, ...
TIMM_BLOCKS = [f"{i}.{j}" for i, pairs in enumerate((1, 2, 2, 6, 2)) for j in range(pairs)]


def timm_name(place: Place) -> str:
    """("conv3", "pointwise", "norm") -> "blocks.1.0.bn2"."""
    stage, *inner = place
    if stage == "fc":
        return "classifier"
    if stage == "conv1":
        return {"conv": "conv_stem", "norm": "bn1"}[inner[0]]
    name = {
        ("depthwise", "conv"): "conv_dw",
        ("depthwise", "norm"): "bn1",
        ("pointwise", "conv"): "conv_pw",
        ("pointwise", "norm"): "bn2",
    }[tuple(inner)]
    return f"blocks.{TIMM_BLOCKS[int(stage[4:]) - 2]}.{name}"


def timm_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give: of a group of blocks, that of its last."""
    return {"conv1": "bn1"} | {f"conv{n}": f"blocks.{i}" for i, n in enumerate((2, 4, 6, 12, 14))}


def keras_name(place: Place) -> str:
    """("conv3", "pointwise", "norm") -> "conv_pw_2_bn"."""
    stage, *inner = place
    if stage == "fc":
        return "conv_preds"
    suffix = {"conv": "", "norm": "_bn"}[inner[-1]]
    if stage == "conv1":
        return f"conv1{suffix}"
    kind = {"depthwise": "dw", "pointwise": "pw"}[inner[0]]
    return f"conv_{kind}_{int(stage[4:]) - 1}{suffix}"


SOURCES = {
    "timm": Names("torch", lambda network: timm_name, {"variant": "timm"}, modules=timm_modules),
    "keras": Names(
        "keras",
        lambda network: keras_name,
        {"variant": "keras"},
        forms=lambda network: {("fc",): Window(1, 1)},
    ),
}
