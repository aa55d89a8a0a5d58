"""Files of weights as Keras writes them: the names, old and new, and what lies outside the file."""

import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.pretrained.readers import read

h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.h5"


def write_keras_3(path):
    """As Keras 3 writes .weights.h5."""
    with h5py.File(path, "w") as file:
        for place, name, values in (
            ("conv2d", "conv2d_7", {"0": np.ones((1, 1, 2, 3)), "1": np.zeros(3)}),
            ("conv2d_1", "stem", {"0": np.full((1, 1, 2, 3), 2.0)}),
            ("batch_normalization", "norm", {str(i): np.full(3, i) for i in range(4)}),
            (
                "batch_normalization_1",
                "batch_normalization_4",
                {str(i): np.full(3, i) for i in range(3)},
            ),
            ("separable_conv2d", "sep", {"0": np.ones((3, 3, 2, 1)), "1": np.ones((1, 1, 2, 3))}),
            ("input_layer", "input", {}),
        ):
            group = file.create_group(f"layers/{place}/vars")
            group.attrs["name"] = name
            for index, value in values.items():
                group[index] = value.astype(np.float32)


def test_keras_3_weights_get_the_names_of_their_layers(path):
    write_keras_3(path)
    found = {name: float(array.flat[0]) for name, array in read(path).arrays.items()}
    assert found == {
        "conv2d/kernel": 1.0,  # counted from the first
        "conv2d/bias": 0.0,
        "stem/kernel": 2.0,
        "norm/gamma": 0.0,
        "norm/beta": 1.0,
        "norm/moving_mean": 2.0,
        "norm/moving_variance": 3.0,
        "batch_normalization/beta": 0.0,  # it has no gamma
        "batch_normalization/moving_mean": 1.0,
        "batch_normalization/moving_variance": 2.0,
        "sep/depthwise_kernel": 1.0,
        "sep/pointwise_kernel": 1.0,
    }


def test_keras_3_weights_without_names_ask_for_a_newer_version(path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((1, 1, 2, 3), np.float32)
    with pytest.raises(CnnjaxError, match=r"has no name in this file.*save the weights again"):
        read(path)


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_old_files_of_keras_with_the_names_of_their_time(path, root):
    layers = {
        "block1_conv1": ["block1_conv1_W_1:0", "block1_conv1_b_1:0"],
        "convolution2d_5": ["convolution2d_5/kernel:0"],
        "batchnormalization_2": ["batchnormalization_2_running_mean:0"],
        "bn": ["bn/bn/moving_variance:0"],
    }
    with h5py.File(path, "w") as file:
        top = file.require_group(root) if root else file
        top.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, weights in layers.items():
            group = top.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name in weights:
                group[name] = np.zeros(3, np.float32)
    assert set(read(path).arrays) == {
        "block1_conv1/kernel",
        "block1_conv1/bias",
        "conv2d/kernel",
        "batch_normalization/moving_mean",
        "bn/moving_variance",
    }


def test_links_out_of_an_hdf5_file_are_not_followed(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.zeros(3, np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = ["a/kernel:0"]
        group["a/kernel:0"] = h5py.ExternalLink("other.h5", "secret")
    with pytest.raises(CnnjaxError, match=r"is a link to somewhere else.*not followed"):
        read(path)


def test_arrays_that_an_hdf5_file_keeps_elsewhere_are_not_read(path, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = ["kernel:0"]
        outside = [(str(tmp_path / "raw"), 0, 12)]
        group.create_dataset("kernel:0", (3,), np.float32, external=outside)
    with pytest.raises(CnnjaxError, match="is kept in another file; not read"):
        read(path)
