"""One training on many devices: each step's batch is divided among them, all else is on each.

The step is the one of a single device, compiled over a mesh with one axis, "data"; the compiler
adds what the devices must tell each other. Sums over a batch, its mean loss, its gradients and the
statistics of batch normalisation, are those of the whole batch, so a training takes the same course
on any number of devices, to rounding. The devices may be those of several processes, see
`cnnjax.training.hosts`: each process then brings its own part of every batch to its own devices.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax.errors import CnnjaxError
from cnnjax.training.processes import current
from cnnjax.training.steps import Shardings

AXIS = "data"
T = TypeVar("T")
_CHUNK = 2**26  # bytes that go from one process to all others at a time
_limit: ContextVar[int | None] = ContextVar("devices", default=None)


@contextmanager
def limit_devices(count: int | None) -> Iterator[None]:
    """Trainings inside use so many devices, unless they are given theirs; None: all that fit.

    Args:
      count: at least 1, at most as many as there are in each process.

    Raises:
      CnnjaxError: there are fewer.
    """
    _check_count(count)
    token = _limit.set(count)
    try:
        yield
    finally:
        _limit.reset(token)


def choose_devices(batch_size: int, count: int | None = None) -> tuple[jax.Device, ...]:
    """The devices that a training with such batches uses.

    Of a process that is alone: as many as there are of which each has equally many examples. Of
    several processes: all devices of all processes, process after process.

    Args:
      batch_size: examples a step, on all devices together.
      count: so many devices instead, of each process; by default as `limit_devices` says.

    Raises:
      CnnjaxError: there are fewer, or the batch cannot be divided evenly among them.
    """
    count = _limit.get() if count is None else count
    _check_count(count)
    if current().count > 1:
        return _of_all_processes(batch_size, count)
    there = jax.local_devices()
    if count is None:
        count = next(n for n in range(len(there), 0, -1) if batch_size % n == 0)
    check_divides(batch_size, count)
    return tuple(there[:count])


def _of_all_processes(batch_size: int, count: int | None) -> tuple[jax.Device, ...]:
    there: dict[int, list[jax.Device]] = {}
    for device in sorted(jax.devices(), key=lambda device: (device.process_index, device.id)):
        there.setdefault(device.process_index, []).append(device)
    counts = [len(devices) for devices in there.values()]
    if count is not None and min(counts) < count:
        raise CnnjaxError(
            f"{count} devices of each process are asked for, and process "
            f"{counts.index(min(counts))} has {min(counts)}; give at most that"
        )
    chosen = [device for devices in there.values() for device in devices[:count]]
    if batch_size % len(chosen):
        nearest = max(1, round(batch_size / len(chosen))) * len(chosen)
        some = range(min(counts) - 1, 0, -1)
        fitting = [n for n in some if batch_size % (n * len(there)) == 0]
        other = f", or {fitting[0]} of the devices of each" if fitting else ""
        raise CnnjaxError(
            f"a batch of {batch_size} cannot be divided evenly among the {len(chosen)} devices of "
            f"{len(there)} processes; give {nearest} examples{other}"
        )
    return tuple(chosen)


def _check_count(count: int | None) -> None:
    there = jax.local_devices()
    if count is not None and not 1 <= count <= len(there):
        raise CnnjaxError(
            f"{count} devices are asked for, and there are {len(there)} ({there[0].device_kind}); "
            f"give 1 to {len(there)}"
        )


def check_divides(batch_size: int, devices: int) -> None:
    """A batch has as many examples on every device.

    Raises:
      CnnjaxError: it does not; says which size or number of devices would do.

    >>> check_divides(30, 8)
    Traceback (most recent call last):
    cnnjax.errors.CnnjaxError: a batch of 30 cannot be divided evenly among 8 devices; give 32 \
examples, or 6 devices
    """
    if batch_size % devices == 0:
        return
    nearest = max(1, round(batch_size / devices)) * devices
    fitting = max(count for count in range(1, devices) if batch_size % count == 0)
    raise CnnjaxError(
        f"a batch of {batch_size} cannot be divided evenly among {devices} devices; give {nearest} "
        f"examples, or {fitting} device{'s' if fitting > 1 else ''}"
    )


def own_places(owners: Sequence[int], batch_size: int, process: int) -> np.ndarray:
    """The places in each batch whose examples one of several processes brings to its devices.

    Those of all processes are disjoint and cover the batch; as every epoch is laid out in batches
    (`cnnjax.data.batch_indices`), what they bring covers every epoch.

    Args:
      owners: of each device in the order of the batch, the process that it belongs to.
      batch_size: a multiple of the number of devices.
      process: whose.

    >>> own_places([0, 0, 1, 1], batch_size=8, process=1)
    array([4, 5, 6, 7])
    """
    return np.flatnonzero(np.repeat(owners, batch_size // len(owners)) == process)


class Placement:
    """Where the arrays of a training are."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """
        Args:
          devices: at least one; of several processes, the same in each.
        """
        self.mesh = Mesh(np.array(devices), (AXIS,))
        self.shardings = Shardings(
            batch=NamedSharding(self.mesh, PartitionSpec(AXIS)),
            whole=NamedSharding(self.mesh, PartitionSpec()),
        )
        self._owners = [device.process_index for device in devices]
        self._alone = set(self._owners) == {jax.process_index()}

    def everywhere(self, tree: T) -> T:
        """All of it on each device; each process gives the same."""
        if self._alone:
            return jax.device_put(tree, self.shardings.whole)

        def spread(leaf: jax.Array) -> jax.Array:
            words, whole = np.asarray(_words(leaf)), self.shardings.whole
            return _like(leaf, jax.make_array_from_callback(words.shape, whole, lambda _: words))

        return jax.tree.map(spread, tree)

    def back(self, tree: T) -> T:
        """All of it on the first device of this process, as if there were no other."""
        here = jax.local_devices()[0]
        if self._alone:
            return jax.device_put(tree, here)

        def own(leaf: jax.Array) -> jax.Array:
            return _like(leaf, jax.device_put(_words(leaf).addressable_data(0), here))

        return jax.tree.map(own, tree)

    def own_places(self, batch_size: int) -> np.ndarray:
        """The places in each batch whose examples this process brings."""
        return own_places(self._owners, batch_size, jax.process_index())

    def examples(self, own: T) -> T:
        """Of a batch, each device its part.

        Args:
          own: arrays `[n, ...]`, the examples in this process's places.
        """
        sharding = self.shardings.batch
        if self._alone:
            return jax.device_put(own, sharding)
        share = self._owners.count(jax.process_index())

        def whole(part: np.ndarray) -> jax.Array:
            shape = (len(part) * self.mesh.size // share, *part.shape[1:])
            return jax.make_array_from_process_local_data(sharding, part, shape)

        return jax.tree.map(whole, own)

    def divided(self, indices: np.ndarray) -> jax.Array:
        """Rows of indices, `[rows, batch]`, divided along the batch."""
        sharding = NamedSharding(self.mesh, PartitionSpec(None, AXIS))
        if self._alone:
            return jax.device_put(indices, sharding)
        own = indices[:, self.own_places(indices.shape[1])]
        return jax.make_array_from_process_local_data(sharding, own, indices.shape)

    def of_primary(self, tree: T) -> T:
        """What the primary has, bit for bit, in each process; to be called by all of them.

        Args:
          tree: arrays; in the others their shapes and types are what matters.
        """
        leaves, structure = jax.tree.flatten(tree)
        arrays = [np.asarray(_words(leaf)) for leaf in leaves]
        given, at = self._bytes_of_primary(b"".join(array.tobytes() for array in arrays)), 0
        for number, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
            words = np.frombuffer(given, array.dtype, array.size, at).reshape(array.shape)
            leaves[number], at = _like(leaf, words), at + array.nbytes
        return jax.tree.unflatten(structure, leaves)

    def _bytes_of_primary(self, data: bytes) -> bytes:
        """Sums over the devices, of which the first alone, the primary's, has what is not 0."""
        chunk = max(1, min(len(data), _CHUNK))
        shape = (self.mesh.size, chunk)
        add = jax.jit(
            lambda parts: parts.sum(0, dtype=np.uint8), out_shardings=self.shardings.whole
        )
        current().wait()  # the first time processes connect to each other, none may be late
        received = []
        for at in range(0, len(data), chunk):
            part = np.zeros((1, chunk), np.uint8)
            part[0, : len(data) - at] = np.frombuffer(data[at : at + chunk], np.uint8)
            zeros = np.zeros_like(part)
            parts = jax.make_array_from_callback(
                shape,
                self.shardings.batch,
                lambda place, part=part, zeros=zeros: zeros if place[0].start else part,
            )
            received.append(np.asarray(add(parts)).tobytes())
        return b"".join(received)


def _words(leaf: jax.Array) -> jax.Array:
    """Random keys as their raw words; everything else as it is."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _like(leaf: jax.Array, words: jax.Array) -> jax.Array:
    """The inverse of `_words`."""
    if not _is_key(leaf):
        return words
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))


def _is_key(leaf: jax.Array) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
