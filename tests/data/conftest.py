import pytest
from PIL import Image

from cnnjax.data import load
from cnnjax.errors import CnnjaxError

COLOURS = {"cat": (200, 30, 40), "dog": (20, 210, 60)}


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """One cache for the whole run, so that the glyphs are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    """No test reads or writes the cache of whoever runs it."""
    monkeypatch.setenv("CNNJAX_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def root(tmp_path):
    """Where a folder of images goes."""
    return tmp_path / "images"


@pytest.fixture(scope="session")
def colours():
    """{class: its colour} of `class_folders`."""
    return COLOURS


@pytest.fixture(scope="session")
def class_folders():
    """`class_folders(root)`: a folder for each class, in it images of 8 x 10 in its colour."""

    def write(root, images=10, suffix="png", classes=COLOURS):
        for name, colour in classes.items():
            (root / name).mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (10, 8), colour).save(root / name / f"{i}.{suffix}")
        return root

    return write


@pytest.fixture(scope="session")
def refused():
    """`refused(root, says)`: the folder cannot be loaded, which one line says."""

    def check(root, says):
        with pytest.raises(CnnjaxError, match=says) as caught:
            load(f"folder:{root}")
        assert "\n" not in str(caught.value)

    return check
