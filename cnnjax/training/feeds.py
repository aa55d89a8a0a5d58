"""What feeds the steps of a training: a data set that lies on the device, or a stream."""

import math
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import StreamedDataset, batch_indices
from cnnjax.data.readers import TrainingReader
from cnnjax.training.devices import Placement
from cnnjax.training.lines import Line
from cnnjax.training.processes import current
from cnnjax.training.state import TrainState, Variables
from cnnjax.training.steps import Batch, train_on_batches, train_steps

MOST_STEPS = 512
"""In one call."""

GROUP = 8
"""Batches of a stream in one call, at most."""

Log = dict[str, np.ndarray]
"""The sums of each step, `[steps, ...]` each."""

_IN_FLIGHT = 2  # groups of batches that are given to the device before the first is looked at
_GROUP_BYTES = 2**26  # that the batches of a stream in one call may take up
_NAMED = 10  # examples that cannot be read are named one by one, up to so many


class Resident:
    """A data set on the device: the steps of a call run in one compiled loop."""

    def __init__(
        self, data: Batch, batch_size: int, seed: int, placement: Placement | None
    ) -> None:
        self._data = data if placement is None else placement.everywhere(data)
        self._batch_size, self._seed, self._placement = batch_size, seed, placement
        self._size = int(data[1].shape[0])
        self.position = None  # what a checkpoint keeps beside the state: the step says it all

    def take_steps(
        self, state: TrainState, taken: int, count: int, frozen: Variables, **step: object
    ) -> tuple[TrainState, Log]:
        """Takes `count` steps after `taken`, with the arguments `step` of `train_steps`."""
        indices = np.zeros((MOST_STEPS, self._batch_size), np.int32)
        indices[:count] = batch_indices(
            self._size, self._batch_size, self._seed, taken, taken + count
        )
        placement = self._placement
        state, log = train_steps(
            state,
            *self._data,
            jnp.asarray(indices) if placement is None else placement.divided(indices),
            jnp.int32(count),
            frozen,
            placed=placement and placement.shardings,
            **step,
        )
        return state, {name: np.asarray(values)[:count] for name, values in log.items()}

    def resume(self, position: Mapping[str, object] | None, taken: int) -> None:
        """Goes on where `position` was asked for."""

    def line(self) -> Line:
        """What a line of metrics has besides."""
        return {}

    def news(self) -> list[str]:
        """Sentences about what is unusual, each once."""
        return []

    def close(self) -> None:
        """Ends it."""


class Streamed:
    """A stream: while the device takes some steps, the next batches are read and brought to it. Of
    several processes each reads its own part of each batch."""

    def __init__(
        self,
        data: StreamedDataset,
        batch_size: int,
        seed: int,
        steps: int,
        placement: Placement | None,
    ) -> None:
        self._data, self._placement = data, placement
        self._here = current()
        own = None if placement is None else placement.own_places(batch_size)
        self._reader = TrainingReader(data, batch_size, seed, steps, own)
        # On a CPU a call costs up to as much as a step (docs/benchmarks.md).
        most = _GROUP_BYTES // (batch_size * math.prod(data.image_shape))
        self._group = min(GROUP, max(1, most))
        self._ahead: deque[tuple[Batch, Mapping[str, object]]] = deque()
        self._clock = ThreadPoolExecutor(1)  # notes when steps end, while further batches are read
        self._compiled = False
        self._named = Named("another image stands in for it")
        self.position: Mapping[str, object] | None = self._reader.get_state()

    def take_steps(
        self, state: TrainState, taken: int, count: int, frozen: Variables, **step: object
    ) -> tuple[TrainState, Log]:
        """Takes `count` steps after `taken`, with the arguments `step` of `train_step`."""
        placed = self._placement and self._placement.shardings
        began = time.monotonic()
        logs, begins, ends = [], [], []
        for first in range(0, count, self._group):
            number = min(self._group, count - first)
            self._read(number)
            batches = []
            for _ in range(number):
                batch, self.position = self._ahead.popleft()
                batches.append(batch)
            batches += batches[:1] * (self._group - number)  # one shape for any number
            if len(ends) >= _IN_FLIGHT:
                ends[-_IN_FLIGHT].result()
            begins.append(time.monotonic())
            state, log = train_on_batches(
                state, batches, jnp.int32(number), frozen, placed=placed, **step
            )
            logs.append((log, number))
            ends.append(self._clock.submit(_when_ready, log))
            self._read(number)
        finished = [end.result() for end in ends]
        reading = self._data.reading
        if self._compiled:
            reading.used += count * self._reader.size
            reading.elapsed += finished[-1] - began
            # Steps begin when they are given to the device and those before have ended.
            pairs = zip(begins, [began, *finished], finished, strict=False)
            reading.stepping += sum(end - max(begin, before) for begin, before, end in pairs)
        else:  # as long as that took, what was read meanwhile tells nothing
            self._compiled, reading.images, reading.busy = True, 0, 0.0
        names = logs[0][0]
        return state, {
            name: np.concatenate([np.asarray(log[name])[:number] for log, number in logs])
            for name in names
        }

    def resume(self, position: Mapping[str, object] | None, taken: int) -> None:
        """Goes on where `position` was asked for.

        Raises:
          CnnjaxError: it is no position after so many steps.
        """
        self._reader.set_state(position or {}, taken)
        self.position = position
        self._named.news(self._corrupt)

    def line(self) -> Line:
        """How many of the examples so far cannot be read, by any process."""
        corrupt = self._data.reading.corrupt
        for theirs in self._here.collect(self._corrupt):
            corrupt.update((int(index), message) for index, message in theirs.items())
            self.position = {**self.position, "corrupt": {**self._corrupt, **theirs}}
        return {"corrupt_images": len(self._corrupt)}

    def news(self) -> list[str]:
        """The examples that cannot be read, as they are met: the first ones by name."""
        return self._named.news(self._corrupt)

    def close(self) -> None:
        """Reads no further."""
        self._reader.close()
        self._clock.shutdown(wait=False)

    @property
    def _corrupt(self) -> Mapping[str, str]:
        return self.position["corrupt"]

    def _read(self, number: int) -> None:
        """So many batches, or all that are left, lie ahead then, on their way to the device, each
        with the position behind it."""
        while len(self._ahead) < number:
            read = next(self._reader, None)
            if read is None:
                return
            batch, placement = (read.images, read.labels), self._placement
            batch = jax.device_put(batch) if placement is None else placement.examples(batch)
            self._ahead.append((batch, self._reader.get_state()))


class Named:
    """Names each example that cannot be read once, up to a number of them."""

    def __init__(self, then: str) -> None:
        """
        Args:
          then: what is done about it.
        """
        self._then, self._told = then, set()

    def news(self, corrupt: Mapping[object, str]) -> list[str]:
        """Sentences about those in `corrupt` that are new."""
        new, told = [index for index in corrupt if index not in self._told], len(self._told)
        self._told.update(new)
        said = [f"{corrupt[index]} ({self._then})" for index in new[: max(0, _NAMED - told)]]
        if told < _NAMED < told + len(new):
            said.append("further images that cannot be read are counted, and not named here")
        return said


def _when_ready(log: dict[str, jax.Array]) -> float:
    jax.block_until_ready(log)
    return time.monotonic()
