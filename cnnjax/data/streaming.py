"""Data sets by name, streamed: larger than the memory."""

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from cnnjax.data.folders import Listing, list_folder
from cnnjax.data.labelled import Splits, arranged
from cnnjax.data.pictures import Picture, check_side, settle
from cnnjax.data.sources import TFDS_NAMES
from cnnjax.data.streamed import Source, StreamedDataset, usual_workers
from cnnjax.errors import CnnjaxError

_SAMPLE = 64
"""Pictures of each part by which the size in memory is judged."""


def stream(
    name: str,
    *,
    image_size: int | None = None,
    workers: int | None = None,
    strict: bool = False,
) -> Splits[StreamedDataset]:
    """The data set called `name`, its images left in their files until they are needed.

    What `load` gives for the same name and size, image for image and part for part, but for the
    pictures that cannot be read. In memory are names, labels and the batches that are read ahead.

    Args:
        name: `folder:PATH`, `tfds:NAME` or a name that needs no `tfds:`.
        image_size: side in pixels to bring all images to, as for `load`. Where it is not given,
            the headers of the pictures tell, all of them if they are of one size.
        workers: threads that read and decode; by default as many as there are processors. Nothing
            but the speed depends on it.
        strict: a picture that cannot be read is an error; otherwise it is named and counted in
            `StreamedDataset.reading`, and another stands in for it.

    Raises:
        CnnjaxError: a name of data that is not streamed, fewer than one worker, or data that
            cannot be read; see `load`.
    """
    workers = usual_workers() if workers is None else workers
    if workers < 1:
        raise CnnjaxError(f"{workers} workers cannot read; expected 1 or more; give at least 1")
    opened, classes = _open(name, image_size)
    labelled = {part: source.labels() for part, source in opened.items()}
    for part, labels in labelled.items():
        if not (labels >= 0).any():
            first = _said(opened[part], 0)
            raise CnnjaxError(f"none of the {part} images of {name!r} can be read; {first}")
    everything = [_pictures(source, range(len(source))) for source in opened.values()]
    geometry = settle(chain.from_iterable(everything), image_size)
    parts = {}
    for part, source in opened.items():
        labels = labelled[part]
        places = np.flatnonzero(labels >= 0)
        damaged = tuple(_said(source, int(place)) for place in np.flatnonzero(labels < 0))
        if strict and damaged:
            raise CnnjaxError(damaged[0])
        parts[part] = StreamedDataset(
            source, places, labels[places], classes, geometry, workers, strict, damaged
        )
    return arranged(parts)


def decoded_bytes(name: str, image_size: int | None = None) -> int | None:
    """About how much memory `load` would take for the images, judged by a few of them; None for
    data that is not streamed.

    Raises:
        CnnjaxError: data that cannot be read; see `load`.
    """
    if not _is_streamed(name):
        return None
    opened, _ = _open(name, image_size)
    sample = [
        _pictures(source, np.linspace(0, len(source) - 1, _SAMPLE).astype(int))
        for source in opened.values()
    ]
    shape = settle(chain.from_iterable(sample), image_size).shape
    return sum(map(len, opened.values())) * int(np.prod(shape))


class _Files:
    """Pictures in files of their own."""

    def __init__(self, root: Path, listing: Listing) -> None:
        self._root, self._files, self._labels = str(root), listing.files, listing.labels

    def __len__(self) -> int:
        return len(self._files)

    def labels(self) -> np.ndarray:
        """The class of each file, int32 `[N]`."""
        return self._labels

    def __getitem__(self, place: int) -> Picture:
        return Picture(self._files[place], Path(self._files[place]))

    def identity(self, place: int) -> str:
        """The path within the folder, and the size in bytes."""
        file = self._files[place]
        try:
            size = os.stat(file).st_size
        except OSError:
            size = None
        return f"{file.removeprefix(self._root)} {size}"


def _is_streamed(name: str) -> bool:
    return name.startswith(("folder:", "tfds:")) or name in TFDS_NAMES


def _open(name: str, image_size: int | None) -> tuple[dict[str, Source], tuple[str, ...]]:
    """{part: its pictures} and the class names."""
    if not _is_streamed(name):
        raise CnnjaxError(
            f"the data set {name!r} is not streamed; expected folder:PATH or tfds:NAME; "
            "load it into memory"
        )
    if image_size is not None:
        check_side(image_size)
    kind, _, rest = name.partition(":")
    if kind == "folder":
        root, listings = list_folder(rest)
        parts = {part: _Files(root, listing) for part, listing in listings.items()}
        return parts, listings["train"].classes
    from cnnjax.data.record_streams import open_records  # TensorFlow Datasets is slow to import

    return open_records(rest or name)


def _pictures(source: Source, places: Sequence[int]) -> Iterator[Picture]:
    for place in places:
        try:
            yield source[int(place)]
        except CnnjaxError:  # it is counted when it is read
            continue


def _said(source: Source, place: int) -> str:
    try:
        source[place]
    except CnnjaxError as error:
        return str(error)
    return f"{source.identity(place)} has no label of a class; expected one"
