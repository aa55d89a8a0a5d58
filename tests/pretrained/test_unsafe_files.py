"""Files of weights with code in them: none of it is run."""

import os
import pickle
import sys

import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.pretrained.readers import read


class Evil:
    """A pickle of this runs a command where it is opened."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


@pytest.fixture
def ran(tmp_path):
    """What there is when the code of `Evil(ran)` has run."""
    return tmp_path / "ran"


def test_the_evil_pickle_is_one(ran):
    pickle.loads(pickle.dumps(Evil(ran)))
    assert ran.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".bin"])
def test_code_in_a_file_of_torch_is_not_run(path, ran, suffix):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(suffix)
    torch.save({"state_dict": {"a": torch.zeros(3)}, "extra": Evil(ran)}, path)
    with pytest.raises(CnnjaxError, match=r"holds Python code or objects .* nothing of it was run"):
        read(path)
    assert not ran.exists()


def test_code_in_a_plain_pickle_is_not_run(path, ran):
    pytest.importorskip("torch")
    path = path.with_suffix(".pth")
    path.write_bytes(pickle.dumps({"a": Evil(ran)}, protocol=2))
    with pytest.raises(CnnjaxError):
        read(path)
    assert not ran.exists()


def test_code_in_an_archive_of_numpy_is_not_run(path, ran):
    path = path.with_suffix(".npz")
    np.savez(path, a=np.array([Evil(ran)], object))
    with pytest.raises(CnnjaxError, match="array of Python objects, which is not safe to read"):
        read(path)
    assert not ran.exists()


@pytest.mark.parametrize(("suffix", "library"), [(".pth", "torch"), (".h5", "h5py")])
def test_without_the_library_the_line_says_which(path, ran, monkeypatch, suffix, library):
    path = path.with_suffix(suffix)
    path.write_bytes(pickle.dumps(Evil(ran)))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CnnjaxError, match=f"{library} is not installed; pip install {library}"):
        read(path)
    assert not ran.exists()


def test_a_tensor_of_more_elements_than_are_stored_is_refused(path):
    torch = pytest.importorskip("torch")
    path = path.with_suffix(".pth")
    torch.save({"fc.weight": torch.zeros(1, dtype=torch.bfloat16).expand(2**40)}, path)
    with pytest.raises(CnnjaxError, match=r"fc\.weight .* more elements than are in the file"):
        read(path)


def test_an_array_that_was_never_written_is_refused(path):
    h5py = pytest.importorskip("h5py")
    path = path.with_suffix(".h5")
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"fc"]
        file.create_group("fc").attrs["weight_names"] = [b"kernel:0"]
        file["fc"].create_dataset("kernel:0", (2**18, 2**18), np.float32, chunks=(64, 64))
    with pytest.raises(CnnjaxError, match="bytes, which are not there"):
        read(path)
