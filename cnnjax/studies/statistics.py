"""What few repetitions allow one to say: intervals, and verdicts on claims."""

from collections.abc import Iterable, Mapping, Sequence
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


def values(rows: Iterable[Mapping], measure: str, /, **cells: object) -> dict[object, float]:
    """{seed: measure} of the rows that have these cells.

    Args:
      rows: of results, with a column `seed`.
      measure: a column.
      cells: what other columns must hold.

    Raises:
      CnnjaxError: two of the rows have the same seed: the cells do not tell one arm from others.

    >>> rows = [{"arm": "a", "seed": 0, "error": 9.0}, {"arm": "b", "seed": 0, "error": 8.0}]
    >>> values(rows, "error", arm="b")
    {0: 8.0}
    """
    found: dict[object, float] = {}
    for row in rows:
        if row.get(measure) is not None and all(row[k] == v for k, v in cells.items()):
            if row["seed"] in found:
                raise CnnjaxError(f"several rows of seed {row['seed']} have {cells}; name one arm")
            found[row["seed"]] = row[measure]
    return found


def paired(
    rows: Sequence[Mapping], measure: str, plus: Mapping[str, object], minus: Mapping[str, object]
) -> list[float]:
    """By how much one arm is above another in each seed that both have.

    Args:
      rows: of results, with a column `seed`.
      measure: a column.
      plus: cells of the rows of the one arm.
      minus: cells of the rows of the other.
    """
    above, below = values(rows, measure, **plus), values(rows, measure, **minus)
    return [above[seed] - below[seed] for seed in sorted(above.keys() & below)]


def judge(statement: str, differences: Sequence[float], what: str, threshold: float = 0.0) -> Claim:
    """The claim that differences lie above a threshold, decided by their interval.

    Args:
      statement: the claim.
      differences: one for each seed.
      what: is subtracted from what, e.g. "dropout − none".
      threshold: see `above`.
    """
    interval = t_interval(differences)
    return Claim(statement, above(interval, threshold), f"{what}: {interval}")
