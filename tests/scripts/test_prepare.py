import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnjax.data import load

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare.py"

BUILDER = '''
import numpy as np
import tensorflow_datasets as tfds


class Builder(tfds.core.GeneratorBasedBuilder):
    """Tiny characters, made from one file."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(names=["a", "b"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        path = dl_manager.download("https://example.invalid/tiny.npz")
        return {part: self._generate_examples(path, part) for part in ("train", "test")}

    def _generate_examples(self, path, part):
        with np.load(str(path)) as arrays:
            for i, (x, y) in enumerate(zip(arrays["x_" + part], arrays["y_" + part])):
                yield i, {"image": x, "label": int(y)}
'''
# Registers the builder, as TensorFlow Datasets does with its own, and runs the script.
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
import tiny_chars.tiny_chars_dataset_builder
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Tiny:
    """A data set `tiny_chars` that TensorFlow Datasets knows, and the file it is made from."""

    def __init__(self, folder):
        self.folder = folder
        self.data_dir = folder / "prepared"
        self.files = folder / "files"
        random = np.random.RandomState(0)
        self.arrays = {
            "x_train": random.randint(0, 256, (20, 8, 8, 1)).astype(np.uint8),
            "y_train": np.arange(20) % 2,
            "x_test": random.randint(0, 256, (6, 8, 8, 1)).astype(np.uint8),
            "y_test": np.arange(6) % 2,
        }
        self.files.mkdir()
        np.savez(self.files / "tiny.npz", **self.arrays)
        content = (self.files / "tiny.npz").read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.size = len(content)
        package = folder / "tiny_chars"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "tiny_chars_dataset_builder.py").write_text(BUILDER)
        (package / "checksums.tsv").write_text(
            f"https://example.invalid/tiny.npz\t{self.size}\t{self.sha256}\ttiny.npz\n"
        )

    def prepare(self, *arguments):
        return run("-c", RUN, str(self.folder), str(SCRIPT), "tiny_chars", *arguments, tiny=self)


@pytest.fixture
def prepare(run_script, tiny, monkeypatch):
    """The command in this process, for what it refuses before it needs the builder."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.data_dir))
    return lambda *flags: run_script(SCRIPT, *flags)


def run(*arguments, tiny):
    environment = os.environ | {"TFDS_DATA_DIR": str(tiny.data_dir)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def refused(result, *says):
    """One line on standard error that says it, and exit status 2."""
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for words in says:
        assert words in line
    return line


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_help_describes_the_command(prepare):
    result = prepare("--help")
    assert result.returncode == 0
    for words in ("--data-dir", "--manual-dir", "tfds:NAME", "prepare"):
        assert words in result.stdout


def test_an_unknown_name_is_met_with_close_ones(prepare):
    refused(prepare("mnisst"), "has no 'mnisst'", "did you mean mnist")


def test_a_malformed_name_is_refused(prepare):
    refused(prepare("../mnist"), "is no name of a data set")


def test_missing_files_are_listed_with_size_checksum_and_place(tiny):
    empty = tiny.folder / "empty"
    result = tiny.prepare("--manual-dir", str(empty))
    refused(result, "1 of the 1 files of 'tiny_chars' are missing: tiny.npz", f"in '{empty}'")
    (listed,) = [line for line in result.stdout.splitlines() if "tiny.npz" in line]
    for words in ("missing", f"{tiny.size} bytes", tiny.sha256, "https://example.invalid/tiny.npz"):
        assert words in listed
    assert not tiny.data_dir.exists()


def test_the_files_of_well_known_data_sets_are_known(prepare, tiny):
    result = prepare("mnist", "--manual-dir", str(tiny.files))
    refused(result, "4 of the 4 files of 'mnist' are missing", "train-images-idx3-ubyte.gz")
    assert "9912422 bytes" in result.stdout


def test_a_file_of_another_content_is_refused(tiny):
    path = tiny.files / "tiny.npz"
    path.write_bytes(path.read_bytes()[:100])
    line = refused(tiny.prepare("--manual-dir", str(tiny.files)), "is another file: 100 bytes")
    assert tiny.sha256 in line
    assert not tiny.data_dir.exists()


def test_a_data_set_that_must_be_downloaded_by_hand_says_so(prepare):
    refused(prepare("imagenet2012"), "--manual-dir DIR", "ILSVRC2012")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="has TensorFlow")
def test_without_tensorflow_the_command_says_what_to_install(tiny):
    result = tiny.prepare("--manual-dir", str(tiny.files))
    refused(result, "needs TensorFlow", "pip install -e '.[prepare]'")
    assert not tiny.data_dir.exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_what_the_command_prepares_is_read_without_tensorflow(tiny, monkeypatch, tmp_path):
    result = tiny.prepare("--manual-dir", str(tiny.files))
    assert result.returncode == 0, result.stderr
    assert "load it as tfds:tiny_chars" in result.stdout
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.data_dir))
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "cache"))
    splits = load("tfds:tiny_chars")
    assert "tensorflow" not in sys.modules
    assert splits.train.classes == ("a", "b")
    for part in ("train", "test"):
        found = getattr(splits, part)
        x, y = tiny.arrays[f"x_{part}"], tiny.arrays[f"y_{part}"]
        # TensorFlow Datasets shuffles.
        rows = sorted((int(label), image.tobytes()) for image, label in zip(x, y, strict=True))
        assert rows == sorted(
            (int(label), image.tobytes())
            for image, label in zip(found.images, found.labels, strict=True)
        )
    again = tiny.prepare()
    assert again.returncode == 0
    assert "is prepared in" in again.stdout
