"""A diagnosis in words: the evidence in numbers, and what the run cannot tell."""

from cnnjax.analysis.curves import TAIL, Features
from cnnjax.analysis.diagnosis import Case, Diagnosis, Thresholds, default_target


def headline(diagnosis: Diagnosis) -> str:
    """The case in a line.

    >>> headline(Diagnosis((Case.GOOD, Case.OVERFITTING), {}, "gap"))
    'undecided between good and overfitting'
    """
    return diagnosis.case.value if diagnosis.case else f"undecided between {_cases(diagnosis)}"


def suggestion(diagnosis: Diagnosis) -> str:
    """The one change to make; where two cases are near, that of each."""
    if diagnosis.case:
        return diagnosis.case.change
    return "; ".join(f"if {case.value}: {case.change}" for case in diagnosis.cases)


def evidence(
    features: Features,
    diagnosis: Diagnosis,
    target: float | None = None,
    thresholds: Thresholds | None = None,
) -> dict[str, str]:
    """What was measured, and from where on it means something, by the name of the measure.

    Args:
      features: of the run.
      diagnosis: made of them.
      target: as given to `diagnose`.
      thresholds: as given to `diagnose`.
    """
    f, t = features, thresholds or Thresholds()
    said = {
        "training": _level(f.training_loss, f.training_accuracy) + _start(f),
        "validation": _level(f.validation_loss, f.validation_accuracy),
    }
    found = diagnosis.findings
    if not found:
        return said
    by_accuracy = f.measure == "accuracy"
    goal = default_target(f) if target is None else target
    unit = "points" if by_accuracy else "% of the start loss"
    goal_text = f"an accuracy of {100 * goal:.1f} %" if by_accuracy else f"a loss of {goal:.4g}"
    said["bias"] = (
        f"{100 * found['bias'].value:.1f} {unit} short of the target, {goal_text} "
        f"(underfitting above {100 * t.bias:.1f})"
    )
    if "gap" in found:
        said["gap"] = (
            f"validation is {100 * f.gap:+.1f} {unit} worse than training "
            f"(overfitting above {100 * t.gap:.1f}, if the bias is less)"
        )
    if f.slope is not None:
        said["slope"] = (
            f"the training loss still falls by {100 * f.slope:.1f} ± {100 * f.slope_noise:.1f} % "
            f"of its whole fall per 10 % of the run (still improving above {100 * t.slope:.1f})"
        )
    if f.rise is not None:
        said["rise"] = (
            f"the validation loss was lowest at {100 * f.best_at:.0f} % of the run and ends "
            f"{100 * f.rise:.1f} % of the start loss above (overfitting above {100 * t.rise:.1f})"
        )
    if f.oscillation is not None:
        said["oscillation"] = (
            f"the validation loss jumps by {100 * f.oscillation:.1f} % of the start loss from one "
            f"evaluation to the next (unstable above {100 * t.oscillation:.1f})"
        )
    said["relapse"] = (
        f"the training loss ends {100 * f.relapse:.1f} % of the start loss above its lowest "
        f"(unstable above {100 * t.relapse:.1f})"
    )
    return {name: text for name, text in said.items() if text}


def notes(
    features: Features, diagnosis: Diagnosis, damaged: int = 0, thresholds: Thresholds | None = None
) -> list[str]:
    """What a reader must know before believing the diagnosis: what it cannot tell, and why.

    Args:
      features: of the run.
      diagnosis: made of them.
      damaged: lines of the file that could not be read.
      thresholds: as given to `diagnose`.
    """
    f, t = features, thresholds or Thresholds()
    said = [f"{damaged} damaged lines were left out"] if damaged else []
    if diagnosis.case is Case.DIVERGED:
        if f.diverged_at is not None:
            return [*said, f"at step {f.diverged_at} a loss is no longer a finite number"]
        times = f.training_loss / f.start_loss
        return [*said, f"the training loss ends at {times:.3g} times its start"]
    if diagnosis.case is None:
        said.append(_why_undecided(diagnosis))
    if not f.validation_lines:
        said.append(
            "there are no validation lines, so overfitting cannot be seen; train with "
            "fit(validation=..., evaluate_every=...)"
        )
    elif f.oscillation is None:
        what = "its oscillation" if f.rise is not None else "its lowest point and its oscillation"
        said.append(
            f"{f.validation_lines} points are too few to tell of the validation curve {what}; "
            "evaluate at least 10 times in a run"
        )
    if f.slope is None:
        said.append(
            "the slope cannot be told: it takes a loss that has fallen, and 5 training lines in "
            f"the last {100 * TAIL:.0f} % of the run"
        )
    if f.fall < t.fall:
        said.append(
            f"the training loss has fallen by {100 * f.fall:.1f} % only: the learning rate is far "
            "too low or far too high, or the network is dead; change the rate by factors of 10 "
            "first"
        )
    if f.measure == "loss":
        said.append(
            "there is no accuracy: errors are losses as shares of the first training loss, so the "
            "beginning of a run must be logged"
        )
    return said


def _why_undecided(diagnosis: Diagnosis) -> str:
    name = diagnosis.deciding
    finding = diagnosis.findings.get(name)
    if Case.OSCILLATING in diagnosis.cases and (finding is None or not finding.open):
        return "it is unstable, which asks for a lower learning rate, but shows no overfitting"
    if finding is None:
        return "nothing but validation lines tells the two cases apart"
    if finding.value is None:
        return f"it depends on the {name}, which is unknown"
    return f"it depends on the {name}: {finding.value:.3g} is too close to {finding.threshold:.3g}"


def _cases(diagnosis: Diagnosis) -> str:
    return " and ".join(case.value for case in diagnosis.cases)


def _level(loss: float | None, accuracy: float | None) -> str:
    parts = [] if loss is None else [f"loss {loss:.4g}"]
    parts += [] if accuracy is None else [f"accuracy {100 * accuracy:.1f} %"]
    return ", ".join(parts) + " at the end" if parts else ""


def _start(features: Features) -> str:
    return "" if features.start_loss is None else f" (start loss {features.start_loss:.4g})"
