"""Reading ahead: threads that read and decode examples in order, through Grain.

Threads and no processes: Pillow lets go of the interpreter while it decodes and scales, they share
the list of names, start at once (each of Grain's processes takes seconds, to import what it needs),
and where they stand does not depend on how many there are, which Grain's processes make part of
their state. Processes read small photos up to twice as fast where nothing else is to be done, as
opening a file keeps the interpreter; a CPU's own steps are slower than either. docs/benchmarks.md
has both, measured by scripts/benchmark_stream.py.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

BATCHES_AHEAD = 2

TOGETHER = 8
"""Examples that a thread reads one after the other. What Grain does for one of its elements keeps
the interpreter nearly as long as reading a small image, too long to be done for each."""


class Batch(NamedTuple):
    """A batch as the device takes it.

    Attributes:
      images: uint8 `[B, H, W, C]`.
      labels: int32 `[B]`.
      mask: float32 `[B]`, 0 where there is no example, or one that cannot be read.
    """

    images: np.ndarray
    labels: np.ndarray
    mask: np.ndarray


class Example(NamedTuple):
    """One example of a batch.

    Attributes:
      image: uint8 `[H, W, C]`.
      label: its class.
      weight: of the mask.
      corrupt: {number of an example that could not be read in its place: what is wrong}.
    """

    image: np.ndarray
    label: int
    weight: float
    corrupt: dict[int, str]


class Read(NamedTuple):
    """A batch or a part of one, what of it could not be read, and the seconds that reading took,
    added up."""

    batch: Batch
    corrupt: dict[int, str]
    seconds: float


class Ahead(Iterator[Read]):
    """Examples 0 ... length - 1 in order and in batches."""

    def __init__(
        self, example: Callable[[int], Example], length: int, batch_size: int, workers: int
    ) -> None:
        """
        Args:
          example: a function of nothing but the place, for many threads at once.
          length: how many there are, a multiple of the size of a batch.
          batch_size: examples in a batch.
          workers: threads.
        """
        import grain  # takes a while, and only streams need it

        # Of half the number of pixels that it refuses, Pillow warns.
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        parts = -(-batch_size // TOGETHER)

        class Parts:
            def __len__(self) -> int:
                return length // batch_size * parts

            def __getitem__(self, place: int) -> Read:
                began = time.perf_counter()
                batch, part = divmod(place, parts)
                places = range(batch_size)[part * TOGETHER :][:TOGETHER]
                read = _stack([example(batch * batch_size + place) for place in places])
                return read._replace(seconds=time.perf_counter() - began)

        options = grain.ReadOptions(
            num_threads=workers, prefetch_buffer_size=max(BATCHES_AHEAD * parts, workers)
        )
        elements = grain.MapDataset.source(Parts()).to_iter_dataset(options)
        self._batches = iter(elements.batch(parts, batch_fn=_join))
        self._parts = parts

    def __next__(self) -> Read:
        return next(self._batches)

    @property
    def given(self) -> int:
        """How many batches were given: where it stands."""
        return self._batches.get_state()["next_index"] // self._parts

    def go_to(self, batch: int) -> None:
        """Goes on with that batch."""
        self._batches.set_state({"next_index": batch * self._parts})

    def close(self) -> None:
        """Reads no further."""
        self._batches.close()


def _stack(examples: Sequence[Example]) -> Read:
    corrupt: dict[int, str] = {}
    for one in examples:
        corrupt |= one.corrupt
    batch = Batch(
        np.stack([one.image for one in examples]),
        np.array([one.label for one in examples], np.int32),
        np.array([one.weight for one in examples], np.float32),
    )
    return Read(batch, corrupt, 0.0)


def _join(parts: Sequence[Read]) -> Read:
    corrupt: dict[int, str] = {}
    for one in parts:
        corrupt |= one.corrupt
    batch = Batch(*map(np.concatenate, zip(*(one.batch for one in parts), strict=True)))
    return Read(batch, corrupt, sum(one.seconds for one in parts))
