"""Decoded data sets kept on disk, so that what is slow to make is made once."""

import contextlib
import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
from PIL import features

from cnnjax.data.dataset import Dataset
from cnnjax.data.labelled import Splits

T = TypeVar("T")


def cache_dir() -> Path:
    """`$CNNJAX_CACHE`, or `~/.cache/cnnjax` where that is not set."""
    named = os.environ.get("CNNJAX_CACHE")
    return Path(named).expanduser() if named else Path("~", ".cache", "cnnjax").expanduser()


def cached(name: str, key: str, make: Callable[[], Splits]) -> Splits:
    """What `make()` returns, from the cache when it is there.

    One file per `name`, which is written whole or not at all. It is used only if it is intact
    (zip archives carry a checksum of each array), holds the same `key`, and was written by this
    very code with this Pillow; otherwise it is made anew and replaced. Without a place to write
    to, nothing is cached.

    Args:
        name: what the data set is; anything printable.
        key: everything that determines the arrays besides the name.
        make: makes the data set.
    """
    return _cached(name, key, make, _arrays, _splits)


def cached_array(name: str, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `make()` returns, from the cache when it is there; see `cached`."""
    return _cached(name, key, make, lambda array: {"array": array}, lambda found: found["array"])


def _cached(
    name: str,
    key: str,
    make: Callable[[], T],
    arrays: Callable[[T], dict[str, np.ndarray]],
    from_arrays: Callable[[Mapping[str, np.ndarray]], T],
) -> T:
    try:
        readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
        path = cache_dir() / f"{readable}-{digest}.npz"
    except RuntimeError:  # there is no home directory
        return make()
    key = f"{_made_by()} {key}"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if str(archive["key"]) == key:
                return from_arrays(archive)
    except Exception:  # not there, or whatever the zip reader raises over damaged bytes
        pass
    made = make()
    _write(path, {"key": np.array(key)} | arrays(made))
    return made


@functools.cache
def _made_by() -> str:
    """What turns files and fonts into pixels: this package, Pillow and its FreeType."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return f"{digest.hexdigest()} {PIL.__version__} {features.version('freetype2')}"


def _splits(archive: Mapping[str, np.ndarray]) -> Splits:
    classes, groups = (tuple(archive[name].tolist()) for name in ("classes", "groups"))
    parts = {
        part: Dataset(archive[f"{part}.images"], archive[f"{part}.labels"], classes, groups)
        for part in Splits._fields
        if f"{part}.images" in archive
    }
    return Splits(**{"validation": None, **parts})


def _arrays(splits: Splits) -> dict[str, np.ndarray]:
    arrays = {
        "classes": np.array(splits.train.classes),
        "groups": np.array(splits.train.groups, np.str_),
    }
    for part, dataset in splits._asdict().items():
        if dataset is not None:
            arrays |= {f"{part}.images": dataset.images, f"{part}.labels": dataset.labels}
    return arrays


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = file.name
            np.savez(file, **arrays)
        os.replace(temporary, path)
        temporary = None
    except OSError:
        pass  # a full or read-only disk: the data set is there all the same
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
