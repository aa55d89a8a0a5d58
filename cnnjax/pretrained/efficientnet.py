"""The names that torchvision, timm and Keras give to the weights of EfficientNet."""

from collections.abc import Mapping

import numpy as np

from cnnjax.models import Network, Pixels
from cnnjax.models.pixels import TORCH as TORCH_PIXELS
from cnnjax.pretrained.layouts import Names, Place

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def place_of(stage: str) -> tuple[int, int]:
    """ "block3b" -> (3, 1)."""
    return int(stage[5]), ord(stage[6]) - ord("a")


def torchvision_name(place: Place) -> str:
    """("block2a", "expand", "norm") -> "features.2.0.block.0.1"."""
    stage, *inner = place
    if stage == "fc":
        return "classifier.1"
    if stage in ("stem", "top"):
        return f"features.{ {'stem': 0, 'top': 8}[stage] }.{ {'conv': 0, 'norm': 1}[inner[0]] }"
    i, j = place_of(stage)
    order = ["expand", "depthwise", "squeeze_excite", "project"]
    last = {"conv": "0", "norm": "1", "squeeze": "fc1", "excite": "fc2"}[inner[1]]
    return f"features.{i}.{j}.block.{order.index(inner[0]) - (i == 1)}.{last}"


def timm_name(place: Place) -> str:
    """("block2a", "expand", "norm") -> "blocks.1.0.bn1"."""
    stage, *inner = place
    if stage == "fc":
        return "classifier"
    if stage in ("stem", "top"):
        names = {"stem": ("conv_stem", "bn1"), "top": ("conv_head", "bn2")}[stage]
        return names[inner[0] == "norm"]
    i, j = place_of(stage)
    order = ["expand", "depthwise", "project"][i == 1 :]
    convolutions = ["conv_pw", "conv_dw", "conv_pwl"] if i > 1 else ["conv_dw", "conv_pw"]
    if inner[0] == "squeeze_excite":
        name = {"squeeze": "se.conv_reduce", "excite": "se.conv_expand"}[inner[1]]
    elif inner[1] == "conv":
        name = convolutions[order.index(inner[0])]
    else:
        name = f"bn{order.index(inner[0]) + 1}"
    return f"blocks.{i - 1}.{j}.{name}"


def keras_name(place: Place) -> str:
    """("block2a", "expand", "norm") -> "block2a_expand_bn"."""
    stage, *inner = place
    if stage == "fc":
        return "predictions"
    if stage in ("stem", "top"):
        return f"{stage}_{ {'conv': 'conv', 'norm': 'bn'}[inner[0]] }"
    name = {
        ("expand", "conv"): "expand_conv",
        ("expand", "norm"): "expand_bn",
        ("depthwise", "conv"): "dwconv",
        ("depthwise", "norm"): "bn",
        ("squeeze_excite", "squeeze"): "se_reduce",
        ("squeeze_excite", "excite"): "se_expand",
        ("project", "conv"): "project_conv",
        ("project", "norm"): "project_bn",
    }[tuple(inner)]
    return f"{stage}_{name}"


def last_blocks(network: Network) -> dict[str, str]:
    """The last block of each of the seven groups."""
    return {stage[5]: stage for stage in network.stages if stage.startswith("block")}


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give, in order: of a group, that of its last block."""
    blocks = {stage: f"features.{i}" for i, stage in last_blocks(network).items()}
    return {"stem": "features.0", **blocks, "top": "features.8"}


def timm_modules(network: Network) -> dict[str, str]:
    """As `torchvision_modules`."""
    blocks = {stage: f"blocks.{int(i) - 1}" for i, stage in last_blocks(network).items()}
    return {"stem": "bn1", **blocks, "top": "bn2"}


def keras_pixels(arrays: Mapping[str, np.ndarray]) -> Pixels:
    """Keras' network takes 0 ... 255 and scales itself, by the arrays of its layer "normalization".

    The published files have ImageNet's deviations there in place of variances, and Keras divides by
    their root once more where it loads those, and only those.
    """
    if "normalization/mean" not in arrays or "normalization/variance" not in arrays:
        return TORCH_PIXELS
    mean, variance = (
        np.asarray(arrays[f"normalization/{name}"], np.float64).reshape(-1)
        for name in ("mean", "variance")
    )
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if np.allclose(mean, MEAN, atol=1e-6) and np.allclose(variance, STD, atol=1e-6):
        return TORCH_PIXELS
    return Pixels(tuple((255 * mean).tolist()), tuple((255 * deviation).tolist()))


SOURCES = {
    "torchvision": Names(
        "torch",
        lambda network: torchvision_name,
        {"variant": "torchvision"},
        modules=torchvision_modules,
    ),
    "timm": Names("torch", lambda network: timm_name, {"variant": "keras"}, modules=timm_modules),
    "keras": Names(
        "keras",
        lambda network: keras_name,
        {"variant": "keras"},
        ignored=r"^normalization/(mean|variance|count)$",
        pixels=keras_pixels,
    ),
}
