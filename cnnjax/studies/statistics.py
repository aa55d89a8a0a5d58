"""What few repetitions allow one to say: intervals, and verdicts on claims."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit  # scipy.stats has it too, and takes a second to import

from cnnjax.errors import CnnjaxError

Verdict = Literal["supported", "contradicted", "undecided"]


class Interval(NamedTuple):
    """A mean and its two-sided confidence interval; the ends are NaN for a single value."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.mean:+.1f} (one value, no interval)"
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """mean ± t s / sqrt(n), Student's interval for the mean of n independent values.

    Args:
      values: one for each independent repetition.
      confidence: in (0, 1).

    Raises:
      CnnjaxError: there are no values.

    >>> print(t_interval([1.0, 2.0, 3.0]))
    +2.0 [-0.5, +4.5]
    """
    if len(values) == 0:
        raise CnnjaxError("no values to take the mean of; give at least one")
    array = np.asarray(values, np.float64)
    mean, count = float(array.mean()), len(array)
    if count == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    quantile = stdtrit(count - 1, (1 + confidence) / 2)
    half = quantile * array.std(ddof=1) / np.sqrt(count)
    return Interval(mean, float(mean - half), float(mean + half), count)


def above(differences: Interval, threshold: float = 0.0) -> Verdict:
    """Judges "is above the threshold": supported if the interval lies above it, contradicted if it
    lies below. A negative threshold judges "loses less than so much"."""
    if differences.low > threshold:
        return "supported"
    return "contradicted" if differences.high < threshold else "undecided"


class Claim(NamedTuple):
    """A statement of a paper, the verdict on it and the numbers that decide it."""

    statement: str
    verdict: Verdict
    numbers: str
