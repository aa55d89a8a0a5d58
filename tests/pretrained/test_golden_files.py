"""Files as torchvision and timm write them, with weights that anyone can draw again: every stage
of what is loaded gives what their own networks computed (tests/golden)."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax import pretrained
from cnnjax.models.pixels import TORCH
from cnnjax.pretrained.references import compare, read_reference

TESTS = Path(__file__).parents[1]
NETWORKS = {
    "timm_legacy_xception": "xception",
    "timm_mobilenetv1_100": "mobilenet",
    "timm_nasnetalarge": "nasnet_large",
    "timm_tf_efficientnet_b0": "efficientnet_b0",
}
TORCHVISION = (
    *("alexnet", "densenet121", "densenet161", "efficientnet_b0", "googlenet", "inception_v3"),
    *("mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "vgg11", "vgg16_bn"),
)


@pytest.fixture(scope="module")
def entry():
    """(name, shape) -> the array of that name, see tests/models/conftest.py."""
    return runpy.run_path(str(TESTS / "models" / "conftest.py"))["entry"]


def write(shapes, entry, path):
    arrays = {name: entry(name, shape) if shape else np.array(7) for name, shape in shapes.items()}
    if path.suffix == ".safetensors":
        save_file(arrays, path)
        return
    torch = pytest.importorskip("torch")
    tensors = {f"module.{name}": torch.tensor(array) for name, array in arrays.items()}
    torch.save({"state_dict": tensors, "epoch": 90}, path)


def check(file, suffix, state_dicts, entry, tmp_path):
    path = tmp_path / f"{file}{suffix}"
    write(state_dicts[file], entry, path)
    found = pretrained.load(NETWORKS.get(file, file), path)
    path.unlink()
    assert found.passport.source == ("timm" if file in NETWORKS else "torchvision")
    assert len(found.passport.classes) == 1000
    differences = compare(found, read_reference(TESTS / "golden" / f"{file}.npz"))
    assert len(differences) > 3
    assert not {d for d in differences if d.relative > 1e-4}
    return found


def test_a_file_of_timm_computes_what_timm_computes(state_dicts, entry, tmp_path):
    found = check("timm_mobilenetv1_100", ".safetensors", state_dicts, entry, tmp_path)
    assert found.network.pixels is None  # [-1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("file", [*TORCHVISION, *(n for n in NETWORKS if "mobilenet" not in n)])
def test_every_file_computes_what_its_source_computes(file, state_dicts, entry, tmp_path):
    suffix = ".safetensors" if file in NETWORKS else ".pth"
    found = check(file, suffix, state_dicts, entry, tmp_path)
    unscaled = ("googlenet", "inception_v3", "timm_legacy_xception", "timm_nasnetalarge")
    assert found.network.pixels == (None if file in unscaled else TORCH)
