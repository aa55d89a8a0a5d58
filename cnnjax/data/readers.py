"""The batches of a streamed data set: without end for training, each example once to evaluate."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from cnnjax.data.batches import epoch_permutation
from cnnjax.data.randomness import stream
from cnnjax.data.read_ahead import Ahead, Batch, Example, Read
from cnnjax.data.streamed import StreamedDataset
from cnnjax.errors import CnnjaxError

MOST_STAND_INS = 100
"""So many examples in a row that cannot be read end a training."""


class TrainingReader:
    """The batches of a training, in the order of `batch_indices`: the same as from memory.

    An example that cannot be read is noted in `data.reading.corrupt`, and in its place stands
    another, drawn from (seed, place in the row of all epochs); if that cannot be read either, a
    further one is drawn. So what stands in a batch depends on the seed and the step, and neither
    on the workers nor on what came before; all other examples keep their places.

    Attributes:
      size: examples of a batch that are read here.
    """

    def __init__(
        self,
        data: StreamedDataset,
        batch_size: int,
        seed: int,
        steps: int,
        own: Sequence[int] | None = None,
    ) -> None:
        """
        Args:
          data: what to read.
          batch_size: examples in a batch, of all processes together.
          seed: of the order.
          steps: how many batches there are.
          own: the places in each batch that this process reads, in order; by default all. What
            stands in them does not depend on who reads the others.

        Raises:
          CnnjaxError: a place that is none, or none at all.
        """
        own = _own_places(own, batch_size)
        self._data, self.size, self._steps = data, len(own), steps

        @lru_cache(maxsize=4)
        def permutation(epoch: int) -> np.ndarray:
            return epoch_permutation(len(data), seed, epoch)

        def example(place: int) -> Example:
            epoch, rest = divmod(_in_the_row(place, batch_size, own), len(data))
            drawn, corrupt = int(permutation(epoch)[rest]), {}
            for index in chain([drawn], _draws(len(data), seed, epoch, rest)):
                image = None if index in corrupt else _try_to_read(data, index, corrupt)
                if image is not None:
                    return Example(image, int(data.labels[index]), 1.0, corrupt)
                if len(corrupt) == min(MOST_STAND_INS, len(data)):
                    break
            raise CnnjaxError(
                f"{len(corrupt)} of {len(data)} images were tried one after the other and none can "
                f"be read; the first: {corrupt[drawn]}"
            )

        self._batches = Ahead(example, steps * len(own), len(own), data.workers)

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
          StopIteration: there were `steps`.
          CnnjaxError: an example cannot be read, and the data is read strictly (named), or very
            many in a row cannot be read.
        """
        return _handed_over(self._data, next(self._batches))

    def get_state(self) -> dict[str, object]:
        """Where the next batch begins, and which examples could not be read so far, for JSON."""
        corrupt = {str(index): message for index, message in self._data.reading.corrupt.items()}
        place = {"next_index": self._batches.given * self.size}
        return {"grain": place, "batch": self.size, "corrupt": corrupt}

    def set_state(self, state: Mapping[str, object], step: int) -> None:
        """Goes on where `get_state` was called, also with other workers or places of a batch.

        Args:
          state: what it gave.
          step: how many batches had been given by then.

        Raises:
          CnnjaxError: that is no such state, or one after another number of examples.
        """
        try:
            batches, rest = divmod(int(state["grain"]["next_index"]), int(state["batch"]))
            corrupt = {int(index): str(said) for index, said in state["corrupt"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            batches, rest, corrupt = -1, 0, {}
        if (batches, rest) != (step, 0) or step > self._steps:
            raise CnnjaxError(
                f"the checkpoint of step {step} holds no position in this stream; expected that of "
                "a training on the same data in batches of the same size; use the settings it was "
                "made with"
            )
        self._batches.go_to(step)
        self._data.reading.corrupt.clear()
        self._data.reading.corrupt.update(corrupt)

    def close(self) -> None:
        """Reads no further."""
        self._batches.close()


def every_example_once(
    data: StreamedDataset, batch_size: int, own: Sequence[int] | None = None
) -> Iterator[Batch]:
    """All examples in order, for evaluation; the last batch is filled up with zeros.

    An example that cannot be read is noted in `data.reading.corrupt`, and its mask is 0.

    Args:
      data: what to read.
      batch_size: examples in a batch, of all processes together.
      own: as of `TrainingReader`.

    Raises:
      CnnjaxError: an example cannot be read, and the data is read strictly (named); none can be
        read; or a place that is none.
    """
    own = _own_places(own, batch_size)

    def example(place: int) -> Example:
        index, corrupt = _in_the_row(place, batch_size, own), {}
        image = _try_to_read(data, index, corrupt) if index < len(data) else None
        if image is None:
            return Example(np.zeros(data.image_shape, np.uint8), 0, 0.0, corrupt)
        return Example(image, int(data.labels[index]), 1.0, corrupt)

    batches = Ahead(example, -(-len(data) // batch_size) * len(own), len(own), data.workers)
    try:
        for batch in batches:
            yield _handed_over(data, batch)
    finally:
        batches.close()
    if len(data.reading.corrupt) == len(data):
        raise CnnjaxError(
            f"none of the {len(data)} images can be read, the first as "
            f"{next(iter(data.reading.corrupt.values()))}"
        )


def _in_the_row(place: int, batch_size: int, own: Sequence[int]) -> int:
    """The place in the row of all processes of a place in that of one."""
    batch, rest = divmod(place, len(own))
    return batch * batch_size + int(own[rest])


def _try_to_read(data: StreamedDataset, index: int, corrupt: dict[int, str]) -> np.ndarray | None:
    try:
        return data.read(index)
    except CnnjaxError as error:
        if data.strict:
            raise
        corrupt[index] = str(error)
        return None


def _draws(size: int, *words: int) -> Iterator[int]:
    draws = stream(*words)
    while True:
        yield int(draws.randint(size))


def _handed_over(data: StreamedDataset, read: Read) -> Batch:
    data.reading.corrupt.update(read.corrupt)
    data.reading.workers = data.workers
    data.reading.images += len(read.batch.labels)
    data.reading.busy += read.seconds
    return read.batch


def _own_places(own: Sequence[int] | None, batch_size: int) -> Sequence[int]:
    if own is None:
        own = range(batch_size)
    if not len(own) or min(own) < 0 or max(own) >= batch_size:
        raise CnnjaxError(
            f"{len(own)} places of a batch of {batch_size} are to be read; expected at least one, "
            f"each from 0 to {batch_size - 1}; mend the batch size or the places"
        )
    return own
