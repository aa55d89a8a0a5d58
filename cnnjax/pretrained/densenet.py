"""The names that torchvision, timm and Keras give to the weights of DenseNet."""

import re

from cnnjax.models import Network
from cnnjax.pretrained.layouts import Names, Place

PARTS = re.compile(r"([a-z]+)(\d*)_?(\d*)")


def torchvision_name(place: Place) -> str:
    """("dense1_2", "norm1") -> "features.denseblock1.denselayer2.norm1"."""
    stage, *inner = place
    kind, block, layer = PARTS.match(stage).groups()
    match kind:
        case "conv":
            module = {"conv": "conv0", "norm": "norm0"}[inner.pop()]
        case "dense":
            module = f"denseblock{block}.denselayer{layer}"
        case "transition":
            module = f"transition{block}"
        case "norm":
            module = "norm5"
        case "fc":
            return "classifier"
    return ".".join(["features", module, *inner])


def torchvision_modules(network: Network) -> dict[str, str]:
    """The modules that give what our stages give: of a block, that of its last layer."""
    last = {stage[5]: stage for stage in network.stages if stage.startswith("dense")}
    modules = {"conv1": "features.pool0"}
    modules |= {stage: f"features.denseblock{b}" for b, stage in last.items()}
    return modules | {f"transition{b}": f"features.transition{b}" for b in (1, 2, 3)}


def keras_name(place: Place) -> str:
    """("dense1_2", "norm1") -> "conv2_block2_0_bn": Keras' block 1 is the stem."""
    stage, *inner = place
    kind, block, layer = PARTS.match(stage).groups()
    match kind:
        case "conv":
            return {"conv": "conv1_conv", "norm": "conv1_bn"}[inner[0]]
        case "dense":
            part = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}
            return f"conv{int(block) + 1}_block{layer}_{part[inner[0]]}"
        case "transition":
            return f"pool{int(block) + 1}_{ {'norm': 'bn', 'conv': 'conv'}[inner[0]] }"
    return {"norm": "bn", "fc": "predictions"}[stage]


TORCH = Names(
    "torch",
    lambda network: torchvision_name,
    {"variant": "torchvision"},
    # The published files were written when the parts of a layer were called norm.1, conv.1.
    renamed=(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2"),
    modules=torchvision_modules,
)
SOURCES = {
    "torchvision": TORCH,
    "timm": TORCH,
    "keras": Names("keras", lambda network: keras_name, {"variant": "keras"}),
}
