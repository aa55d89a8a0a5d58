"""Reading ahead: threads that read and decode examples in order, through Grain.

Threads and no processes: Pillow lets go of the interpreter while it decodes, they share the list
of names, start at once, and where they stand does not depend on how many there are, which Grain's
processes make part of their state. scripts/benchmark_stream.py measures both.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import grain

BATCHES_AHEAD = 2


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
      seconds: that reading it took.
    """

    image: np.ndarray
    label: int
    weight: float
    corrupt: dict[int, str]
    seconds: float = 0.0


class Read(NamedTuple):
    """A batch, what of it could not be read, and the seconds that reading took, added up."""

    batch: Batch
    corrupt: dict[int, str]
    seconds: float


def read_ahead(
    example: Callable[[int], Example], length: int, batch_size: int, workers: int
) -> "grain.DatasetIterator[Read]":
    """Examples 0 ... length - 1 in order and in batches; where it stands is its `get_state`.

    Args:
      example: a function of nothing but the place, for many threads at once.
      length: how many there are, a multiple of the size of a batch.
      batch_size: examples in a batch.
      workers: threads.
    """
    import grain  # takes a while, and only streams need it

    # Of half the number of pixels that it refuses, Pillow warns.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

    class Examples:
        def __len__(self) -> int:
            return length

        def __getitem__(self, place: int) -> Example:
            began = time.perf_counter()
            read = example(place)
            return read._replace(seconds=time.perf_counter() - began)

    options = grain.ReadOptions(
        num_threads=workers, prefetch_buffer_size=max(BATCHES_AHEAD * batch_size, workers)
    )
    examples = grain.MapDataset.source(Examples()).to_iter_dataset(options)
    return iter(examples.batch(batch_size, batch_fn=_stack))


def _stack(examples: Sequence[Example]) -> Read:
    corrupt: dict[int, str] = {}
    for one in examples:
        corrupt |= one.corrupt
    batch = Batch(
        np.stack([one.image for one in examples]),
        np.array([one.label for one in examples], np.int32),
        np.array([one.weight for one in examples], np.float32),
    )
    return Read(batch, corrupt, sum(one.seconds for one in examples))
