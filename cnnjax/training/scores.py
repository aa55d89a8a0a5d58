"""Scores of a classifier from counts of right and wrong decisions: plain NumPy, on the host.

Whoever counts 90 true positives and whoever adds 40 to 50 gets the same scores, to the bit: merge
counts, never scores.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from cnnjax.errors import CnnjaxError

Rows = Literal["predicted", "actual"]
Average = Literal["macro", "micro"] | None

_Ratio = Callable[..., tuple[np.ndarray, np.ndarray]]
"""(TP, FP, FN, TN) -> what is divided by what."""


class Counts(NamedTuple):
    """Lecture 5's four terms, for one class against the rest, or `[K]` of each for K classes."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray


def confusion_matrix(
    predicted: np.ndarray, actual: np.ndarray, num_classes: int, *, rows: Rows
) -> np.ndarray:
    """How many examples of each actual class were predicted to be of each class.

    Lecture 5 prints a row for each *predicted* class, scikit-learn has a row for each *actual*
    one: neither is the default here. The matrices of parts of a data set add up to that of the
    whole.

    Args:
      predicted: int `[N]`, in 0 ... K-1.
      actual: int `[N]`, in 0 ... K-1.
      num_classes: K.
      rows: which of the two the rows stand for.

    Returns:
      int64 `[K, K]`.

    Raises:
      CnnjaxError: other dtypes, shapes that differ, a class out of range, unknown `rows`.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2, rows="predicted").tolist()
    [[1, 1], [0, 1]]
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    _require_rows(rows)
    for name, classes in (("predicted", predicted), ("actual", actual)):
        if classes.ndim != 1 or not np.issubdtype(classes.dtype, np.integer):
            raise CnnjaxError(
                f"the {name} classes are {classes.dtype} of shape {list(classes.shape)}; a "
                "confusion matrix takes integers [N]; take the argmax of the logits"
            )
        if classes.size and not 0 <= classes.min() <= classes.max() < num_classes:
            raise CnnjaxError(
                f"the {name} classes run from {classes.min()} to {classes.max()}; expected 0 to "
                f"{num_classes - 1}; mend them or give another num_classes"
            )
    if predicted.shape != actual.shape:
        raise CnnjaxError(
            f"there are {predicted.size} predicted and {actual.size} actual classes; expected "
            "one of each per example; mend the arrays"
        )
    row, column = (predicted, actual) if rows == "predicted" else (actual, predicted)
    places = row.astype(np.int64) * num_classes + column
    return np.bincount(places, minlength=num_classes**2).reshape(num_classes, num_classes)


def one_against_rest(matrix: np.ndarray, *, rows: Rows) -> Counts:
    """The four counts of each class, from a confusion matrix `[K, K]`.

    Args:
      matrix: counts.
      rows: which classes its rows stand for, see `confusion_matrix`.

    Returns:
      Counts of shape `[K]`.

    Raises:
      CnnjaxError: a matrix that is not square, unknown `rows`.

    >>> cats = np.array([[90, 60], [10, 940]])  # lecture 5: cat and non-cat, rows = predicted
    >>> [int(count[0]) for count in one_against_rest(cats, rows="predicted")]
    [90, 60, 10, 940]
    """
    matrix = np.asarray(matrix)
    _require_rows(rows)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise CnnjaxError(
            f"a confusion matrix of shape {list(matrix.shape)} is not square; it is [K, K]; "
            "count with confusion_matrix"
        )
    right = np.diagonal(matrix)
    predicted, actual = (matrix.sum(axis=1), matrix.sum(axis=0))
    if rows == "actual":
        predicted, actual = actual, predicted
    return Counts(
        true_positives=right,
        false_positives=predicted - right,
        false_negatives=actual - right,
        true_negatives=matrix.sum() - predicted - actual + right,
    )


def accuracy(counts: Counts) -> np.ndarray:
    """(TP + TN) / all: how many of the decisions are right (lecture 5).

    Of a data set with 98 % of one class, always saying that class has an accuracy of 0.98.

    >>> round(float(accuracy(Counts(90, 60, 10, 940))), 5)
    0.93636
    """
    tp, fp, fn, tn = map(np.asarray, counts)
    return _ratio(tp + tn, tp + fp + fn + tn)


def precision(counts: Counts, average: Average = None) -> np.ndarray:
    """TP / (TP + FP): of what is predicted positive, how much is (lecture 5).

    Args:
      counts: of one class, or of K.
      average: "macro" for the mean of the K classes' precisions, all classes alike, also those
        that never occur; "micro" for the precision of the counts summed over the classes; None
        for one number each.

    Returns:
      float64, of the shape of the counts, or `[]` where averaged. 0 where the ratio is 0 / 0, as
      scikit-learn's `zero_division=0`.

    Raises:
      CnnjaxError: an unknown average.

    >>> float(precision(Counts(90, 60, 10, 940)))
    0.6
    """
    return _averaged(counts, average, lambda tp, fp, fn, tn: (tp, tp + fp))


def recall(counts: Counts, average: Average = None) -> np.ndarray:
    """TP / (TP + FN): of what is positive, how much is found (lecture 5); see `precision`.

    >>> float(recall(Counts(90, 60, 10, 940)))
    0.9
    """
    return _averaged(counts, average, lambda tp, fp, fn, tn: (tp, tp + fn))


def f1(counts: Counts, average: Average = None) -> np.ndarray:
    """The harmonic mean of precision and recall, 2 P R / (P + R) (lecture 5); see `precision`.

    Written as 2 TP / (2 TP + FP + FN), which is the same and defined more often. The macro average
    is the mean of the classes' F1, not the F1 of the averages.

    >>> round(float(f1(Counts(90, 60, 10, 940))), 4)
    0.72
    """
    return _averaged(counts, average, lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn))


def specificity(counts: Counts, average: Average = None) -> np.ndarray:
    """TN / (TN + FP): of what is negative, how much is left alone; see `precision`.

    >>> float(specificity(Counts(90, 60, 10, 940)))
    0.94
    """
    return _averaged(counts, average, lambda tp, fp, fn, tn: (tn, tn + fp))


def _averaged(counts: Counts, average: Average, ratio: _Ratio) -> np.ndarray:
    if average not in (None, "macro", "micro"):
        raise CnnjaxError(
            f"there is no average {average!r}; it is 'macro', 'micro' or None; choose one"
        )
    arrays = [np.asarray(count) for count in counts]
    if average == "micro":
        arrays = [count.sum() for count in arrays]
    values = _ratio(*ratio(*arrays))
    return values.mean() if average == "macro" else values


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole != 0)


def _require_rows(rows: str) -> None:
    if rows not in ("predicted", "actual"):
        raise CnnjaxError(
            f"the rows of a confusion matrix are given as {rows!r}; they are the 'predicted' "
            "classes (lecture 5) or the 'actual' ones (scikit-learn); choose one"
        )
