"""The studies: what each asks, its figure, and what became of the claims it tests.

    python scripts/studies.py

Writes docs/studies.md from the committed results: every folder of experiments/results that has a
report.json, as an experiment leaves it with --out. Several folders may belong to one study, e.g.
on other data.
"""

import ast
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "experiments"
RESULTS = EXPERIMENTS / "results"
PAGE = ROOT / "docs" / "studies.md"
REPORT, FIGURE, TABLES = "report.json", "figure.png", ("results.csv", "curves.csv")
VERDICTS = ("supported", "contradicted", "undecided")
CLAIM_KEYS = ("statement", "verdict", "numbers")

HEAD = """# Studies

What the papers and the lectures claim, tried out: one command each, from the data to the figure
and the verdicts. A claim is supported or contradicted where the whole 95 % interval of the
difference, paired over seeds or repetitions, lies on one side of what it says, and undecided
otherwise. Protocols, deviations from the papers and sources are at the head of each script, as
`--help` prints them. The time is that of all runs together.

This page is written by `python scripts/studies.py` from the files in `experiments/results`.
"""


@dataclass(frozen=True)
class Config:
    """Write the page of the studies."""

    results: Path = RESULTS
    """Where the results of the studies are."""
    page: Path = PAGE
    """Where the page goes."""


class Result(NamedTuple):
    """The results of one command.

    Attributes:
      folder: where they are.
      report: its report.json, see `cnnjax.studies.study`.
    """

    folder: Path
    report: dict

    @property
    def study(self) -> str:
        """The name of the experiment."""
        return self.report["study"]

    @property
    def claims(self) -> list[dict[str, str]]:
        """With statement, verdict and numbers."""
        return self.report["claims"]


def results(root: Path) -> list[Result]:
    """All results by study, its own folder first.

    Raises:
      CnnjaxError: a report is damaged, or a folder has no figure.
    """
    found = []
    for path in root.glob(f"*/{REPORT}"):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            _check_form(report)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise CnnjaxError(f"{path} is damaged; run its study once more") from None
        if missing := [n for n in (FIGURE, TABLES[0]) if not (path.parent / n).is_file()]:
            raise CnnjaxError(f"{path.parent} has no {missing[0]}; run its study once more")
        found.append(Result(path.parent, report))
    return sorted(found, key=lambda r: (r.study, r.folder.name != r.study, r.folder.name))


def _check_form(report: dict) -> None:
    """Raises one of several errors where a report has another form than studies write."""
    table, machine = report["table"], report["machine"]
    texts = [report["command"], table["heading"], machine["device"], machine["jax"]]
    texts += [claim[name] for claim in report["claims"] for name in CLAIM_KEYS]
    texts += [cell for line in (table["columns"], *table["lines"]) for cell in line]
    numbers = [report["runs"], report["seconds"], machine["devices"], machine["cpu_cores"]]
    if not (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) and 0 <= number < 2**53 for number in numbers)
        and report["study"].isidentifier()  # it names a file
    ):
        raise ValueError


def question(study: str) -> str:
    """The first paragraph of the experiment's docstring, in one line.

    Raises:
      CnnjaxError: there is no such experiment, or it says nothing.
    """
    path = EXPERIMENTS / f"{study}.py"
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CnnjaxError(
            f"there is no experiment {path.name}; remove the results of {study!r}, or restore it"
        ) from None
    if not docstring:
        raise CnnjaxError(f"{path.name} has no docstring; its first line is the question it asks")
    return " ".join(docstring.split("\n\n")[0].split())


def page(root: Path, place: Path) -> str:
    """The page in Markdown.

    Args:
      root: where the results are.
      place: of the page, which its links are relative to.
    """
    found = results(root)
    lines = [
        HEAD,
        f"| study | asks | {' | '.join(VERDICTS)} | runs | time |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    sections = []
    for study in dict.fromkeys(result.study for result in found):
        own = [result for result in found if result.study == study]
        verdicts = Counter(claim["verdict"] for result in own for claim in result.claims)
        cells = [f"[{study}](#{study})", question(study)]
        cells += [str(verdicts[verdict]) for verdict in VERDICTS]
        cells += [str(sum(result.report["runs"] for result in own))]
        cells += [duration(sum(result.report["seconds"] for result in own))]
        lines.append(row(cells))
        sections += ["", f"## {study}", "", question(study)]
        for result in own:
            sections += ["", *section(result, place, alone=len(own) == 1)]
    return "\n".join([*lines, *sections, ""])


def section(result: Result, place: Path, *, alone: bool) -> list[str]:
    """The lines on one folder: figure, verdicts, table, command, time; under a title of its own
    unless it is the study's only one."""
    report, link = result.report, Links(result.folder, place)
    lines = [] if alone else [f"### {result.folder.name}", ""]
    lines += ["```sh", report["command"], "```", ""]
    lines += [f"![{result.folder.name}]({link.to(FIGURE)})", ""]
    lines += ["| claim | verdict | decided by |", "|---|---|---|"]
    lines += [row((c["statement"], f"**{c['verdict']}**", c["numbers"])) for c in result.claims]
    table = report["table"]
    columns = table["columns"]
    lines += ["", f"{table['heading']}:", "", row(columns)]
    lines += ["|".join(["", "---", *["---:"] * (len(columns) - 1), ""])]
    lines += [row(line) for line in table["lines"]]
    tables = [f"[{n}]({link.to(n)})" for n in TABLES if (result.folder / n).is_file()]
    return [
        *lines,
        "",
        f"{report['runs']} runs, {duration(report['seconds'])}, on {machine(report['machine'])}. "
        f"Every run: {', '.join(tables)}.",
    ]


class Links(NamedTuple):
    """From the page to the files of a folder."""

    folder: Path
    place: Path

    def to(self, name: str) -> str:
        """The address of that file, relative to the page."""
        path = os.path.relpath(self.folder / name, self.place.parent)
        return Path(path).as_posix()


def row(cells: Iterable[str]) -> str:
    """A row of a table.

    >>> row(["mean |t2|", ""])
    '| mean \\\\|t2\\\\| |  |'
    """
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def duration(seconds: float) -> str:
    """As one says it.

    >>> duration(48), duration(245), duration(7260)
    ('48 s', '4 min 5 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def machine(found: dict[str, object]) -> str:
    """Where it ran."""
    device = f"{found['devices']} {found['device']} device{'s' if found['devices'] != 1 else ''}"
    return f"{device}, {found['cpu_cores']} cores, jax {found['jax']}"


def run(config: Config) -> None:
    """Write."""
    write_text(config.page, page(config.results, config.page))
    print(config.page)


if __name__ == "__main__":
    main(Config, run, __doc__)
