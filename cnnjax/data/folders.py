"""Data sets from folders: one folder of images per class."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL

from cnnjax.data.archives import UNSPLIT_FRACTIONS
from cnnjax.data.cache import cached
from cnnjax.data.dataset import Dataset, Splits, stratified_split
from cnnjax.data.pictures import DEFAULT_SIDE, check_side, decode, inspect
from cnnjax.errors import CnnjaxError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""Folder names of the optional upper level, and the part each holds."""


class _Listing(NamedTuple):
    classes: tuple[str, ...]
    files: list[Path]
    labels: np.ndarray


def read_folder(path: str | Path, image_size: int | None = None) -> Splits:
    """The images under `path`, decoded once and cached.

    `path/CLASS/IMAGE`, split 70/10/20 within each class, always in the same way; or, where
    `path/train` holds class folders, `path/PART/CLASS/IMAGE` with the parts `train`, `validation`
    (or `val`) and `test`. Where only one of the last two is there, it is the one to report on
    (`test`); where none is, `train` is split.

    An image is a PNG, JPEG, BMP, WebP or GIF (its first frame), known by its suffix; hidden files
    and others are passed over. It is turned as its EXIF orientation says; what is transparent
    becomes white. All are grey (C = 1) if all files are, and colour (C = 3) if any is.

    Size: with `image_size`, or where the files differ in size, the shorter side is scaled to
    `image_size` (64 if not given) and the middle square is cut out. Otherwise nothing is scaled.

    Raises:
        CnnjaxError: no folder, no images, fewer than two classes, an empty class, parts of
            different classes, or a damaged image (named).
    """
    if image_size is not None:
        check_side(image_size)
    root = Path(path).expanduser().absolute()
    try:
        listings = _list_parts(root)
        files = [file for listing in listings.values() for file in listing.files]
        stats = [(str(file.relative_to(root)), file.stat()) for file in files]
    except OSError as error:
        raise CnnjaxError(
            f"cannot read {error.filename!r}: {error.strerror}; expected a folder of class folders "
            "of images; check the path"
        ) from None
    key = json.dumps(
        [
            PIL.__version__,
            Path(__file__).read_text(encoding="utf-8"),
            [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats],
        ]
    )
    return cached(f"folder {image_size} {root}", key, lambda: _decode(listings, image_size))


def _list_parts(root: Path) -> dict[str, _Listing]:
    if not root.is_dir():
        raise CnnjaxError(
            f"{str(root)!r} is no folder; expected a folder of class folders of images; check the "
            "path"
        )
    if not (root / "train").is_dir() or not _subfolders(root / "train"):
        return {"all": _list_classes(root)}
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
    if list(listings) == ["train"]:
        return {"all": listings["train"]}
    if "test" not in listings:
        listings["test"] = listings.pop("validation")
    return listings


def _list_classes(folder: Path) -> _Listing:
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
            file
            for file in sorted(name.iterdir())
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ]
        if not images:
            raise CnnjaxError(
                f"the class folder {str(name)!r} holds no image; expected files "
                f"{' '.join('*' + suffix for suffix in SUFFIXES)}; fill it or remove it"
            )
        files += images
        labels += [label] * len(images)
    return _Listing(tuple(c.name for c in classes), files, np.array(labels, np.int32))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _decode(listings: dict[str, _Listing], image_size: int | None) -> Splits:
    with ThreadPoolExecutor() as pool:  # Pillow lets go of the lock while it decodes
        files = [file for listing in listings.values() for file in listing.files]
        sizes, coloured = zip(*pool.map(inspect, files), strict=True)
        side = image_size or (DEFAULT_SIDE if len(set(sizes)) > 1 else None)
        mode = "RGB" if any(coloured) else "L"
        parts = {
            part: Dataset(
                _stacked(pool.map(lambda file: decode(file, mode, side), listing.files), listing),
                listing.labels,
                listing.classes,
            )
            for part, listing in listings.items()
        }
    if "all" in parts:
        return Splits(*stratified_split(parts["all"], UNSPLIT_FRACTIONS, seed=0))
    return Splits(parts["train"], parts.get("validation"), parts["test"])


def _stacked(images: Iterator[np.ndarray], listing: _Listing) -> np.ndarray:
    first = next(images)
    stacked = np.empty((len(listing.files), *first.shape), np.uint8)
    for place, image in zip(stacked, itertools.chain([first], images), strict=True):
        place[:] = image
    return stacked
