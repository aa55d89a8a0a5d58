"""The lecture's cases of the learning curve, as rules on measured features.

Lecture 1, slides "Learning Curve" and "Perfect Learning Curve", show two curves that underfit, two
that overfit and one that is good, each with its remedy. The rules, in their order:

1. *Unstable* is a validation loss that oscillates, or a training loss that ends far above its
   lowest value. With a sign of overfitting (2) it is "overfitting with oscillation".
2. *Overfitting* is a gap between validation and training error that is wide and wider than what
   training itself lacks of the target (its bias), or a validation loss that ends far above its
   lowest value.
3. *Underfitting* is a wide bias: "still improving" if the training loss still falls at a good
   pace, else "too small a network".
4. What is left is "good".

A measure that is closer to its threshold than a margin decides nothing: where it makes a
difference, the diagnosis is undecided and names the two cases. So is a run without validation that
does not underfit, and one that is unstable without a sign of overfitting.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cnnjax.analysis.curves import Features
from cnnjax.errors import CnnjaxError


class Case(enum.Enum):
    """The lecture's five cases, and the run that is no longer a number."""

    STILL_IMPROVING = "underfitting: still improving"
    TOO_SMALL = "underfitting: too small a network"
    OVERFITTING = "overfitting"
    OSCILLATING = "overfitting with oscillation"
    GOOD = "good"
    DIVERGED = "diverged"

    @property
    def change(self) -> str:
        """The one change that the lecture suggests."""
        return _CHANGES[self]


_CHANGES = {
    Case.STILL_IMPROVING: "raise the learning rate, or train for more epochs",
    Case.TOO_SMALL: "take a deeper (or wider) network",
    Case.OVERFITTING: "regularise (weight decay, dropout, augmentation), or train on more data",
    Case.OSCILLATING: "decrease the learning rate",
    Case.GOOD: "none",
    Case.DIVERGED: "decrease the learning rate",
}


@dataclass(frozen=True)
class Thresholds:
    """Where the rules divide. Errors are shares of 1, losses shares of the first training loss.

    The values lie between the runs provoked into neighbouring cases, on the half of the bases that
    was set aside for choosing (docs/diagnosis.md); the other half has not been looked at for them.

    Attributes:
      bias: a training error (or validation error, if lower) this far above the target's is
        underfitting.
      gap: a validation error this far above the training error is overfitting.
      rise: a validation loss that ends this far above its lowest value is overfitting.
      oscillation: a validation loss that jumps by this much on average is unstable.
      relapse: a training loss that ends this far above its lowest value is unstable.
      slope: a training loss that still falls by this share of its whole fall in 10 % of the run is
        still improving: as long a run again, at that pace, would add ten times as much.
      margin: a measure between threshold / margin and threshold x margin decides nothing.
      deviations: a slope within so many standard errors of its threshold decides nothing.
      fall: a training loss that has fallen by less has not learnt anything yet.
      explosion: a training loss that ends at so many times its start has diverged.
    """

    bias: float = 0.05
    gap: float = 0.07
    rise: float = 0.05
    oscillation: float = 0.025
    relapse: float = 0.05
    slope: float = 0.03
    margin: float = 1.2
    deviations: float = 2.0
    fall: float = 0.05
    explosion: float = 2.0


class Finding(NamedTuple):
    """One rule on one measure.

    Attributes:
      value: the measure; None where the run does not tell.
      threshold: above it the rule holds.
      distance: how far the measure is from the threshold: 0 on it (or unknown), 1 at the end of the
        margin.
    """

    value: float | None
    threshold: float
    distance: float

    @property
    def holds(self) -> bool:
        """The rule, margin or not."""
        return self.value is not None and self.value > self.threshold

    @property
    def open(self) -> bool:
        """Whether the measure is too close to the threshold to decide, or unknown."""
        return self.distance < 1


@dataclass(frozen=True)
class Diagnosis:
    """What a run shows.

    Attributes:
      cases: the case; two, the nearer one first, when the run does not decide between them.
      findings: the rules, by the name of their measure.
      deciding: the name of the measure that leaves it open, if it is undecided.
    """

    cases: tuple[Case, ...]
    findings: Mapping[str, Finding]
    deciding: str | None = None

    @property
    def case(self) -> Case | None:
        """The case; None when it is undecided."""
        return self.cases[0] if len(self.cases) == 1 else None


def default_target(features: Features) -> float:
    """What a training can reach if nothing else is known: an accuracy of 1, a loss of 0.

    A network that is large enough fits any training examples, even with random labels (Zhang et
    al. 2017, arXiv:1611.03530), so what is missing on them is the training's own lack.
    """
    return 1.0 if features.measure == "accuracy" else 0.0


def diagnose(
    features: Features, target: float | None = None, thresholds: Thresholds | None = None
) -> Diagnosis:
    """Classifies a learning curve.

    Without validation lines overfitting cannot be seen: underfitting is then told from the
    training curve alone, and anything else is undecided between good and overfitting. With few of
    them, rules on what cannot be measured do not hold.

    Args:
      features: of `cnnjax.analysis.curves.measure`.
      target: the accuracy (or, where none was measured, the loss) that can be reached on the
        task; see `default_target`.
      thresholds: where the rules divide; the defaults of `Thresholds`.

    Raises:
      CnnjaxError: a target that cannot be.
    """
    t = thresholds or Thresholds()
    error = _target_error(features, target)
    exploded = features.start_loss and features.training_loss > t.explosion * features.start_loss
    if features.diverged_at is not None or exploded:
        return Diagnosis((Case.DIVERGED,), {})
    findings = _findings(features, error, t)
    holds = {name: finding.holds for name, finding in findings.items()}
    case, deciding = _case(holds), None
    cases = [case]
    for name in sorted(findings, key=lambda name: findings[name].distance):
        other = _case(holds | {name: not holds[name]})
        if findings[name].open and other is not case:
            cases, deciding = [case, other], name
            break
    if features.validation_lines == 0 and case is Case.GOOD:
        cases, deciding = [case, Case.OVERFITTING], "gap"
    elif _is_unstable(holds) and case is not Case.OSCILLATING:
        # The lecture knows no run that is unstable and does not overfit.
        cases, deciding = [case, Case.OSCILLATING], "gap"
    return Diagnosis(tuple(cases), findings, deciding)


def _is_unstable(holds: Mapping[str, bool]) -> bool:
    return holds.get("oscillation", False) or holds["relapse"]


def _case(holds: Mapping[str, bool]) -> Case:
    """The rules in their order."""
    gap, rise = holds.get("gap", False), holds.get("rise", False)
    if _is_unstable(holds) and (gap or rise):
        return Case.OSCILLATING
    if rise or (gap and holds["gap / bias"]):
        return Case.OVERFITTING
    if holds["bias"]:
        return Case.STILL_IMPROVING if holds["slope"] else Case.TOO_SMALL
    return Case.GOOD


def _findings(f: Features, target_error: float, t: Thresholds) -> dict[str, Finding]:
    """The rules on what is known. The slope is always among them, as what underfits is of one
    case or the other; other unknown measures are left out."""
    bias = f.training_error - target_error
    if f.validation_error is not None:
        bias = min(bias, f.validation_error - target_error)
    known = {"bias": (bias, t.bias), "relapse": (f.relapse, t.relapse)}
    if f.gap is not None:
        ratio = f.gap / bias if bias > 0 else math.copysign(math.inf, f.gap)
        known |= {"gap": (f.gap, t.gap), "gap / bias": (ratio, 1.0)}
    known |= {"rise": (f.rise, t.rise), "oscillation": (f.oscillation, t.oscillation)}
    findings = {
        name: Finding(value, threshold, _distance(value, threshold, t.margin))
        for name, (value, threshold) in known.items()
        if value is not None
    }
    distance = 0.0
    if f.slope is not None:
        noise = t.deviations * f.slope_noise
        distance = abs(f.slope - t.slope) / noise if noise > 0 else math.inf
    return findings | {"slope": Finding(f.slope, t.slope, distance)}


def _distance(value: float, threshold: float, margin: float) -> float:
    """Distance from the threshold in margins: both are factors."""
    if value <= 0:
        return math.inf
    return abs(math.log(value / threshold)) / math.log(margin)


def _target_error(features: Features, target: float | None) -> float:
    if target is None:
        target = default_target(features)
    if features.measure == "accuracy":
        if not 0 < target <= 1:
            raise CnnjaxError(
                f"the target is {target:g}; expected an accuracy above 0 and up to 1, the best "
                "that can be reached on the task; give 0.9 for 90 %"
            )
        return 1 - target
    if not 0 <= target < math.inf:
        raise CnnjaxError(
            f"the target is {target:g}; expected a loss of at least 0, as this run has no "
            "accuracy; give the best loss that can be reached on the task"
        )
    return target / features.start_loss if features.start_loss else 0.0
