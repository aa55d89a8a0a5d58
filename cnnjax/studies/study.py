"""A study on the command line: from its plan to its table, its figure and its claims.

An experiment declares what is its own: the runs, what one run does, and how rows become a figure
and claims. Everything else is here, so that all studies are used alike: `--list`, `--only`,
`--smoke`, resuming, and the files in `--out`:

| file | what |
|---|---|
| `results.csv` | a row for each run |
| `curves.csv` | where runs measure something along the way: a row for each moment of each run |
| `figure.svg`, `figure.png` | drawn from these tables alone |
| `report.json` | the verdicts, the table on the terminal, the command, the seconds, the machine |
| `study.json`, `runs/` | whose folder it is, and what it needs to go on |
"""

import json
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from matplotlib.figure import Figure
from rich.console import Console

from cnnjax.command import Allowed, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.display import StudyProgress, claims_table, percent, table
from cnnjax.studies.figures import save_figure
from cnnjax.studies.folders import claim_folder, write_text
from cnnjax.studies.listing import plan_record, plan_table
from cnnjax.studies.machine import machine
from cnnjax.studies.plans import Plan
from cnnjax.studies.results import Cell, write_results
from cnnjax.studies.runs import Folder, Perform, Row
from cnnjax.studies.statistics import Claim
from cnnjax.training import limit_devices

SEED = Allowed("a whole number from 0 to 2^31 - 1", lambda n: 0 <= n < 2**31)


@dataclass(frozen=True)
class StudyConfig:
    """The flags that every study has; an experiment's own are added by inheritance."""

    seed: int = 0
    """Of everything random."""
    out: Path = Path("results/study")
    """Where results.csv, the figure and the runs go; the same command goes on there."""
    list: bool = False
    """Print the plan with its cost, and run nothing."""
    json: bool = False
    """With --list: print it as JSON, for a program that hands out the runs; see docs/cluster.md."""
    devices: Annotated[int | None, unset("INT", "all that divide a batch evenly")] = None
    """So many devices share each step of a training."""
    only: Annotated[str | None, unset("NAME", "all runs")] = None
    """Run this one run of the plan (see --list), for a scheduler that takes them one by one."""
    smoke: bool = False
    """A tiny plan that ends within a minute, to see that everything works."""


Config = TypeVar("Config", bound=StudyConfig)
Settings = TypeVar("Settings")


class Report(NamedTuple):
    """What the rows of a whole study come to.

    Attributes:
      figure: drawn from the rows alone.
      claims: with their verdicts.
      heading: of the table.
      columns: of the table.
      lines: of the table.
    """

    figure: Figure
    claims: Sequence[Claim]
    heading: str
    columns: Sequence[str]
    lines: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Study:
    """What is a study's own.

    Attributes:
      name: of the experiment, e.g. "dropout".
      config: what all its runs share, the fingerprint of the data included: two plans with the
        same config may share a folder.
      plan: the runs; `config["steps"]` of each is its length.
      perform: does one run.
      columns: of results.csv.
      report: (rows, rows of the curves) -> what they come to.
      curve_columns: of curves.csv, which is not written without them.
      examples_per_step: the batch size, or that of each run.
      derive: rows -> rows, to add columns that compare runs.
      brief: what the line of a finished run says, from its row.
      decided_by: what the claims are decided by.
    """

    name: str
    config: Mapping[str, object]
    plan: Plan
    perform: Perform
    columns: Sequence[str]
    report: Callable[[Sequence[Row], Sequence[Row]], Report]
    curve_columns: Sequence[str] = ()
    examples_per_step: int | Mapping[str, int] = 1
    derive: Callable[[Sequence[Row]], Sequence[Row]] = lambda rows: rows
    brief: Callable[[Row], str] = percent
    decided_by: str = "points, 95 % interval over the seeds"


def conduct(declare: Callable[[Config], Study], config: Config) -> None:
    """Lists the plan, or does what is missing of it and reports.

    Args:
      declare: config -> the study.
      config: the flags.

    Raises:
      CnnjaxError: a number that cannot be, an unknown run, a folder that cannot be used, or
        whatever ends a run.
    """
    check_numbers(config, seed=SEED)
    if config.json and not config.list:
        raise CnnjaxError("--json is a form of the list; give --list with it")
    with redirect_stdout(sys.stderr if config.json else sys.stdout):
        study = declare(config)
    folder, console = Folder(study.plan, config.out, study.perform), Console()
    if config.json:
        command = command_words(config, study.name, ("list", "json", "only"))
        print(json.dumps(plan_record(study.name, command, folder), indent=1))
        return
    if config.list:
        console.print(plan_table(folder))
        return
    if config.only is not None:
        study.plan.find(config.only)
    steps = {name: int(run.config["steps"]) for name, run in study.plan.runs.items()}
    progress = StudyProgress(
        study.plan, console, study.examples_per_step, steps, config.only, study.brief
    )
    with limit_devices(config.devices):
        claim_folder(config.out, study.name, study.config)
        with progress as folder.watcher:
            if config.only is not None:
                folder.execute_one(config.only)
            else:
                folder.execute()
    _report(study, config, folder, console)


def from_flags(settings: type[Settings], config: StudyConfig) -> Settings:
    """A dataclass of settings, each from the flag of its name: what all runs have in common."""
    return settings(**{field.name: getattr(config, field.name) for field in fields(settings)})


def smoke_folder(config: StudyConfig) -> Path:
    """Where the smoke form of a study goes, unless --out says so: beside the study's own folder.

    >>> smoke_folder(StudyConfig()).name, smoke_folder(StudyConfig(out=Path("here"))).name
    ('study-smoke', 'here')
    """
    usual = type(config).out
    return usual.with_name(f"{usual.name}-smoke") if config.out == usual else config.out


def command_line(config: StudyConfig, name: str) -> str:
    """The command that gives this study: the experiment, and the flags that are not as by default.

    >>> command_line(StudyConfig(seed=3, list=True), "dropout")
    'python experiments/dropout.py --seed 3'
    """
    return shlex.join(command_words(config, name, ("out", "list", "json", "only", "devices")))


def command_words(config: StudyConfig, name: str, without: Collection[str]) -> list[str]:
    """The words of that command, without the flags named."""
    words = ["python", f"experiments/{name}.py"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value == field.default or field.name in without:
            continue
        words.append(f"--{field.name.replace('_', '-')}")
        if isinstance(value, tuple):
            words += map(str, value)
        elif value is not True:
            words.append(str(value))
    return words


def _write_tables(study: Study, folder: Folder) -> tuple[Sequence[Row], Sequence[Row], list[Path]]:
    """Writes the tables of all runs that are finished.

    Other processes may be at work on other runs and write the tables as well. Each looks again
    when it has written, so that whichever is last has written all.

    Returns:
      The rows of both tables, and what was written.
    """
    files = [folder.root / "results.csv"]
    if study.curve_columns:
        files.append(folder.root / "curves.csv")
    while True:
        finished = folder.rows()
        rows, curves = study.derive(finished), folder.curves()
        write_results(files[0], rows, study.columns)
        if study.curve_columns:
            write_results(files[1], curves, study.curve_columns)
        if folder.rows() == finished:
            return rows, curves, files


def _report(study: Study, config: StudyConfig, folder: Folder, console: Console) -> None:
    """Writes the tables and, when the whole plan is done, draws and judges."""
    out = config.out
    rows, curves, written = _write_tables(study, folder)
    if len(rows) < len(study.plan):
        console.print(
            f"{len(rows)} of {len(study.plan)} runs are finished; the figure follows when all "
            f"are: run the same command without --only"
        )
        return
    report = study.report(rows, curves)
    written += save_figure(report.figure, out / "figure")
    content = {
        "study": study.name,
        "command": command_line(config, study.name),
        "runs": len(rows),
        "seconds": round(sum(float(row["seconds"]) for row in rows)),
        "machine": machine(),
        "claims": [claim._asdict() for claim in report.claims],
        "table": {
            "heading": report.heading,
            "columns": list(report.columns),
            "lines": [["" if cell is None else str(cell) for cell in x] for x in report.lines],
        },
    }
    write_text(out / "report.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    console.print(table(report.heading, report.columns, report.lines))
    console.print(claims_table(report.claims, study.decided_by))
    for path in written:
        console.print(str(path), highlight=False, soft_wrap=True)
