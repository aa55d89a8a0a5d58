"""Networks as compositions of named stages, and the registry of their names."""

from cnnjax.models.alexnet import AlexNet, AlexNetSmall
from cnnjax.models.cifar_vgg import CifarVGG
from cnnjax.models.lenet import LeNet5
from cnnjax.models.mlp import MLP
from cnnjax.models.network import Network, check_takes
from cnnjax.models.registry import NETWORKS, create, list_models
from cnnjax.models.stacks import ConvStack
from cnnjax.models.vgg import (
    VGG11,
    VGG11BN,
    VGG13,
    VGG13BN,
    VGG16,
    VGG16BN,
    VGG19,
    VGG19BN,
)

__all__ = [
    "MLP",
    "NETWORKS",
    "VGG11",
    "VGG11BN",
    "VGG13",
    "VGG13BN",
    "VGG16",
    "VGG16BN",
    "VGG19",
    "VGG19BN",
    "AlexNet",
    "AlexNetSmall",
    "CifarVGG",
    "ConvStack",
    "LeNet5",
    "Network",
    "check_takes",
    "create",
    "list_models",
]
