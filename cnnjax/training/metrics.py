"""Metrics as sums and counts, so that uneven batches merge exactly.

A metric measures every example alone; the measures of a data set are summed, in any grouping, and
the sum is summarised once, at the end. Counts are integers, so that no grouping changes a bit.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PerExample = Callable[[jax.Array, jax.Array], jax.Array]
"""(outputs `[N, K]`, targets `[N, ...]`) -> one measure per example, `[N, ...]`."""

Summary = Callable[[np.ndarray, float], float]
"""(sum over the examples, number of examples) -> the number to report."""


class Metric(NamedTuple):
    """What to measure of every example, and what to report of the sum.

    Attributes:
      name: of the sum.
      measure: gives one value, or one array, per example: `[N, ...]`; booleans are counted.
      summaries: (name to report, function of the sum and the number of examples).
    """

    name: str
    measure: PerExample
    summaries: tuple[tuple[str, Summary], ...]


def mean(total: np.ndarray, count: float) -> float:
    """The sum over the examples divided by their number."""
    return float(total) / float(count)


def correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """True where the largest logit is the label's: bool `[N]`.

    Ties go to the class that comes first, as in NumPy's argmax.
    """
    return jnp.argmax(logits, axis=-1) == labels


accuracy = Metric("accuracy", correct, (("accuracy", mean),))
"""The share of examples whose largest logit is the label's (lecture 4)."""


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Divides every sum by the number of examples, which stands under "count".

    >>> means({"loss": 3.0, "accuracy": 1.0, "count": 2.0})
    {'loss': 1.5, 'accuracy': 0.5}
    """
    count = float(sums["count"])
    return {name: float(value) / count for name, value in sums.items() if name != "count"}
