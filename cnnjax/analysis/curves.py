"""What a learning curve shows, in numbers: levels, slope, gap, rise and oscillation.

The numbers are shares, so that one threshold serves runs of any length and any loss. *Progress* is
the share of the run that is done. The *error* is 1 - accuracy or, where no accuracy was measured,
the loss divided by the loss at the start.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.training.lines import Line

END = 0.1
"""The level of a curve is its mean over this last share of the run, and over 3 points at least."""

TAIL = 0.4
"""Slope and oscillation are those of this last share of the run. It is long because a learning
rate that falls along a cosine flattens the last tenth of every curve."""

_END_POINTS, _SLOPE_POINTS, _RISE_POINTS, _OSCILLATION_POINTS = 3, 5, 3, 3


class Curve(NamedTuple):
    """One quantity over the steps of a run: in order, finite, and perhaps without a point."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Features:
    """The evidence that a diagnosis rests on; None where the run does not tell.

    Attributes:
      steps: the last step with a line.
      training_lines: points of the training curve.
      validation_lines: points of the validation curve.
      measure: what the errors are made of, "accuracy" or "loss".
      diverged_at: the first step at which a loss was not a finite number.
      start_loss: the first training loss.
      training_loss: at the end.
      validation_loss: at the end.
      training_accuracy: at the end.
      validation_accuracy: at the end.
      training_error: 1 - accuracy, or loss / start loss, at the end.
      validation_error: the same on the validation examples.
      fall: (start loss - training loss at the end) / start loss.
      slope: what the training loss falls in 10 % of the run, measured by a straight line through
        the tail, as a share of its fall in the whole run: 0.1 is the pace of a curve that falls
        evenly, 0 a standstill.
      slope_noise: the standard error of `slope`.
      best_at: the progress at which the validation loss, smoothed, was lowest.
      rise: (validation loss at the end - that lowest one) / start loss.
      relapse: (training loss at the end - the lowest, smoothed) / start loss.
      oscillation: how far the validation loss of the tail lies from the mean of its two
        neighbours, on average, / start loss.
    """

    steps: int
    training_lines: int
    validation_lines: int
    measure: str
    diverged_at: int | None = None
    start_loss: float | None = None
    training_loss: float | None = None
    validation_loss: float | None = None
    training_accuracy: float | None = None
    validation_accuracy: float | None = None
    training_error: float | None = None
    validation_error: float | None = None
    fall: float | None = None
    slope: float | None = None
    slope_noise: float | None = None
    best_at: float | None = None
    rise: float | None = None
    relapse: float | None = None
    oscillation: float | None = None

    @property
    def gap(self) -> float | None:
        """Validation error - training error."""
        if self.validation_error is None or self.training_error is None:
            return None
        return self.validation_error - self.training_error


def curve(lines: list[Line], name: str) -> Curve:
    """The finite values of `name`, e.g. "validation_loss", over the steps."""
    points = [(line["step"], line[name]) for line in lines if _is_finite(line.get(name))]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return Curve(np.asarray(steps, float), np.asarray(values, float))


def measure(lines: list[Line]) -> Features:
    """The features of a run.

    Args:
      lines: in the order of their steps, as `cnnjax.training.fit` returns them: "step", "loss"
        and, some of them or none, "accuracy", "validation_loss", "validation_accuracy".

    Raises:
      CnnjaxError: there is no line, or the first training loss is not above 0.

    >>> falling = [{"step": s, "loss": 2.0 - s / 100} for s in range(0, 101, 5)]
    >>> features = measure(falling)
    >>> round(features.slope, 1), features.oscillation is None
    (0.1, True)
    """
    if not lines:
        raise CnnjaxError("there are no lines of metrics; expected at least one; train first")
    last = float(max(lines[-1]["step"], 1))
    loss, validation = curve(lines, "loss"), curve(lines, "validation_loss")
    accuracies = curve(lines, "accuracy"), curve(lines, "validation_accuracy")
    wild = [
        line["step"]
        for line in lines
        if any(name in line and not _is_finite(line[name]) for name in ("loss", "validation_loss"))
    ]
    # Where only one of the two accuracies was measured, they cannot be compared.
    by_accuracy = len(accuracies[0].steps) > 0 and (
        len(accuracies[1].steps) > 0 or not len(validation.steps)
    )
    known = {
        "steps": int(lines[-1]["step"]),
        "training_lines": len(loss.steps),
        "validation_lines": len(validation.steps),
        "measure": "accuracy" if by_accuracy else "loss",
        "diverged_at": int(wild[0]) if wild else None,
        "validation_loss": _level(validation, last),
        "training_accuracy": _level(accuracies[0], last),
        "validation_accuracy": _level(accuracies[1], last),
    }
    if not len(loss.steps):
        return Features(**known)
    start, end = float(loss.values[0]), _level(loss, last)
    if start <= 0:
        raise CnnjaxError(
            f"the first training loss is {start:g}; expected one above 0, of which later losses "
            "are shares; add a constant to the loss, so that 0 is its best value"
        )
    slope, noise = _slope(loss, last)
    fall = start - end
    if by_accuracy:
        errors = [None if a is None else 1 - a for a in (_level(c, last) for c in accuracies)]
    else:
        errors = [None if a is None else a / start for a in (end, known["validation_loss"])]
    best_at = rise = None
    if len(validation.steps) >= _RISE_POINTS:
        smooth = _smoothed(validation, last)
        best_at = float(validation.steps[int(np.argmin(smooth))] / last)
        rise = (known["validation_loss"] - float(smooth.min())) / start
    falls = slope is not None and fall > 0
    oscillation = _oscillation(validation, last)
    return Features(
        **known,
        start_loss=start,
        training_loss=end,
        training_error=errors[0],
        validation_error=errors[1],
        fall=fall / start,
        slope=-0.1 * slope / fall if falls else None,
        slope_noise=0.1 * noise / fall if falls else None,
        best_at=best_at,
        rise=rise,
        relapse=(end - float(_smoothed(loss, last).min())) / start,
        oscillation=None if oscillation is None else oscillation / start,
    )


def _level(of: Curve, last: float) -> float | None:
    if not len(of.steps):
        return None
    first = int((of.steps / last <= 1 - END).sum())
    return float(of.values[min(first, max(len(of.steps) - _END_POINTS, 0)) :].mean())


def _slope(of: Curve, last: float) -> tuple[float, float] | tuple[None, None]:
    """Of the least-squares line through the tail, per unit of progress, and its standard error."""
    within = of.steps / last > 1 - TAIL
    count = int(within.sum())
    if count < _SLOPE_POINTS:
        return None, None
    x, y = of.steps[within] / last, of.values[within]
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt(rest @ rest / (count - 2) / (x @ x)))


def _smoothed(of: Curve, last: float) -> np.ndarray:
    """Means over END of the run around each point, its two neighbours always included: the lowest
    of noisy values would lie below the curve."""
    progress, means = of.steps / last, []
    for i, place in enumerate(progress):
        near = np.abs(progress - place) <= END / 2 + 1e-9  # of a rounding error
        near[max(i - 1, 0) : i + 2] = True
        means.append(of.values[near].mean())
    return np.asarray(means)


def _oscillation(of: Curve, last: float) -> float | None:
    tail = np.flatnonzero(of.steps / last > 1 - TAIL)
    inner = tail[(tail > 0) & (tail < len(of.steps) - 1)]
    if len(inner) < _OSCILLATION_POINTS:
        return None
    values = of.values
    return float(np.abs(values[inner] - (values[inner - 1] + values[inner + 1]) / 2).mean())


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
