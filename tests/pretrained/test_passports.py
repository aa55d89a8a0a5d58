"""What is known of published weights."""

import re
from urllib.parse import urlsplit

import pytest

from cnnjax import CnnjaxError
from cnnjax.models import NETWORKS
from cnnjax.models.pixels import CAFFE, TORCH
from cnnjax.pretrained import imagenet_classes, passports
from cnnjax.pretrained.families import SOURCES, sources_of
from cnnjax.pretrained.passports import class_names, published

HOSTS = {
    "torchvision": {"download.pytorch.org"},
    "timm": {"huggingface.co", "github.com"},
    "keras": {"storage.googleapis.com"},
}


def test_every_passport_is_of_a_network_here_and_its_source_has_a_name_table():
    for p in passports():
        assert p.network in NETWORKS
        assert p.source in SOURCES[p.network], p
    assert all(sources_of(name) for name in SOURCES)


def test_no_two_passports_are_the_same():
    names = [(p.network, p.source, p.weights) for p in passports()]
    assert len(set(names)) == len(names)


def test_addresses_are_https_and_of_the_source():
    for p in passports():
        assert urlsplit(p.url).scheme == "https", p.url
        assert urlsplit(p.url).hostname in HOSTS[p.source], p.url


def test_hashes_are_hashes_and_torchvisions_are_in_the_names_of_its_files():
    for p in passports():
        assert re.fullmatch(r"(sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32})?", p.digest), p
        if p.source == "torchvision":
            assert p.url.endswith(f"-{p.digest.removeprefix('sha256:')}.pth")


def test_sizes_follow_the_networks():
    for p in passports():
        if p.source == "keras":
            assert p.preprocessing.crop == NETWORKS[p.network].image[0], p.network


def test_accuracies_are_percent_and_top_5_is_the_higher():
    for p in passports():
        assert (p.top1 is None) == (p.top5 is None)
        if p.top1 is not None:
            assert 50 < p.top1 < p.top5 < 100
        else:
            assert p.source == "timm"


@pytest.mark.parametrize(
    ("network", "weights", "resize", "crop", "pixels", "top1"),
    [
        # torchvision 0.28, `*_Weights.*.transforms` and `meta`
        ("resnet50", "torchvision", 256, 224, TORCH, 76.13),
        ("resnet50", "torchvision/IMAGENET1K_V2", 232, 224, TORCH, 80.858),
        ("efficientnet_b7", "torchvision", 600, 600, TORCH, 84.122),
        ("inception_v3", "torchvision", 342, 299, None, 77.294),  # its `transform_input`
        # the `preprocess_input` of each module of keras.applications
        ("vgg16", "keras", 224, 224, CAFFE, 71.3),
        ("resnet50", "keras", 224, 224, CAFFE, 74.9),
        ("resnet50v2", "keras", 224, 224, None, 76.0),
        ("densenet121", "keras", 224, 224, TORCH, 75.0),
        ("nasnet_large", "keras", 331, 331, None, 82.5),
        # timm 1.0.31's configurations
        ("nasnet_large", "timm", 363, 331, None, 82.626),
        ("efficientnet_b1", "timm", 272, 240, TORCH, 81.394),
    ],
)
def test_some_are_what_their_source_says(network, weights, resize, crop, pixels, top1):
    p = published(network, weights)
    found = p.preprocessing
    assert (found.resize, found.crop, found.pixels, p.top1) == (resize, crop, pixels, top1)


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(CnnjaxError, match=r"torchvision/IMAGENET1K_V1.*did you mean"):
        published("resnet50", "torchvision/IMAGENET1K_V3")
    with pytest.raises(CnnjaxError, match="no weights are published for 'lenet5'"):
        published("lenet5", "torchvision")


def test_the_thousand_classes_are_in_imagenets_order():
    classes = imagenet_classes()
    assert len(set(classes)) == 1000
    places = {0: "tench", 1: "goldfish", 281: "tabby", 285: "Egyptian cat", 999: "toilet tissue"}
    assert {i: classes[i] for i in places} == places
    assert class_names(1001)[1:] == classes
    assert class_names(3) == ("0", "1", "2")
