"""The networks of the lectures: compositions of named stages, and the registry of their names."""

from dataclasses import fields

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models.alexnet import AlexNet, AlexNetSmall
from cnnjax.models.cifar_vgg import CifarVGG
from cnnjax.models.densenet import (
    DenseNet121,
    DenseNet161,
    DenseNet169,
    DenseNet201,
    DenseNetBC,
)
from cnnjax.models.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from cnnjax.models.googlenet import GoogLeNet
from cnnjax.models.inception_v3 import InceptionV3
from cnnjax.models.lenet import LeNet5
from cnnjax.models.mlp import MLP
from cnnjax.models.mobilenet import MobileNet
from cnnjax.models.mobilenet_v2 import MobileNetV2
from cnnjax.models.nasnet import NASNetLarge, NASNetMobile
from cnnjax.models.network import Network, check_takes
from cnnjax.models.pixels import Pixels
from cnnjax.models.resnet import ResNet18, ResNet34, ResNet50, ResNet101, ResNet152
from cnnjax.models.resnet_cifar import ResNet20, ResNet32, ResNet44, ResNet56, ResNet110
from cnnjax.models.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from cnnjax.models.resnext import ResNeXt50x32x4d, ResNeXt101x32x8d, ResNeXt101x64x4d
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
from cnnjax.models.xception import Xception

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
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "DenseNetBC",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "GoogLeNet",
    "InceptionV3",
    "LeNet5",
    "MobileNet",
    "MobileNetV2",
    "NASNetLarge",
    "NASNetMobile",
    "Network",
    "Pixels",
    "ResNeXt50x32x4d",
    "ResNeXt101x32x8d",
    "ResNeXt101x64x4d",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet50V2",
    "ResNet56",
    "ResNet101",
    "ResNet101V2",
    "ResNet110",
    "ResNet152",
    "ResNet152V2",
    "Xception",
    "check_takes",
    "create",
    "list_models",
]

NETWORKS: dict[str, type[Network]] = {
    "alexnet": AlexNet,
    "alexnet_small": AlexNetSmall,
    "cifar_vgg": CifarVGG,
    "conv_stack": ConvStack,
    "densenet121": DenseNet121,
    "densenet161": DenseNet161,
    "densenet169": DenseNet169,
    "densenet201": DenseNet201,
    "densenet_bc_100_12": DenseNetBC,
    "efficientnet_b0": EfficientNetB0,
    "efficientnet_b1": EfficientNetB1,
    "efficientnet_b2": EfficientNetB2,
    "efficientnet_b3": EfficientNetB3,
    "efficientnet_b4": EfficientNetB4,
    "efficientnet_b5": EfficientNetB5,
    "efficientnet_b6": EfficientNetB6,
    "efficientnet_b7": EfficientNetB7,
    "googlenet": GoogLeNet,
    "inception_v3": InceptionV3,
    "lenet5": LeNet5,
    "mlp": MLP,
    "mobilenet": MobileNet,
    "mobilenet_v2": MobileNetV2,
    "nasnet_large": NASNetLarge,
    "nasnet_mobile": NASNetMobile,
    "resnet101": ResNet101,
    "resnet101v2": ResNet101V2,
    "resnet110": ResNet110,
    "resnet152": ResNet152,
    "resnet152v2": ResNet152V2,
    "resnet18": ResNet18,
    "resnet20": ResNet20,
    "resnet32": ResNet32,
    "resnet34": ResNet34,
    "resnet44": ResNet44,
    "resnet50": ResNet50,
    "resnet50v2": ResNet50V2,
    "resnet56": ResNet56,
    "resnext101_32x8d": ResNeXt101x32x8d,
    "resnext101_64x4d": ResNeXt101x64x4d,
    "resnext50_32x4d": ResNeXt50x32x4d,
    "vgg11": VGG11,
    "vgg11_bn": VGG11BN,
    "vgg13": VGG13,
    "vgg13_bn": VGG13BN,
    "vgg16": VGG16,
    "vgg16_bn": VGG16BN,
    "vgg19": VGG19,
    "vgg19_bn": VGG19BN,
    "xception": Xception,
}


def list_models() -> list[str]:
    """Returns the names that `create` knows, sorted.

    >>> list_models()[:4]
    ['alexnet', 'alexnet_small', 'cifar_vgg', 'conv_stack']
    """
    return sorted(NETWORKS)


def create(name: str, **kwargs: object) -> Network:
    """Makes the network of that name.

    Args:
      name: one of `list_models()`.
      **kwargs: the network's own arguments, e.g. `num_classes=10`, `dtype=jnp.bfloat16`.

    Returns:
      A Flax Linen module; nothing is computed yet.

    Raises:
      CnnjaxError: an unknown name or argument.

    >>> create("lenet5", num_classes=26).stages
    ('c1', 'c3', 'c5', 'f6', 'output')
    """
    if name not in NETWORKS:
        hint = did_you_mean(name, NETWORKS)
        raise CnnjaxError(
            f"there is no network {name!r}; cnnjax.list_models() names the {len(NETWORKS)} "
            f"there are, and so does scripts/ledger.py --list{hint}"
        )
    network = NETWORKS[name]
    known = {field.name for field in fields(network)} - {"parent", "name"}
    if unknown := sorted(set(kwargs) - known):
        raise CnnjaxError(
            f"network {name!r} takes no argument {', '.join(map(repr, unknown))}; "
            f"it takes {', '.join(sorted(known))}"
        )
    return network(**kwargs)
