"""Random streams that stay the same in every process, on every machine, in every NumPy."""

import numpy as np

from cnnjax.errors import CnnjaxError


def stream(*words: int) -> np.random.RandomState:
    """A stream that is a pure function of the non-negative integers `words`.

    `numpy.random.Generator` may change its numbers between releases of NumPy; the methods of
    `RandomState` are frozen for good (NEP 19), and so are `SeedSequence` and `PCG64`.

    Raises:
        CnnjaxError: a word is negative.

    >>> stream(0, 7).permutation(5).tolist() == stream(0, 7).permutation(5).tolist()
    True
    """
    if any(word < 0 for word in words):
        raise CnnjaxError(
            f"the seed {min(words)} is negative; a seed is a whole number from 0 on; choose another"
        )
    return np.random.RandomState(np.random.PCG64(np.random.SeedSequence([int(w) for w in words])))
