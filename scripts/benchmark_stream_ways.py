"""The ways of reading and of taking steps that `benchmark_stream.py` measures.

Each gives, again and again, of how many batches it has just come to the end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import optax

import cnnjax
from cnnjax.data import StreamedDataset
from cnnjax.data.readers import TrainingReader
from cnnjax.training import TrainState, classification, create_state
from cnnjax.training.feeds import GROUP, Streamed
from cnnjax.training.fit import CALL_SECONDS
from cnnjax.training.steps import train_on_batches
from cnnjax.transfer import initialise

ENDLESS = 1_000_000
"""Steps: more than are measured."""


class Batches:
    """The images of a data set in batches, for Grain's processes."""

    def __init__(self, data: StreamedDataset, batch_size: int) -> None:
        self._data, self._size = data, batch_size

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, place: int) -> np.ndarray:
        places = range(place * self._size, (place + 1) * self._size)
        return np.stack([self._data.read(place % len(self._data)) for place in places])


def in_threads(data: StreamedDataset, batch_size: int) -> Iterator[int]:
    """Batches as cnnjax reads them."""
    with closing(TrainingReader(data, batch_size, 0, ENDLESS)) as reader:
        while True:
            next(reader)
            yield 1


def in_processes(data: StreamedDataset, batch_size: int, workers: int) -> Iterator[int]:
    """Batches as Grain reads them in processes, one thread each."""
    import grain
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # Grain asks for its flags there
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    batches = grain.MapDataset.source(Batches(data, batch_size)).to_iter_dataset(options)
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    with closing(iter(batches.mp_prefetch(processes))) as reader:
        while True:
            next(reader)
            yield 1


class Training:
    """Steps of a network on streamed batches, and on one that lies there."""

    def __init__(self, name: str, data: StreamedDataset, batch_size: int) -> None:
        network = cnnjax.create(name, num_classes=data.num_classes)
        self._step = {
            "network": network,
            "task": classification,
            "optimizer": optax.sgd(0.01, momentum=0.9),
        }
        self._variables = initialise(network, data.image_shape, 0)
        self._data, self._size = data, batch_size

    def _state(self) -> TrainState:
        variables = jax.tree.map(lambda array: array.copy(), self._variables)
        return create_state(variables, self._step["optimizer"], jax.random.key(0))

    def alone(self) -> Iterator[int]:
        """Steps on one batch."""
        with closing(TrainingReader(self._data, self._size, 0, 1)) as reader:
            images, labels, _ = jax.device_put(next(reader))
        state, batches = self._state(), [(images, labels)] * GROUP

        def take(count: int) -> None:
            nonlocal state
            state, log = train_on_batches(state, batches, jnp.int32(count), {}, **self._step)
            jax.block_until_ready(log)

        yield from _in_calls(take)

    def fed(self) -> Iterator[int]:
        """Steps on what is read meanwhile."""
        state = self._state()
        with closing(Streamed(self._data, self._size, 0, ENDLESS, None)) as feed:

            def take(count: int) -> None:
                nonlocal state
                state, _ = feed.take_steps(state, 0, count, {}, **self._step)

            yield from _in_calls(take)


def _in_calls(take: Callable[[int], None]) -> Iterator[int]:
    """As many steps at a time as `fit` gives a call, up to `GROUP`."""
    take(1)  # compiles
    count = 1
    while True:
        began = time.perf_counter()
        take(count)
        yield count
        per_step = (time.perf_counter() - began) / count
        count = int(np.clip(CALL_SECONDS / per_step, 1, GROUP))
