"""The names that torchvision gives to the weights of GoogLeNet."""

from cnnjax.models import Network
from cnnjax.models.googlenet import TABLE_1
from cnnjax.pretrained.layouts import Flattened, Names, Place

BRANCHES = {
    "conv1x1": "branch1",
    "reduce3x3": "branch2.0",
    "conv3x3": "branch2.1",
    "reduce5x5": "branch3.0",
    "conv5x5": "branch3.1",
    "projection": "branch4.1",
}
HEADS = {"inception_4a": "aux1", "inception_4d": "aux2"}
CONV2 = {"reduce3x3": "conv2", "conv3x3": "conv3"}
POOLED = {"conv1": 1, "conv2": 2, "inception_3b": 3, "inception_4e": 4}
FORMS = {(stage, "auxiliary", "fc1"): Flattened(4, 4, 128) for stage in HEADS}


def torchvision_name(place: Place) -> str:
    """("inception_3a", "reduce3x3", "norm") -> "inception3a.branch2.0.bn"."""
    stage, *inner = place
    if stage == "linear":
        return "fc"
    if inner[0] == "auxiliary":
        prefix, inner = HEADS[stage], inner[1:]
        if inner[0] != "conv":
            return f"{prefix}.{inner[0]}"
        prefix, inner = f"{prefix}.conv", inner[1:]
    elif stage == "conv1":
        prefix = "conv1"
    elif stage == "conv2":
        prefix, inner = CONV2[inner[0]], inner[1:]
    else:
        prefix, inner = f"{stage.replace('_', '')}.{BRANCHES[inner[0]]}", inner[1:]
    return f"{prefix}.{ {'conv': 'conv', 'norm': 'bn'}[inner[0]] }"


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give."""
    modules = {stage: stage.replace("_", "") for stage in TABLE_1}
    return modules | {stage: f"maxpool{number}" for stage, number in POOLED.items()}


SOURCES = {
    "torchvision": Names(
        "torch",
        lambda network: torchvision_name,
        {"variant": "torchvision"},
        forms=lambda network: FORMS,
        auxiliary=r"^aux[12]\.",
        modules=torchvision_modules,
    )
}
