"""Diagnose a run from its learning curve.

Reads the metrics that a training has left, says which of the lecture's cases the curve is, on what
evidence, and the one change to make, and draws the curve.

  underfitting: still improving         raise the learning rate, or train for more epochs
  underfitting: too small a network     take a deeper (or wider) network
  overfitting                           regularise, or train on more data
  overfitting with oscillation          decrease the learning rate
  good                                  none

How far to trust it is measured in docs/diagnosis.md.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from diagnosis_figure import draw_run, save_png

from cnnjax.analysis.curves import Features, measure
from cnnjax.analysis.diagnosis import Diagnosis, default_target, diagnose
from cnnjax.analysis.evidence import evidence, headline, notes, suggestion
from cnnjax.analysis.recorded import read_run
from cnnjax.command import main
from cnnjax.errors import CnnjaxError


@dataclass(frozen=True)
class Config:
    """Diagnose a run from its learning curve."""

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of a training, or its metrics.jsonl."""
    target: float | None = None
    """The accuracy that can be reached on the task, e.g. 0.9 (where no accuracy was measured, the
    loss). Default: 1, as a large enough network fits its training examples (a loss of 0)."""
    out: Path | None = None
    """Where to draw the curve, a PNG. Default: diagnosis.png beside the metrics."""
    json: bool = False
    """Print the diagnosis as JSON."""


def run(config: Config) -> None:
    """Reads, diagnoses, draws and reports."""
    lines, damaged = read_run(config.run)
    features = measure(lines)
    diagnosis = diagnose(features, config.target)
    out = config.out or _beside(config.run)
    if out.suffix != ".png":
        raise CnnjaxError(f"--out {out} is no PNG; give a name that ends in .png")
    save_png(draw_run(lines, headline(diagnosis), _brief(features)), out)
    target = default_target(features) if config.target is None else config.target
    said = notes(features, diagnosis, damaged)
    if config.json:
        print(json.dumps(as_json(config.run, features, diagnosis, target, said, out), indent=1))
        return
    print(
        f"{config.run}: {features.steps} steps, {features.training_lines} training and "
        f"{features.validation_lines} validation lines\n"
    )
    print(f"diagnosis  {headline(diagnosis)}\nchange     {suggestion(diagnosis)}\n")
    for name, text in evidence(features, diagnosis, config.target).items():
        print(f"{name:<12} {text}")
    for note in said:
        print(f"note: {note}")
    print(f"\n{out}")


def as_json(
    run: Path,
    features: Features,
    diagnosis: Diagnosis,
    target: float,
    said: list[str],
    figure: Path,
) -> dict[str, object]:
    """All of it as JSON values; what is infinite or unknown is null."""
    return {
        "run": str(run),
        "case": diagnosis.case.value if diagnosis.case else "undecided",
        "cases": [case.value for case in diagnosis.cases],
        "change": suggestion(diagnosis),
        "deciding": diagnosis.deciding,
        "target": target,
        "features": {k: _finite(v) for k, v in asdict(features).items()},
        "findings": {
            name: {"value": _finite(f.value), "threshold": f.threshold, "holds": f.holds}
            for name, f in diagnosis.findings.items()
        },
        "notes": said,
        "figure": str(figure),
    }


def _beside(run: Path) -> Path:
    return (run if run.is_dir() else run.parent) / "diagnosis.png"


def _brief(features: Features) -> str:
    """The evidence that the picture itself does not print."""
    parts = []
    if features.gap is not None:
        unit = "points" if features.measure == "accuracy" else "% of the start loss"
        parts.append(f"gap {100 * features.gap:+.1f} {unit}")
    for name in ("slope", "rise", "oscillation"):
        if (value := getattr(features, name)) is not None:
            parts.append(f"{name} {100 * value:.1f} %")
    return ", ".join(parts)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main(Config, run, __doc__)
