"""One training on many devices: each step's batch is divided among them, all else is on each.

The step is the one of a single device, compiled over a mesh with one axis, "data"; the compiler
adds what the devices must tell each other. Sums over a batch, its mean loss, its gradients and the
statistics of batch normalisation, are those of the whole batch, so a training takes the same course
on any number of devices, to rounding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax.errors import CnnjaxError
from cnnjax.training.steps import Shardings

AXIS = "data"
T = TypeVar("T")
_limit: ContextVar[int | None] = ContextVar("devices", default=None)


@contextmanager
def limit_devices(count: int | None) -> Iterator[None]:
    """Trainings inside use so many devices, unless they are given theirs; None: all that fit.

    Args:
      count: at least 1, at most as many as there are.

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
    """The devices of this process that a training with such batches uses.

    Args:
      batch_size: examples a step, on all devices together.
      count: how many; by default as `limit_devices` says, or as many as there are of which each has
        equally many examples.

    Raises:
      CnnjaxError: there are fewer, or the batch cannot be divided evenly among them.
    """
    there, count = jax.local_devices(), _limit.get() if count is None else count
    _check_count(count)
    if count is None:
        count = next(n for n in range(len(there), 0, -1) if batch_size % n == 0)
    check_divides(batch_size, count)
    return tuple(there[:count])


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


class Placement:
    """Where the arrays of a training are."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """
        Args:
          devices: at least one.
        """
        self.mesh = Mesh(np.array(devices), (AXIS,))
        self.shardings = Shardings(
            batch=NamedSharding(self.mesh, PartitionSpec(AXIS)),
            whole=NamedSharding(self.mesh, PartitionSpec()),
        )

    def everywhere(self, tree: T) -> T:
        """All of it on each device."""
        return jax.device_put(tree, self.shardings.whole)

    def back(self, tree: T) -> T:
        """All of it on the first device of this process, as if there were no other."""
        return jax.device_put(tree, jax.local_devices()[0])

    def divided(self, indices: np.ndarray) -> jax.Array:
        """Rows of indices, `[rows, batch]`, divided along the batch."""
        return jax.device_put(indices, NamedSharding(self.mesh, PartitionSpec(None, AXIS)))
