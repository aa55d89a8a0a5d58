"""Our own files: what is written is what is read, and what is no such file is told."""

import json
import os

import chex
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cnnjax
from cnnjax import CnnjaxError, pretrained
from cnnjax.models.pixels import CAFFE
from cnnjax.pretrained import Passport, Preprocessing
from cnnjax.pretrained.readers import read

PASSPORT = Passport(
    *("mlp", "cnnjax", "two kinds", "MIT", None, None, "", ""),
    Preprocessing(9, 8, "bicubic", CAFFE),
    ("cat", "dog"),
)


@pytest.fixture(scope="module")
def trained(some_variables):
    network = cnnjax.create("mlp", num_classes=2, hidden=(7, 5), pixels=CAFFE)
    return network, some_variables(network, (8, 8, 3))


@pytest.fixture
def path(trained, tmp_path):
    path = tmp_path / "own.safetensors"
    pretrained.save(path, *trained, PASSPORT, image_shape=(8, 8, 3))
    return path


def change(path, **changes):
    """The same file with another description; a value of None leaves it out."""
    about = read(path).about | changes
    about = {name: value for name, value in about.items() if value is not None}
    save_file(load_file(path), path, metadata={"cnnjax": json.dumps(about)})


def test_everything_comes_back(trained, path):
    network, variables = trained
    found = pretrained.load("mlp", path)
    assert found.network == network
    chex.assert_trees_all_equal(jax.device_get(found.variables), jax.device_get(variables))
    assert found.passport._replace(sha256=None) == PASSPORT
    assert found.preprocessing == PASSPORT.preprocessing


def test_grey_images_are_remembered(some_variables, tmp_path):
    network = cnnjax.create("mlp", num_classes=2, hidden=(3,))
    grey = PASSPORT._replace(preprocessing=Preprocessing(8, 8))
    path = tmp_path / "own.safetensors"
    variables = some_variables(network, (8, 8, 1))
    pretrained.save(path, network, variables, grey, image_shape=(8, 8, 1))
    found = pretrained.load("mlp", path)
    assert found.preprocessing == Preprocessing(8, 8, channels=1)


def test_everyone_who_may_read_the_folder_may_read_the_file(path):
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_head_is_left_out_on_request(trained, path):
    found = pretrained.load("mlp", path, num_classes=0)
    assert found.network.stages == trained[0].stages[:-1]
    assert set(found.variables["params"]) == set(found.network.stages)
    with pytest.raises(CnnjaxError, match="has 2 classes, not 3"):
        pretrained.load("mlp", path, num_classes=3)


def test_another_network_is_told(path):
    with pytest.raises(CnnjaxError, match="holds weights of 'mlp', not of 'lenet5'"):
        pretrained.load("lenet5", path)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"arguments": 3},
        {"num_classes": "two"},
        {"num_classes": float("inf")},
        {"pixels": {"mean": [1], "std": "x", "bgr": True}},
        {"passport": {}},
        {"preprocessing": {"resize": 9}},
        {"image": [8, 8]},
        {"image": [-8, 8, 3]},
    ],
)
def test_a_description_that_is_not_ours_is_damage(path, changes):
    change(path, **changes)
    with pytest.raises(CnnjaxError, match="no whole file of cnnjax"):
        pretrained.load("mlp", path)


def test_arguments_that_the_network_does_not_have_are_told(path):
    change(path, arguments={"width": 3})
    with pytest.raises(CnnjaxError, match="takes no argument 'width'"):
        pretrained.load("mlp", path)


def test_arrays_that_do_not_fit_the_description_are_told(path):
    change(path, arguments={"hidden": [7, 6]})
    with pytest.raises(CnnjaxError, match="do not fit"):
        pretrained.load("mlp", path)


def test_what_cannot_be_written_is_told_and_nothing_is_left(trained, tmp_path):
    network, variables = trained
    with pytest.raises(CnnjaxError, match=r"end it in \.safetensors"):
        pretrained.save(tmp_path / "own.npz", network, variables, PASSPORT)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CnnjaxError, match="cannot write"):
        pretrained.save(tmp_path / "file" / "own.safetensors", network, variables, PASSPORT)
    with pytest.raises(CnnjaxError, match="there are no names of 'torchvision' for 'mlp'"):
        pretrained.save(tmp_path / "o.safetensors", network, variables, PASSPORT, "torchvision")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_variant_is_not_exported_as_another(some_variables, tmp_path):
    network = cnnjax.create("mobilenet", num_classes=2, alpha=0.25)
    passport = PASSPORT._replace(network="mobilenet")
    with pytest.raises(CnnjaxError, match="variant='keras', and timm's has 'timm'"):
        pretrained.save(tmp_path / "o.safetensors", network, {}, passport, source="timm")


def test_values_survive_bit_by_bit(trained, path):
    found = load_file(path)
    leaves = jax.tree.leaves(trained[1])
    assert sum(array.size for array in found.values()) == sum(leaf.size for leaf in leaves)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_one_other_bit_in_a_weight_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # of the last array: the file as such is whole
    path.write_bytes(content)
    with pytest.raises(CnnjaxError, match="an array is not what was written"):
        pretrained.load("mlp", path)


def test_older_files_have_no_digest(path):
    change(path, digest=None)
    assert pretrained.load("mlp", path).network.hidden == (7, 5)


def test_arguments_of_which_no_network_can_be_made_are_damage(path):
    change(path, arguments={"hidden": [7, float("nan")]})
    with pytest.raises(CnnjaxError, match="no whole file of cnnjax"):
        pretrained.load("mlp", path)
