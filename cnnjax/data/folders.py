"""Data sets from folders: one folder of images per class."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnjax.data.cache import cached
from cnnjax.data.dataset import Dataset
from cnnjax.data.labelled import Splits, arranged
from cnnjax.data.pictures import Picture, check_side, decode_parts
from cnnjax.errors import CnnjaxError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""Folder names of the optional upper level, and the part each holds."""


class Listing(NamedTuple):
    """A part of a folder.

    Attributes:
        classes: the names of the class folders, in order.
        files: the paths of the images, class by class.
        labels: int32 `[files]`.
    """

    classes: tuple[str, ...]
    files: list[str]
    labels: np.ndarray


def read_folder(path: str | Path, image_size: int | None = None) -> Splits:
    """The images under `path`, decoded once and cached.

    `path/CLASS/IMAGE`; or, where `path/train` holds class folders, `path/PART/CLASS/IMAGE` with
    the parts `train`, `validation` (or `val`) and `test`. What is missing of the parts is made up
    for as `arranged` says.

    An image is a PNG, JPEG, BMP, WebP or GIF, known by its suffix; hidden files and others are
    passed over. Sizes and colours are made the same as `decode_parts` says.

    Raises:
        CnnjaxError: no folder, no images, fewer than two classes, an empty class, parts of
            different classes, or a damaged image (named).
    """
    if image_size is not None:
        check_side(image_size)
    root, listings = list_folder(path)
    files = [Path(file) for listing in listings.values() for file in listing.files]
    try:
        stats = [(str(file.relative_to(root)), file.stat()) for file in files]
    except OSError as error:
        raise _cannot_read(error) from None
    # With the time of the last change to the file itself, which nobody can set: unpacking, copying
    # and a clock that was set back can give another picture the old size and modification time.
    key = json.dumps([(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats])
    return cached(f"folder {image_size} {root}", key, lambda: _decode(listings, image_size))


def list_folder(path: str | Path) -> tuple[Path, dict[str, Listing]]:
    """The absolute path, and the parts and classes that lie there, as `read_folder` says.

    Raises:
        CnnjaxError: no folder, no images, fewer than two classes, an empty class, or parts of
            different classes.
    """
    root = Path(path).expanduser().absolute()
    try:
        return root, _list_parts(root)
    except OSError as error:
        raise _cannot_read(error) from None


def _cannot_read(error: OSError) -> CnnjaxError:
    return CnnjaxError(
        f"cannot read {error.filename!r}: {error.strerror}; expected a folder of class folders "
        "of images; check the path"
    )


def _list_parts(root: Path) -> dict[str, Listing]:
    if not root.is_dir():
        raise CnnjaxError(
            f"{str(root)!r} is no folder; expected a folder of class folders of images; check the "
            "path"
        )
    if not (root / "train").is_dir() or not _subfolders(root / "train"):
        return {"train": _list_classes(root)}
    folders = _subfolders(root)
    listings = {}
    for folder in folders:
        part = PARTS.get(folder.name)
        if part is None or part in listings:
            raise CnnjaxError(
                f"{str(folder)!r} stands beside train; expected train, validation (or val) and "
                "test, each at most once; move it away"
            )
        listings[part] = _list_classes(folder)
    for part, listing in listings.items():
        odd = sorted(set(listing.classes) ^ set(listings["train"].classes))
        if odd:
            raise CnnjaxError(
                f"the {part} and train parts of {str(root)!r} differ in the classes "
                f"{', '.join(odd[:8])}; expected the same class folders in every part; mend them"
            )
    return listings


def _list_classes(folder: Path) -> Listing:
    classes = _subfolders(folder)
    if len(classes) < 2:
        raise CnnjaxError(
            f"{str(folder)!r} holds {len(classes)} class folder(s); expected two or more, each "
            "with the images of one class; check the path"
        )
    files, labels = [], []
    for label, name in enumerate(classes):
        if nested := _subfolders(name):
            raise CnnjaxError(
                f"the class folder {str(name)!r} holds the folder {nested[0].name!r}; expected "
                "images only; check the path, or move the images up"
            )
        images = [
            entry.path
            for entry in _entries(name)
            if os.path.splitext(entry.name)[1].lower() in SUFFIXES
        ]
        if not images:
            raise CnnjaxError(
                f"the class folder {str(name)!r} holds no image; expected files "
                f"{' '.join('*' + suffix for suffix in SUFFIXES)}; fill it or remove it"
            )
        files += images
        labels += [label] * len(images)
    return Listing(tuple(c.name for c in classes), files, np.array(labels, np.int32))


def _subfolders(folder: Path) -> list[Path]:
    return [Path(entry) for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[os.DirEntry]:
    """What is not hidden, by name; folders of a million files are listed without asking for each
    whether it is a folder."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _decode(listings: dict[str, Listing], image_size: int | None) -> Splits:
    pictures = {
        part: [Picture(file, Path(file)) for file in listing.files]
        for part, listing in listings.items()
    }
    parts = {
        part: Dataset(images, listings[part].labels, listings[part].classes)
        for part, images in decode_parts(pictures, image_size).items()
    }
    return arranged(parts)
