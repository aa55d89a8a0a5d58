"""The names that torchvision, timm and Keras give to the weights of VGG."""

from cnnjax.models.vgg import VGG
from cnnjax.pretrained.layouts import Flattened, NameOf, Names, Place, Window

CLASSIFIER = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
TIMM_HEAD = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "fc8": "head.fc"}


def positions(network: VGG) -> dict[str, tuple[int, int]]:
    """{stage: (number of its convolution in torch's `features`, of its last module)}."""
    places, position = {}, 0
    for stage, layer in network.layers().items():
        if stage.startswith("conv"):
            last = position + 1 + network.batch_norm + (layer.pool is not None)
            places[stage] = (position, last)
            position = last + 1
    return places


def torchvision_name(network: VGG) -> NameOf:
    """("conv1_2", "norm") -> "features.4" in vgg11_bn."""
    return _torch_name(network, CLASSIFIER)


def timm_name(network: VGG) -> NameOf:
    """As torchvision's, but for the head, whose dense layers are convolutions there."""
    return _torch_name(network, TIMM_HEAD)


def _torch_name(network: VGG, head: dict[str, str]) -> NameOf:
    places = positions(network)

    def name(place: Place) -> str:
        stage, *inner = place
        if stage in head:
            return head[stage]
        return f"features.{places[stage][0] + (inner == ['norm'])}"

    return name


def torchvision_modules(network: VGG) -> dict[str, str]:
    """The modules that give what our stages give; fc6 and fc7 after ReLU."""
    modules = {stage: f"features.{last}" for stage, (_, last) in positions(network).items()}
    return modules | {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}


def keras_name(place: Place) -> str:
    """("conv1_2",) -> "block1_conv2"."""
    stage = place[0]
    if stage in ("fc6", "fc7", "fc8"):
        return {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}[stage]
    block, number = stage.removeprefix("conv").split("_")
    return f"block{block}_conv{number}"


SOURCES = {
    "torchvision": Names(
        "torch",
        torchvision_name,
        forms=lambda network: {("fc6",): Flattened(7, 7, 512)},
        modules=torchvision_modules,
    ),
    "timm": Names(
        "torch",
        timm_name,
        forms=lambda network: {("fc6",): Window(7, 7), ("fc7",): Window(1, 1)},
    ),
    "keras": Names("keras", lambda network: keras_name),
}
