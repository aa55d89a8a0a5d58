"""What torchvision's and timm's files contain, name by name: everything is used, or ignored by
name, and has the shape that is expected.

tests/tables/state_dicts.csv.gz lists the state dicts of torchvision 0.28 and timm 1.0.31.
"""

import re

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.pretrained.conversion import shapes_of
from cnnjax.pretrained.families import sources_of
from cnnjax.pretrained.layouts import entry_of

TIMM = {
    "timm_densenet121": "densenet121",
    "timm_inception_v3": "inception_v3",
    "timm_legacy_xception": "xception",
    "timm_mobilenetv1_100": "mobilenet",
    "timm_mobilenetv2_100": "mobilenet_v2",
    "timm_nasnetalarge": "nasnet_large",
    "timm_resnet50": "resnet50",
    "timm_tf_efficientnet_b0": "efficientnet_b0",
    "timm_vgg16": "vgg16",
}
QUICK = ("alexnet", "resnet18", "timm_mobilenetv1_100", "timm_vgg16", "vgg16_bn")
TORCHVISION = (
    *("alexnet", "densenet121", "densenet161", "efficientnet_b0", "efficientnet_b5", "googlenet"),
    *("inception_v3", "mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnext50_32x4d"),
    *("vgg11", "vgg16_bn"),
)


def test_every_list_is_gone_through(state_dicts):
    assert set(state_dicts) == {*TIMM, *TORCHVISION}


@pytest.mark.parametrize(
    "file",
    [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in (*TORCHVISION, *TIMM)],
)
def test_every_array_is_used_or_ignored_and_has_its_shape(state_dicts, file):
    name, source = (TIMM[file], "timm") if file in TIMM else (file, "torchvision")
    names, theirs = sources_of(name)[source], state_dicts[file]
    auxiliary = {} if names.auxiliary is None else {"auxiliary": file != "timm_inception_v3"}
    network = cnnjax.create(name, **{**names.arguments, **auxiliary})
    entry, expected = entry_of(names, network), {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes_of(network)):
        *place, last = (key.key for key in path[1:])
        (found,), _, to_source = entry(tuple(place), last)
        assert found not in expected, f"{found} is used twice"
        expected[found] = to_source(np.broadcast_to(np.float32(0), leaf.shape)).shape
    assert {n: s for n, s in theirs.items() if not re.search(names.ignored, n)} == expected
    assert all(n.endswith(".num_batches_tracked") for n in theirs.keys() - expected)
