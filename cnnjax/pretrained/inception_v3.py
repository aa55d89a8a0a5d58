"""The names that torchvision, timm and Keras give to the weights of Inception v3."""

import jax
import jax.numpy as jnp

from cnnjax.models import Network
from cnnjax.models.inception_v3 import BLOCKS
from cnnjax.pretrained.layouts import NameOf, Names, Place

STEM = {
    "conv_1a": "Conv2d_1a_3x3",
    "conv_2a": "Conv2d_2a_3x3",
    "conv_2b": "Conv2d_2b_3x3",
    "conv_3b": "Conv2d_3b_1x1",
    "conv_4a": "Conv2d_4a_3x3",
}


def torchvision_name(place: Place) -> str:
    """("mixed_5b", "branch5x5_1", "norm") -> "Mixed_5b.branch5x5_1.bn"."""
    stage, *inner = place
    if stage == "linear":
        return "fc"
    prefix = STEM.get(stage, stage.capitalize())
    if inner[0] == "auxiliary":
        prefix, inner = "AuxLogits", inner[1:]
    return ".".join([prefix, *inner]).replace("norm", "bn")


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give."""
    pooled = {"conv_2b": "maxpool1", "conv_4a": "maxpool2"}
    return STEM | pooled | {stage: stage.capitalize() for stage in BLOCKS}


def keras_name(network: Network) -> NameOf:
    """("mixed_5b", "branch1x1", "conv") -> "conv2d_5": Keras numbers its layers as it makes them,
    which is the order of our names in each stage."""
    places: list[Place] = []

    def make(key: jax.Array) -> None:
        for stage, layer in network.clone(auxiliary=False).layers().items():
            params = layer.init(key, jnp.zeros((1, 9, 9, 4)), train=False)["params"]
            inner = [] if stage.startswith("conv") else list(params)
            places.extend([(stage, name) for name in inner] or [(stage,)])

    jax.eval_shape(make, jax.random.key(0))
    number = {place: index for index, place in enumerate(places)}

    def name(place: Place) -> str:
        if place == ("linear",):
            return "predictions"
        kind = {"conv": "conv2d", "norm": "batch_normalization"}[place[-1]]
        index = number[place[:-1]]
        return f"{kind}_{index}" if index else kind

    return name


TORCH = Names(
    "torch",
    lambda network: torchvision_name,
    {"variant": "torchvision"},
    auxiliary=r"^AuxLogits\.",
    modules=torchvision_modules,
)
SOURCES = {
    "torchvision": TORCH,
    "timm": TORCH,
    "keras": Names("keras", keras_name, {"variant": "keras", "auxiliary": False}),
}
