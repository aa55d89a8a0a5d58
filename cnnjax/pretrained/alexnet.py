"""The names that torchvision gives to the weights of AlexNet."""

from cnnjax.pretrained.layouts import Flattened, Names, Place

PLACES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
MODULES = {  # the last module of each stage, after ReLU and pooling
    "conv1": "features.2",
    "conv2": "features.5",
    "conv3": "features.7",
    "conv4": "features.9",
    "conv5": "avgpool",
    "fc6": "classifier.2",
    "fc7": "classifier.5",
    "fc8": "classifier.6",
}
FORMS = {("fc6",): Flattened(6, 6, 256)}


def torchvision_name(place: Place) -> str:
    """("conv2",) -> "features.3"."""
    return PLACES[place[0]]


SOURCES = {
    "torchvision": Names(
        "torch",
        lambda network: torchvision_name,
        {"variant": "torchvision"},
        forms=lambda network: FORMS,
        modules=lambda network: MODULES,
    )
}
