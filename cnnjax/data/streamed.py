"""A data set whose images stay in their files, and are read as they are needed."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cnnjax.data.labelled import Labelled, check_indices
from cnnjax.data.pictures import Geometry, Picture, pixels

MOST_WORKERS = 16


def usual_workers() -> int:
    """As many as there are processors for this process, and at most 16."""
    allowed = getattr(os, "sched_getaffinity", None)
    return min(MOST_WORKERS, len(allowed(0)) if allowed else os.cpu_count() or 1)


class Source(Protocol):
    """Encoded pictures, one at a time, for many threads at once."""

    def __len__(self) -> int:
        """How many there are."""

    def labels(self) -> np.ndarray:
        """The class of each, int32 `[N]`; -1 where it cannot be read."""

    def __getitem__(self, place: int) -> Picture:
        """Raises CnnjaxError where it cannot be read (named)."""

    def identity(self, place: int) -> str:
        """What tells the picture from another, without reading it: its name and size, say."""


@dataclasses.dataclass
class Reading:
    """What this process has read so far, and how fast.

    Attributes:
      images: that were handed over; of a training, those during its first call left out.
      busy: seconds that the workers took for them, all together.
      workers: how many there are.
      used: images that steps were taken on, those of the first call left out too: it compiles.
      stepping: seconds that these steps took, without what they waited for images.
      elapsed: seconds that it took in all.
      corrupt: {number of an example that cannot be read: what is wrong with it}.
    """

    images: int = 0
    busy: float = 0.0
    workers: int = 1
    used: int = 0
    stepping: float = 0.0
    elapsed: float = 0.0
    corrupt: dict[int, str] = dataclasses.field(default_factory=dict)

    def rates(self) -> dict[str, float]:
        """Images a second: `reader`, what the workers could give while the steps run; `step`, what
        the steps could take if they never waited; `both`, what was. {} before there are any.

        >>> Reading(images=80, busy=4, workers=2, used=60, stepping=1, elapsed=2).rates()
        {'reader': 40.0, 'step': 60.0, 'both': 30.0}
        """
        if not (self.busy and self.stepping and self.elapsed):
            return {}
        return {
            "reader": self.images * self.workers / self.busy,
            "step": self.used / self.stepping,
            "both": self.used / self.elapsed,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedDataset(Labelled):
    """Images with one label each; only names, labels and numbers are in memory.

    Attributes:
      source: the encoded pictures, more than these perhaps.
      places: where in the source, int64 `[N]`.
      labels: int32 `[N]`.
      classes: the name of each class.
      geometry: what the pictures are made into.
      workers: threads that read and decode.
      strict: whether a picture that cannot be read ends the reading.
      damaged: what is wrong with pictures of the source that were left out from the beginning.
      reading: what has been read of it, and how fast.
    """

    source: Source
    places: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    geometry: Geometry
    workers: int
    strict: bool = False
    damaged: tuple[str, ...] = ()
    reading: Reading = dataclasses.field(default_factory=Reading)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.geometry.shape

    def take(self, indices: np.ndarray | Sequence[int]) -> "StreamedDataset":
        """The examples at `indices` (integers `[K]`), in that order; all classes stay.

        Raises:
            CnnjaxError: indices that are no integers, or beyond the examples.
        """
        indices = check_indices("image", indices, len(self))
        return dataclasses.replace(
            self,
            places=self.places[indices],
            labels=self.labels[indices],
            reading=Reading(),
        )

    def read(self, index: int) -> np.ndarray:
        """An image, uint8 `[H, W, C]`, the same as it would be in memory.

        Raises:
            CnnjaxError: it cannot be read (named).
        """
        return pixels(self.source[int(self.places[index])], self.geometry)

    def fingerprint(self) -> str:
        """The SHA-256 of names and sizes, labels, classes and geometry: 64 hexadecimal digits.

        The pictures are not read for it, as those in memory are.
        """
        digest = hashlib.sha256(json.dumps([self.geometry, self.classes]).encode())
        digest.update(np.ascontiguousarray(self.labels, "<i4").data)
        for place in self.places:
            digest.update(self.source.identity(int(place)).encode(errors="surrogateescape") + b"\0")
        return digest.hexdigest()
