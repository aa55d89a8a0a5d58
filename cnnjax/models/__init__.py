"""Networks as compositions of named stages, and the registry of their names."""

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
from cnnjax.models.registry import NETWORKS, create, list_models
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
