"""Metrics as sums and counts, so that uneven batches merge exactly.

A metric measures every example alone; the measures of a data set are summed, in any grouping, and
the sum is summarised once, at the end. Counts are integers, so that no grouping changes a bit.

The measures take what the network gave, logits, as the losses do.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.training import scores
from cnnjax.training.losses import mean_absolute_error, mean_squared_error
from cnnjax.training.scores import Counts
from cnnjax.training.targets import paired, require_labels

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


def root_mean(total: np.ndarray, count: float) -> float:
    """The square root of the mean."""
    return mean(total, count) ** 0.5


def correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """True where the largest logit is the label's: bool `[N]`.

    Ties go to the class that comes first, as in NumPy's argmax.
    """
    return jnp.argmax(logits, axis=-1) == labels


accuracy = Metric("accuracy", correct, (("accuracy", mean),))
"""The share of examples whose largest logit is the label's (lecture 5)."""


@lru_cache  # one object for each k: a step is compiled once for each task
def top_k(k: int) -> Metric:
    """The share of examples whose label is among the k largest logits: "top_5_accuracy".

    Of equal logits the class that comes first is the larger one; so `top_k(1)` is `accuracy`.
    scikit-learn's `top_k_accuracy_score` gives the last one the preference.

    Args:
      k: at least 1.

    Raises:
      CnnjaxError: k is below 1, or, when it measures, above the number of classes.

    >>> logits = jnp.array([[0.1, 0.5, 0.4]])
    >>> top_k(2).measure(logits, jnp.array([2])).tolist()
    [True]
    """
    if k < 1:
        raise CnnjaxError(f"top-{k} accuracy cannot be; k is at least 1; give 5, say")

    def among_top_k(logits: jax.Array, labels: jax.Array) -> jax.Array:
        require_labels(f"top-{k} accuracy", logits, labels)
        if k > logits.shape[1]:
            raise CnnjaxError(
                f"top-{k} accuracy was asked of {logits.shape[1]} classes; k is at most their "
                "number; give a smaller k"
            )
        return (jax.lax.top_k(logits, k)[1] == labels[:, None]).any(axis=1)

    name = f"top_{k}_accuracy"
    return Metric(name, among_top_k, ((name, mean),))


def class_counts(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Each class against the rest: bool `[N, K, 4]`, in the order of `scores.Counts`."""
    require_labels("class_counts", logits, labels)
    classes = jnp.arange(logits.shape[1])
    return _four(jnp.argmax(logits, axis=1)[:, None] == classes, labels[:, None] == classes)


def label_counts(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Each label by itself, predicted where its logit is above 0, i.e. its probability above 1/2.

    Args:
      logits: `[N, K]`; or `[N]`, `[N, 1]` for one label.
      targets: 0 or 1, `[N, K]` or `[N]`.

    Returns:
      bool `[N, K, 4]` or `[N, 4]`, in the order of `scores.Counts`.

    Raises:
      CnnjaxError: shapes that do not match.
    """
    logits, targets = paired("label_counts", logits, targets)
    return _four(logits > 0, targets > 0.5)


def all_labels_correct(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """True where every label of the example is predicted rightly: bool `[N]` of `[N, K]`."""
    logits, targets = paired("all_labels_correct", logits, targets, rank=2)
    return ((logits > 0) == (targets > 0.5)).all(axis=1)


def confusions(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """A confusion matrix of each example, a single True: bool `[N, K, K]`, rows = predicted.

    For up to about a hundred classes: 256 examples of 1000 classes take 1 GB on the way. There,
    predict first and count with `scores.confusion_matrix`; `class_counts` has no such limit.
    """
    require_labels("confusions", logits, labels)
    classes = jnp.arange(logits.shape[1])
    predicted = jnp.argmax(logits, axis=1)[:, None] == classes
    return predicted[:, :, None] & (labels[:, None] == classes)[:, None, :]


def _four(predicted: jax.Array, actual: jax.Array) -> jax.Array:
    both = Counts(
        true_positives=predicted & actual,
        false_positives=predicted & ~actual,
        false_negatives=~predicted & actual,
        true_negatives=~predicted & ~actual,
    )
    return jnp.stack(both, axis=-1)


def counts(total: np.ndarray) -> Counts:
    """The sum of `class_counts` or `label_counts` over examples, `[..., 4]`, as `Counts`."""
    return Counts(*np.moveaxis(np.asarray(total), -1, 0))


def _of_counts(score: Callable[..., np.ndarray], *average: str) -> Summary:
    return lambda total, count: float(score(counts(total), *average))


def _averages(*names: str) -> tuple[tuple[str, Summary], ...]:
    ratios = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}
    return tuple(
        (f"{name}_{average}", _of_counts(ratio, average))
        for average in names
        for name, ratio in ratios.items()
    )


binary_scores = Metric(
    "decisions",
    label_counts,
    (
        ("accuracy", _of_counts(scores.accuracy)),
        ("precision", _of_counts(scores.precision)),
        ("recall", _of_counts(scores.recall)),
        ("f1", _of_counts(scores.f1)),
        ("specificity", _of_counts(scores.specificity)),
    ),
)
"""Lecture 5's measures of one class against another, from the four counts, `[4]`."""

class_scores = Metric("decisions", class_counts, _averages("macro"))
"""Precision, recall and F1 of K classes, macro-averaged, from `[K, 4]` counts. (The micro averages
of classes that exclude one another are all the accuracy.)"""

label_scores = Metric(
    "decisions",
    label_counts,
    (
        ("accuracy", lambda total, count: float(scores.accuracy(counts(total)).mean())),
        *_averages("macro", "micro"),
    ),
)
"""The share of right decisions on labels, and precision, recall and F1 in both averages, from
`[K, 4]` counts."""

exact_match = Metric("exact_match", all_labels_correct, (("exact_match", mean),))
"""The share of examples whose labels are all right."""

confusion = Metric("confusion", confusions, ())
"""The confusion matrix, `[K, K]` with a row for each predicted class, among the sums; it has no
number to report. `scores.one_against_rest` makes counts of it."""

mae = Metric("absolute_error", mean_absolute_error, (("mae", mean),))
"""The mean absolute error, over examples and outputs."""

rmse = Metric("squared_error", mean_squared_error, (("rmse", root_mean),))
"""The root of the mean squared error, over examples and outputs."""
