"""Files of weights: every format, whole, damaged, and with more in them than arrays."""

import json
import os
import pickle
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax import CnnjaxError
from cnnjax.pretrained.readers import SUFFIXES, read

ARRAYS = {
    "conv1.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "bn1.bias": np.linspace(-1, 1, 5, dtype=np.float32),
}


def assert_same(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def test_safetensors_are_read(path):
    path = path.with_suffix(".safetensors")
    save_file(ARRAYS, path, metadata={"format": "pt"})
    file = read(path)
    assert_same(file.arrays)
    assert (file.layout, file.about) == ("torch", {})


def test_archives_are_read_by_the_names_in_them(path):
    path = path.with_suffix(".npz")
    np.savez(path, **ARRAYS)
    assert_same(read(path).arrays)
    assert read(path).layout == "torch"
    names = ("conv1/kernel", "conv2d_4/kernel", "conv2d_4/bias", "conv2d_9/kernel")
    np.savez(path, **dict.fromkeys(names, ARRAYS["conv1.weight"]))
    assert read(path).layout == "keras"
    counted = {"conv1/kernel", "conv2d/kernel", "conv2d/bias", "conv2d_1/kernel"}
    assert set(read(path).arrays) == counted  # Keras' own numbers begin anywhere


def test_the_prefix_of_wrapped_models_is_taken_off(path):
    path = path.with_suffix(".safetensors")
    save_file({f"module.{name}": array for name, array in ARRAYS.items()}, path)
    assert_same(read(path).arrays)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".h5", ".pth"])
def test_half_a_file_is_one_line(path, suffix):
    if suffix == ".pth":
        torch = pytest.importorskip("torch")
    path = path.with_name(f"weights{suffix}")
    if suffix == ".safetensors":
        save_file(ARRAYS, path)
    elif suffix == ".npz":
        np.savez(path, **ARRAYS)
    elif suffix == ".h5":
        write_keras_3(path)
    else:
        torch.save({"a": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights at all, but text"):
        path.write_bytes(content)
        with pytest.raises(CnnjaxError, match=r"no whole .* get it again") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_no_file_and_no_known_kind(path):
    with pytest.raises(CnnjaxError, match="there is no file"):
        read(path.with_suffix(".npz"))
    with pytest.raises(CnnjaxError, match="there is no file"):
        read(path.parent)
    path.with_suffix(".onnx").write_bytes(b"x")
    with pytest.raises(CnnjaxError, match=r"of no kind .* expected one of \.safetensors"):
        read(path.with_suffix(".onnx"))


class Evil:
    """A pickle of this runs a command where it is opened."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_the_evil_pickle_is_one(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def write_evil(path, target):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {"a": torch.zeros(3)}, "extra": Evil(target)}, path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".bin"])
def test_code_in_a_file_of_torch_is_not_run(path, tmp_path, suffix):
    path = path.with_suffix(suffix)
    write_evil(path, tmp_path / "ran")
    with pytest.raises(CnnjaxError, match=r"holds Python code or objects .* nothing of it was run"):
        read(path)
    assert not (tmp_path / "ran").exists()


def test_code_in_a_plain_pickle_is_not_run(path, tmp_path):
    pytest.importorskip("torch")
    path = path.with_suffix(".pth")
    path.write_bytes(pickle.dumps({"a": Evil(tmp_path / "ran")}, protocol=2))
    with pytest.raises(CnnjaxError):
        read(path)
    assert not (tmp_path / "ran").exists()


def test_code_in_an_archive_of_numpy_is_not_run(path, tmp_path):
    path = path.with_suffix(".npz")
    np.savez(path, a=np.array([Evil(tmp_path / "ran")], object))
    with pytest.raises(CnnjaxError, match="array of Python objects, which is not safe to read"):
        read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("suffix", "library"), [(".pth", "torch"), (".h5", "h5py")])
def test_without_the_library_the_line_says_which(path, tmp_path, monkeypatch, suffix, library):
    path = path.with_suffix(suffix)
    path.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CnnjaxError, match=f"{library} is not installed; pip install {library}"):
        read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("wrap", ["state_dict", "model", None])
def test_files_of_torch_are_read_wrapped_or_not(path, wrap):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(".th")
    tensors = {f"module.{name}": torch.tensor(array) for name, array in ARRAYS.items()}
    torch.save({wrap: tensors, "epoch": 3} if wrap else tensors, path)
    assert_same(read(path).arrays)


def test_bfloat16_of_torch_is_widened(path):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(".pt")
    tensor = torch.linspace(-3, 3, 17).bfloat16()
    torch.save({"a": tensor}, path)
    assert_same(read(path).arrays, {"a": tensor.float().numpy()})


def test_tensors_that_are_no_arrays_are_named(path):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(".pt")
    for tensor in (torch.eye(3).to_sparse(), torch.ones(3).to(torch.float8_e4m3fn)):
        torch.save({"fc.weight": tensor}, path)
        with pytest.raises(CnnjaxError, match=r"fc\.weight in .* is no plain tensor"):
            read(path)


def test_what_is_no_state_dict_is_told(path):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(".pt")
    for content in ([1, 2], {"epoch": 3}, torch.zeros(3)):
        torch.save(content, path)
        with pytest.raises(CnnjaxError, match="holds no state dict of tensors"):
            read(path)


def write_keras_3(path):
    """As Keras 3 writes .weights.h5."""
    h5py = pytest.importorskip("h5py")
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
    path = path.with_suffix(".weights.h5")
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
    h5py = pytest.importorskip("h5py")
    path = path.with_suffix(".h5")
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((1, 1, 2, 3), np.float32)
    with pytest.raises(CnnjaxError, match=r"has no name in this file.*save the weights again"):
        read(path)


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_old_files_of_keras_with_the_names_of_their_time(path, root):
    h5py = pytest.importorskip("h5py")
    path = path.with_suffix(".h5")
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
    h5py = pytest.importorskip("h5py")
    path = path.with_suffix(".h5")
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
    h5py = pytest.importorskip("h5py")
    path = path.with_suffix(".h5")
    (tmp_path / "raw").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = ["kernel:0"]
        outside = [(str(tmp_path / "raw"), 0, 12)]
        group.create_dataset("kernel:0", (3,), np.float32, external=outside)
    with pytest.raises(CnnjaxError, match="is kept in another file; not read"):
        read(path)


@pytest.mark.parametrize("about", ["{", "[1]"])
def test_a_description_that_is_no_object_is_damage(path, about):
    path = path.with_suffix(".safetensors")
    save_file(ARRAYS, path, metadata={"cnnjax": about})
    with pytest.raises(CnnjaxError, match="no whole safetensors file"):
        read(path)
    save_file(ARRAYS, path, metadata={"cnnjax": json.dumps({"version": 1})})
    assert read(path).layout == "cnnjax"


def test_every_known_suffix_is_read(path):
    for suffix in SUFFIXES:
        path.with_suffix(suffix).write_bytes(b"\0" * 64)
        with pytest.raises(CnnjaxError, match=r"no whole|not installed"):
            read(path.with_suffix(suffix))
