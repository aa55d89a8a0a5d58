"""Files of weights: every format, whole and damaged."""

import json
import zipfile

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


def test_every_known_suffix_is_read(path):
    for suffix in SUFFIXES:
        path.with_suffix(suffix).write_bytes(b"\0" * 64)
        with pytest.raises(CnnjaxError, match=r"no whole|not installed"):
            read(path.with_suffix(suffix))


def test_no_file_and_no_known_kind(path):
    with pytest.raises(CnnjaxError, match="there is no file"):
        read(path.with_suffix(".npz"))
    with pytest.raises(CnnjaxError, match="there is no file"):
        read(path.parent)
    path.with_suffix(".onnx").write_bytes(b"x")
    with pytest.raises(CnnjaxError, match=r"of no kind .* expected one of \.safetensors"):
        read(path.with_suffix(".onnx"))


def write(path):
    """`ARRAYS` in the format that the suffix names."""
    match path.suffix:
        case ".safetensors":
            save_file(ARRAYS, path)
        case ".npz":
            np.savez(path, **ARRAYS)
        case ".h5":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file.update(ARRAYS)
        case ".pth":
            torch = pytest.importorskip("torch")
            torch.save({name: torch.tensor(array) for name, array in ARRAYS.items()}, path)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".h5", ".pth"])
def test_half_a_file_is_one_line(path, suffix):
    path = path.with_suffix(suffix)
    write(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights at all, but text"):
        path.write_bytes(content)
        with pytest.raises(CnnjaxError, match=r"no whole .* get it again") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_safetensors_are_read(path):
    path = path.with_suffix(".safetensors")
    save_file(ARRAYS, path, metadata={"format": "pt"})
    file = read(path)
    assert_same(file.arrays)
    assert (file.layout, file.about) == ("torch", {})


@pytest.mark.parametrize("about", ["{", "[1]", "[" * 10_000])
def test_a_description_that_is_no_object_is_damage(path, about):
    path = path.with_suffix(".safetensors")
    save_file(ARRAYS, path, metadata={"cnnjax": about})
    with pytest.raises(CnnjaxError, match="no whole safetensors file"):
        read(path)
    save_file(ARRAYS, path, metadata={"cnnjax": json.dumps({"version": 1})})
    assert read(path).layout == "cnnjax"


def test_the_prefix_of_wrapped_models_is_taken_off(path):
    path = path.with_suffix(".safetensors")
    save_file({f"module.{name}": array for name, array in ARRAYS.items()}, path)
    assert_same(read(path).arrays)


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


def test_a_member_of_an_archive_that_is_no_array_is_damage(path):
    path = path.with_suffix(".npz")
    np.savez(path, **ARRAYS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("fc.weight.npy", b"no array")
    with pytest.raises(CnnjaxError, match=r"no whole npz archive .*fc\.weight is no array"):
        read(path)
