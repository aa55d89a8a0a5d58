"""What became of the provoked runs: the report as JSON, and its tables in Markdown.

The report holds every curve, to four digits; all that the tables say is computed from it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from benchmark_report import Report, surroundings
from provoked_runs import BASES, PROVOKED, REMEDIES

from cnnjax.analysis.curves import measure
from cnnjax.analysis.diagnosis import Case, Diagnosis, Thresholds, diagnose
from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text
from cnnjax.training.lines import Line

COLUMNS = ("step", "loss", "accuracy", "validation_loss", "validation_accuracy")
CASES = (*PROVOKED.values(), None)  # of the confusion table; None is undecided

VIEWS: dict[str, Callable[[Sequence[Line]], list[Line]]] = {
    "all lines": list,
    "every third evaluation, every sixth training line": lambda lines: list(lines[5::6]),
    "one evaluation, after the last step": lambda lines: [
        *(_without(line, "validation_") for line in lines[:-1]),
        lines[-1],
    ],
    "no accuracy, as in a regression": lambda lines: [_without(line, "accuracy") for line in lines],
    "no validation": lambda lines: [_without(line, "validation_") for line in lines],
}
"""Less of the same runs: what a diagnosis becomes when there is less to go by."""


def build(runs: Iterable[tuple[Mapping[str, object], list[Line]]], load: float) -> Report:
    """The report of finished runs.

    Args:
      runs: the row of results and the lines of metrics of each.
      load: of the machine, before.
    """
    stored = [
        {
            "run": row["run"],
            "base": row["base"],
            "variant": row["variant"],
            "seed": row["seed"],
            "lines": [_stored(line) for line in lines],
        }
        for row, lines in runs
    ]
    bases = {run["base"] for run in stored}
    return surroundings(load) | {
        "thresholds": asdict(Thresholds()),
        "bases": {name: asdict(base) for name, base in BASES.items() if name in bases},
        "columns": list(COLUMNS),
        "runs": stored,
    }


def write_report(path: Path, report: Report) -> None:
    """A run is one line of the file."""
    head = {name: value for name, value in report.items() if name != "runs"}
    runs = ",\n".join(json.dumps(run, separators=(",", ":")) for run in report["runs"])
    text = json.dumps(head, indent=1).removesuffix("\n}") + f',\n "runs": [\n{runs}\n]\n}}\n'
    write_text(path, text)


def read_report(path: Path) -> Report:
    """A report that `write_report` wrote.

    Raises:
      CnnjaxError: there is none.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CnnjaxError(
            f"{path} is no report of provoked runs ({error}); write it anew"
        ) from None


def lines_of(run: Mapping[str, object]) -> list[Line]:
    """The lines of metrics of a stored run."""
    return [
        {name: value for name, value in zip(COLUMNS, row, strict=False) if value is not None}
        for row in run["lines"]
    ]


def diagnosed(run: Mapping[str, object], view: str = "all lines") -> Diagnosis:
    """The diagnosis of a stored run, seen in one of the VIEWS."""
    return diagnose(measure(VIEWS[view](lines_of(run))))


def confusion(report: Report, held_out: bool, view: str = "all lines") -> Counter:
    """{(provoked variant, diagnosed case or None): runs}, of one half of the bases."""
    return Counter((run["variant"], diagnosed(run, view).case) for run in _half(report, held_out))


def section(report: Report) -> str:
    """The tables, as Markdown."""
    halves = [(False, "Bases used to choose the thresholds"), (True, "Bases held out")]
    halves = [(held, title) for held, title in halves if _half(report, held)]
    parts = [f"### {title}\n\n{_confusion_table(report, held)}" for held, title in halves]
    parts += [
        "### With less to go by\n\n" + _views_table(report, [held for held, _ in halves]),
        "### What the suggested change is worth\n\n" + _remedies_table(report),
        "### The bases\n\n" + _bases_table(report),
        "### The thresholds\n\n" + _thresholds_table(report),
        _conditions(report),
    ]
    return "\n\n".join(parts)


def _confusion_table(report: Report, held_out: bool) -> str:
    counts, undecided = confusion(report, held_out), _named_when_undecided(report, held_out)
    rows = []
    for variant, case in PROVOKED.items():
        cells = [str(counts[variant, found] or "") for found in CASES]
        if total := sum(counts[variant, found] for found in (*CASES, Case.DIVERGED)):
            rows.append((f"{case.value} (`{variant}`)", *cells, str(total)))
    total = sum(counts.values())
    right = sum(counts[variant, case] for variant, case in PROVOKED.items())
    unsure = sum(number for (_, case), number in counts.items() if case is None)
    wrong = total - right - unsure
    titles = [case.value if case else "undecided" for case in CASES]
    summary = f"{right} of {total} as provoked, {unsure} undecided"
    summary += f" ({undecided} of them name the provoked case first or second)" if unsure else ""
    decided = f"{100 * right / max(total - unsure, 1):.0f} % of the decided ones are right"
    table = _table(("provoked \\ diagnosed", *titles, "runs"), rows)
    return f"{table}\n\n{summary}, {wrong} wrong: {decided}."


def _views_table(report: Report, halves: Sequence[bool]) -> str:
    rows = []
    for view in VIEWS:
        cells = []
        for held in halves:
            counts = confusion(report, held, view)
            right = sum(counts[variant, case] for variant, case in PROVOKED.items())
            unsure = sum(number for (_, case), number in counts.items() if case is None)
            cells += [str(right), str(unsure), str(sum(counts.values()) - right - unsure)]
        rows.append((view, *cells))
    kinds = [("held out" if held else "choosing", kind) for held in halves for kind in _KINDS]
    return _table(("the same runs with", *(f"{half}: {kind}" for half, kind in kinds)), rows)


_KINDS = ("as provoked", "undecided", "wrong")


def _remedies_table(report: Report) -> str:
    ends = {
        (run["base"], run["variant"], run["seed"]): measure(lines_of(run)).validation_accuracy
        for run in report["runs"]
    }
    rows = []
    for variant, remedy in REMEDIES.items():
        gains = [
            100 * (ends[base, remedy, seed] - end)
            for (base, of, seed), end in ends.items()
            if of == variant and (base, remedy, seed) in ends
        ]
        if gains:
            better = sum(gain > 0 for gain in gains)
            cells = (f"{mean(gains):+.1f}", f"{min(gains):+.1f}", f"{better} of {len(gains)}")
            rows.append((PROVOKED[variant].value, PROVOKED[variant].change, *cells))
    heads = ("case", "change", "mean gain (points)", "least", "runs that gain")
    return (
        "Validation accuracy at the end of the run with the change made, same seed: of the base; "
        "after `few`, that means all images, with their right labels; after `unstable`, as few "
        "images and no jump.\n\n" + _table(heads, rows)
    )


def _bases_table(report: Report) -> str:
    rows = []
    for name, base in report["bases"].items():
        side = base["image_size"]
        schedule = "cosine" if base["cosine"] else "constant"
        rows.append(
            (
                f"{name}{' (held out)' if base['held_out'] else ''}",
                f"{base['dataset']}, {side} x {side}",
                _network(base["network"], base["options"]),
                f"{base['optimizer']} {base['rate']:g}, {schedule}, {base['steps']} steps",
                f"rate / {base['slower']:g}",
                f"{_network(*base['small'])}, {base['longer']} x as long",
                f"{base['few']} a class, {100 * base['noise']:.0f} % random labels",
                f"rate x {base['jump']:g}",
            )
        )
    return _table(("base", "data", "network", "training", *_SPOILED), rows)


def _network(name: str, options: Sequence[tuple[str, object]]) -> str:
    parts = []
    for key, value in options:
        listed = value if isinstance(value, list | tuple) else [value]
        parts.append(f"{key} {'-'.join(map(str, listed))}")
    return name + (f" ({', '.join(parts)})" if parts else "")


_SPOILED = ("`slow`", "`small`", "`few`, `unstable`", "`unstable`, from half on")


def _thresholds_table(report: Report) -> str:
    return _table(
        ("threshold", "value"), [(name, f"{v:g}") for name, v in report["thresholds"].items()]
    )


def _conditions(report: Report) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    seeds = len({run["seed"] for run in report["runs"]})
    machine = report["machine"]
    return f"{len(report['runs'])} runs, {seeds} seeds. {machine['processor']}, {versions}."


def _named_when_undecided(report: Report, held_out: bool) -> int:
    found = [(run["variant"], diagnosed(run)) for run in _half(report, held_out)]
    return sum(d.case is None and PROVOKED[variant] in d.cases for variant, d in found)


def _half(report: Report, held_out: bool) -> list[dict]:
    return [r for r in report["runs"] if report["bases"][r["base"]]["held_out"] == held_out]


def _without(line: Line, part: str) -> Line:
    return {name: value for name, value in line.items() if part not in name}


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _stored(line: Line) -> list[float | None]:
    """To four digits, without what is missing at the end."""
    values = [None if name not in line else float(f"{line[name]:.4g}") for name in COLUMNS]
    while values[-1] is None:
        values.pop()
    return [int(values[0]), *values[1:]]
