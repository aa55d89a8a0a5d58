"""Weights come with their network, its classes, its pixels and where they are from."""

import hashlib
import re

import chex
import jax
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError, pretrained
from cnnjax.models.pixels import TORCH, Pixels
from cnnjax.pretrained import loading
from cnnjax.pretrained.conversion import export
from cnnjax.pretrained.densenet import SOURCES as DENSENET
from cnnjax.pretrained.downloads import place_of
from cnnjax.pretrained.efficientnet import keras_pixels
from cnnjax.pretrained.families import sources_of
from cnnjax.pretrained.passports import published


def same(found, expected):
    chex.assert_trees_all_equal(jax.device_get(found), jax.device_get(expected))


def test_a_file_of_keras_gives_all_that_belongs_to_it(small, keras_file):
    network, variables = small
    found = pretrained.load("mobilenet", str(keras_file), alpha=0.25)
    assert found.network == network
    same(found.variables, variables)
    assert found.passport.source == "keras"
    assert found.passport.classes == ("0", "1", "2", "3", "4")
    assert found.passport.sha256 == hashlib.sha256(keras_file.read_bytes()).hexdigest()
    assert found.passport.top1 is None  # nothing is known of a file that is not published
    assert (found.preprocessing.crop, found.preprocessing.pixels) == (224, None)


def test_a_file_of_timm_makes_timms_network(small, timm_arrays, tmp_path):
    np.savez(tmp_path / "timm.npz", **timm_arrays)
    found = pretrained.load("mobilenet", tmp_path / "timm.npz", alpha=0.25)
    assert (found.passport.source, found.network.variant) == ("timm", "timm")
    same(found.variables, small[1])


def test_the_head_is_left_out_on_request_and_where_there_is_none(small, keras_arrays, keras_file):
    _, variables = small
    without = pretrained.load("mobilenet", keras_file, num_classes=0, alpha=0.25)
    assert without.network.num_classes == 0
    assert without.passport.classes == ()
    assert "fc" not in without.variables["params"]
    same(without.variables["batch_stats"], variables["batch_stats"])
    body = {name: a for name, a in keras_arrays.items() if not name.startswith("conv_preds")}
    np.savez(keras_file, **body)
    again = pretrained.load("mobilenet", keras_file, alpha=0.25)
    assert again.network == without.network
    same(again.variables, without.variables)
    with pytest.raises(CnnjaxError, match="has no head, not 5 classes"):
        pretrained.load("mobilenet", keras_file, num_classes=5, alpha=0.25)


def test_another_number_of_classes_is_one_clear_line(keras_file):
    with pytest.raises(CnnjaxError, match="has 5 classes, not 10 classes; load it with as many"):
        pretrained.load("mobilenet", keras_file, num_classes=10, alpha=0.25)


def test_weights_of_another_network_are_one_clear_line(keras_file):
    with pytest.raises(CnnjaxError, match=r"has names as keras gives them.*resnet18") as error:
        pretrained.load("resnet18", keras_file)
    assert "torchvision, timm" in str(error.value)
    with pytest.raises(CnnjaxError, match="are not those of MobileNetV2: 260 of 260 are missing"):
        pretrained.load("mobilenet_v2", keras_file)
    with pytest.raises(CnnjaxError, match=r"do not fit .* check the name of the network and its"):
        pretrained.load("mobilenet", keras_file, alpha=0.5)


def test_the_wrong_hash_is_told_before_anything_is_made_of_it(keras_file):
    right = hashlib.sha256(keras_file.read_bytes()).hexdigest()
    assert pretrained.load("mobilenet", keras_file, sha256=right, alpha=0.25)
    with pytest.raises(CnnjaxError, match="has the sha256"):
        pretrained.load("mobilenet", keras_file, sha256="0" * 64, alpha=0.25)


def test_names_that_are_nothing_are_told_what_there_is():
    with pytest.raises(CnnjaxError, match="did you mean 'mobilenet_v2'"):
        pretrained.load("mobilenet_v3", "keras")
    with pytest.raises(CnnjaxError, match="there are no weights 'kears' for 'mobilenet'"):
        pretrained.load("mobilenet", "kears")
    with pytest.raises(CnnjaxError, match=r"there is no file 'away.h5'"):
        pretrained.load("mobilenet", "away.h5")
    with pytest.raises(CnnjaxError, match="there are no weights 'aaaa"):
        pretrained.load("mobilenet", "a" * 500)  # longer than a file's name can be
    with pytest.raises(CnnjaxError, match="no weights are published for 'lenet5'"):
        pretrained.load("lenet5", "keras")


def test_an_argument_that_the_weights_decide_is_refused(keras_file):
    with pytest.raises(CnnjaxError, match="for variant='keras'; leave that argument out"):
        pretrained.load("mobilenet", keras_file, alpha=0.25, variant="timm")


def test_a_published_file_is_taken_from_the_cache_without_a_network(
    keras_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    path = place_of(published("mobilenet", "keras")).with_suffix(".npz")
    npz = published("mobilenet", "keras")._replace(url="https://a.example/w.npz")
    monkeypatch.setattr(loading, "published", lambda network, weights: npz)
    path.parent.mkdir()
    path.write_bytes(keras_file.read_bytes())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    found = pretrained.load("mobilenet", "keras", sha256=sha256, alpha=0.25)
    assert (found.passport.weights, found.passport.top1) == ("imagenet", 70.4)


def test_a_published_file_is_known_by_its_hash_wherever_it_lies(keras_file, monkeypatch):
    sha256 = hashlib.sha256(keras_file.read_bytes()).hexdigest()
    known = published("mobilenet", "keras")._replace(digest=f"sha256:{sha256[:8]}")
    monkeypatch.setattr(loading, "passports", lambda: (known,))
    found = pretrained.load("mobilenet", keras_file, alpha=0.25)
    assert found.passport == known._replace(sha256=sha256)


@pytest.fixture(scope="module")
def wide(some_variables):
    network = cnnjax.create("mobilenet_v2", num_classes=5, alpha=0.35)
    return network, some_variables(network, (32, 32, 3))


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_torchvisions_and_timms_files_are_told_apart_by_their_names(wide, source, tmp_path):
    network, variables = wide
    path = tmp_path / "weights.safetensors"
    passport = published("mobilenet_v2", source)
    pretrained.save(path, network, variables, passport, source=source)  # and back again
    found = pretrained.load("mobilenet_v2", path, alpha=0.35)
    assert found.passport.source == source
    assert found.network == network.clone(pixels=TORCH)
    assert found.preprocessing.interpolation == passport.preprocessing.interpolation
    same(found.variables, variables)


def test_an_exported_file_has_torchvisions_names_and_shapes(state_dicts):
    net = cnnjax.create("alexnet", variant="torchvision")
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 224, 224, 3), np.float32))
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    found = export(zeros, net, sources_of("alexnet")["torchvision"])
    assert {name: array.shape for name, array in found.items()} == state_dicts["alexnet"]


def test_the_source_can_be_said_where_names_do_not_tell(wide, tmp_path):
    network, variables = wide
    path = tmp_path / "weights.safetensors"
    pretrained.save(path, network, variables, published("mobilenet_v2", "timm"), source="timm")
    found = pretrained.load("mobilenet_v2", path, source="timm", alpha=0.35)
    assert found.passport.source == "timm"
    with pytest.raises(CnnjaxError, match=r"no names of 'keras' .* expected one of torchvision"):
        pretrained.load("mobilenet_v2", path, source="keras", alpha=0.35)


def test_keras_efficientnet_scales_pixels_by_its_own_arrays():
    def pixels(mean, variance):
        arrays = {"normalization/mean": mean, "normalization/variance": variance}
        return keras_pixels({name: np.array(a, np.float32) for name, a in arrays.items()})

    # As they are published, variances are deviations and Keras divides by their root once more.
    assert pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) == TORCH
    assert pixels((0, 0, 0), (1, 1, 1)) == Pixels((0, 0, 0), (255, 255, 255))
    assert pixels((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)) == Pixels((127.5,) * 3, (127.5,) * 3)
    assert keras_pixels({}) == TORCH


def test_densenets_published_names_become_todays():
    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    new = "features.denseblock1.denselayer2.norm1.running_mean"
    pattern, replacement = DENSENET["torchvision"].renamed
    assert re.sub(pattern, replacement, old) == new
    assert re.sub(pattern, replacement, new) == new
