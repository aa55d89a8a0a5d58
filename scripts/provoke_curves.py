"""Provoke every case of the learning curve in real short trainings, and see what is diagnosed.

Trains the runs of `provoked_runs.py` (a few minutes on two cores; stopped, the same command goes
on), diagnoses each and prints the confusion between provoked and diagnosed cases. What the
documents say is written by

  python scripts/provoke_curves.py --docs docs
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from benchmark_report import write_section
from diagnosis_figure import draw_examples, save_png
from diagnosis_report import build, lines_of, section, write_report
from provoked_runs import BASES, PROVOKED, Base, make_plan, perform
from rich.console import Console
from tyro.conf import arg

from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.studies.display import StudyProgress
from cnnjax.studies.folders import claim_folder
from cnnjax.studies.runs import Folder
from cnnjax.training.lines import read_lines

EXAMPLES = "A"  # the base of the picture


@dataclass(frozen=True)
class Config:
    bases: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = tuple(BASES)
    """The trainings to spoil."""
    seeds: int = 4
    """Repetitions of each run."""
    out: Path = Path("results/diagnosis")
    """Where the runs go."""
    docs: Path | None = None
    """A folder whose diagnosis.json, diagnosis.png and section of diagnosis.md are written anew."""
    smoke: bool = False
    """Trainings of a few steps on one base, to see that everything works."""


def run(config: Config) -> None:
    """Trains what is missing, and reports."""
    bases = _chosen(config)
    if config.seeds < 1:
        raise CnnjaxError(f"--seeds is {config.seeds}; give at least 1")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    claim_folder(config.out, "diagnosis", {"smoke": config.smoke})
    plan = make_plan(bases, config.seeds)
    folder = Folder(plan, config.out, perform)
    steps = {name: one.config["steps"] for name, one in plan.runs.items()}
    console = Console()
    batch_size = next(iter(bases.values())).batch_size
    with StudyProgress(plan, console, batch_size, steps) as watcher:
        folder.watcher = watcher
        rows = folder.execute()
    runs = [(row, read_lines(config.out / "runs" / str(row["run"]))) for row in rows]
    report = build(runs, load)
    console.print(section(report), markup=False, highlight=False, soft_wrap=True)
    if config.docs is None:
        return
    examples = {
        one["variant"]: lines_of(one)
        for one in report["runs"]
        if one["seed"] == 0 and one["base"] == (EXAMPLES if EXAMPLES in bases else min(bases))
    }
    titles = {case.value.replace(": ", ":\n"): examples[name] for name, case in PROVOKED.items()}
    save_png(draw_examples(titles), config.docs / "diagnosis.png", dpi=90)
    write_report(config.docs / "diagnosis.json", report)
    write_section(config.docs / "diagnosis.md", "diagnosis", section(report))


def _chosen(config: Config) -> dict[str, Base]:
    if unknown := sorted(set(config.bases) - set(BASES)):
        raise CnnjaxError(f"there is no base {unknown[0]!r}; the bases are {', '.join(BASES)}")
    if config.smoke:
        return {EXAMPLES: replace(BASES[EXAMPLES], steps=60)}
    return {name: base for name, base in BASES.items() if name in config.bases}


if __name__ == "__main__":
    main(Config, run, __doc__, resumes=True)
