"""Which examples make up which batch: pure functions of (seed, step), so a run can resume at any
step without replaying the ones before it."""

import numpy as np

from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError


def epoch_permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which epoch number `epoch` visits the examples: int32 `[size]`."""
    return stream(seed, epoch).permutation(size).astype(np.int32)


def batch_indices(size: int, batch_size: int, seed: int, start: int, stop: int) -> np.ndarray:
    """The examples of the training steps start, start + 1, ..., stop - 1.

    The permutations of epoch 0, 1, 2, ... are laid end to end in one endless row, and step t takes
    the places t * batch_size to (t + 1) * batch_size of it. So every epoch visits each example
    exactly once, a batch may cross the border between two epochs, and any step can be computed
    alone. A call costs one permutation for each epoch it touches: ask for many steps at once.

    Args:
        size: number of examples in the data set.
        batch_size: examples in one batch; may be larger than `size`.
        seed: non-negative integer; another seed, another row.
        start: first step, counted from 0.
        stop: the step after the last.

    Returns:
        int32 `[stop - start, batch_size]`, values in 0 ... size - 1.

    Raises:
        CnnjaxError: a size below one, a negative step or seed, or a stop before its start.

    >>> batch_indices(size=4, batch_size=2, seed=0, start=0, stop=4).reshape(2, 4).sum(axis=1)
    array([6, 6])
    """
    _check_sizes(size, batch_size)
    if not 0 <= start <= stop:
        raise CnnjaxError(
            f"steps {start} to {stop} make no range; expected 0 <= start <= stop; mend the steps"
        )
    first, last = int(start) * batch_size, int(stop) * batch_size
    first_epoch, last_epoch = first // size, -(-last // size)
    row = [epoch_permutation(size, seed, epoch) for epoch in range(first_epoch, last_epoch)]
    skipped = first - first_epoch * size
    places = np.concatenate([np.empty(0, np.int32), *row])[skipped : skipped + last - first]
    return places.reshape(stop - start, batch_size)


def padded_batches(size: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Every example once, in order, in batches of one shape: for evaluation.

    The last batch is filled up with example 0, whose mask there is 0: sum what is measured times
    the mask, and divide by the sum of the masks.

    Args:
        size: number of examples in the data set.
        batch_size: examples in one batch.

    Returns:
        indices: int32 `[ceil(size / batch_size), batch_size]`.
        mask: float32 of the same shape, 1 for a real example and 0 for the filling.

    Raises:
        CnnjaxError: a size below one.

    >>> indices, mask = padded_batches(size=5, batch_size=3)
    >>> indices.tolist(), mask.tolist()
    ([[0, 1, 2], [3, 4, 0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """
    _check_sizes(size, batch_size)
    places = np.arange(-(-size // batch_size) * batch_size, dtype=np.int32)
    real = places < size
    indices = np.where(real, places, 0).astype(np.int32)
    return indices.reshape(-1, batch_size), real.astype(np.float32).reshape(-1, batch_size)


def _check_sizes(size: int, batch_size: int) -> None:
    if size < 1 or batch_size < 1:
        raise CnnjaxError(
            f"{size} examples in batches of {batch_size} cannot be; both are at least 1; "
            "give a data set with examples and a batch size from 1 on"
        )
