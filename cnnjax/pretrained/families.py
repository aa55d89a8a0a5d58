"""Which networks have weights elsewhere, and under which names there."""

from cnnjax.pretrained import (
    alexnet,
    densenet,
    efficientnet,
    googlenet,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    nasnet,
    resnet,
    vgg,
    xception,
)
from cnnjax.pretrained.layouts import Names
from cnnjax.pretrained.passports import passports

SOURCES = {
    "alexnet": alexnet.SOURCES,
    **{f"densenet{depth}": densenet.SOURCES for depth in (121, 161, 169, 201)},
    **{f"efficientnet_b{number}": efficientnet.SOURCES for number in range(8)},
    "googlenet": googlenet.SOURCES,
    "inception_v3": inception_v3.SOURCES,
    "mobilenet": mobilenet.SOURCES,
    "mobilenet_v2": mobilenet_v2.SOURCES,
    "nasnet_large": nasnet.SOURCES,
    "nasnet_mobile": nasnet.SOURCES,
    **{f"resnet{depth}": resnet.SOURCES for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}v2": resnet.V2_SOURCES for depth in (50, 101, 152)},
    "resnext50_32x4d": resnet.SOURCES,
    "resnext101_32x8d": resnet.SOURCES,
    "resnext101_64x4d": resnet.SOURCES,
    **{f"vgg{depth}": vgg.SOURCES for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": vgg.SOURCES for depth in (11, 13, 16, 19)},
    "xception": xception.SOURCES,
}


def sources_of(network: str) -> dict[str, Names]:
    """{source: its names} of those that publish weights for the network; torchvision's first.

    >>> list(sources_of("mobilenet")), list(sources_of("lenet5"))
    (['timm', 'keras'], [])
    """
    published = {passport.source for passport in passports() if passport.network == network}
    return {
        source: names for source, names in SOURCES.get(network, {}).items() if source in published
    }
