"""Every formula and figure of the lectures, with the function and the tests that carry it.

docs/lectures.csv is the list. This command checks that each function and each test it names is
there, and writes docs/lectures.md. With --run it runs the tests instead.

    python scripts/lectures.py
    python scripts/lectures.py --run --lecture 4
"""

import ast
import csv
import dataclasses
import importlib
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from cnnjax.command import main
from cnnjax.errors import CnnjaxError

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "lectures.csv"
PAGE = ROOT / "docs" / "lectures.md"

LECTURES = {
    1: "CNN, quick recap, and transfer learning",
    2: "Introduction to CNNs; LeNet and transfer learning; augmentation in Keras",
    3: "Convolutional neural network and transfer learning (lecture 12-13)",
    4: "CNN training and applications (lecture 14)",
    5: "Convolutional neural network, part 2 (lecture 8)",
}

HEAD = """# The lectures, formula by formula

Every formula and every figure of the five lectures, in the order of the slides, with the function
that computes it and the test that holds it to the slide, to an independent implementation, or to
both. {carried} are carried, {coming} wait for a study or a network that is not built yet, {named}
are only named in the lectures and out of scope. Where a slide is wrong, what is right is
implemented, and the last column says what the slide prints.

This page is written by `python scripts/lectures.py` from `docs/lectures.csv`;
`python scripts/lectures.py --run` runs the tests that it names, `--lecture 4` those of one lecture.
"""


class Row(NamedTuple):
    """One formula or figure.

    Attributes:
      lecture: 1 ... 5.
      slide: its title.
      what: the formula or figure.
      state: "carried", "to come" or "named".
      functions: where it is computed: dotted names, or files of the project.
      tests: `path::name` of each test.
      remark: what the slide gets wrong, or why it is not carried.
    """

    lecture: int
    slide: str
    what: str
    state: str
    functions: tuple[str, ...]
    tests: tuple[str, ...]
    remark: str


@dataclasses.dataclass(frozen=True)
class Config:
    """Write the page of the lectures, or run the tests it names."""

    lecture: Literal[1, 2, 3, 4, 5] | None = None
    """With --run, only the tests of this lecture."""
    run: bool = False
    """Run the tests; the page stays as it is."""
    out: Path = PAGE
    """Where to write the page."""


def read(path: Path = TABLE) -> list[Row]:
    """The rows of the list, in order; raises CnnjaxError for one that names what is not there."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            Row(
                int(row["lecture"]),
                row["slide"],
                row["what"],
                row["state"],
                tuple(row["functions"].split()),
                tuple(row["tests"].split()),
                row["remark"],
            )
            for row in csv.DictReader(file)
        ]
    for row in rows:
        _check(row)
    return rows


def _check(row: Row) -> None:
    place = f"{TABLE.name}, lecture {row.lecture}, {row.slide!r}"
    if row.state not in ("carried", "to come", "named"):
        raise CnnjaxError(f"{place}: state {row.state!r}; write carried, to come or named")
    if (row.state == "carried") != bool(row.functions and row.tests):
        raise CnnjaxError(f"{place}: what is carried, and only that, names a function and a test")
    if row.state != "carried" and not row.remark:
        raise CnnjaxError(f"{place}: what is not carried says why in its remark")
    for name in row.functions:
        source(name)
    for test in row.tests:
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file() or name not in _functions(ROOT / path):
            raise CnnjaxError(f"{place}: there is no test {test}; mend the list")


@cache
def _functions(path: Path) -> frozenset[str]:
    return frozenset(
        node.name for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "name")
    )


@cache
def source(name: str) -> str:
    """The file of a function, class or constant given by its dotted name, or of a file itself,
    relative to the project; raises CnnjaxError where there is none."""
    if "/" in name and (ROOT / name).is_file():
        return name
    module, _, attribute = name.rpartition(".")
    try:
        thing = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise CnnjaxError(f"{TABLE.name}: there is no {name}; mend the list") from None
    made_in = str(getattr(thing, "__module__", module))
    file = importlib.import_module(made_in if made_in.startswith("cnnjax") else module).__file__
    return Path(str(file)).relative_to(ROOT).as_posix()


def page(rows: list[Row]) -> str:
    """The page in Markdown."""
    count = {state: sum(row.state == state for row in rows) for state in ("carried", "to come")}
    named = len(rows) - sum(count.values())
    lines = [HEAD.format(carried=count["carried"], coming=count["to come"], named=named)]
    for number, title in LECTURES.items():
        of_lecture = [row for row in rows if row.lecture == number and row.state == "carried"]
        lines += [f"## Lecture {number}: {title}", ""]
        lines += [
            "| slide | formula or figure | function | test | remark |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.slide} | {row.what} | {' '.join(map(_function, row.functions))} "
            f"| {' '.join(map(_test, row.tests))} | {row.remark} |"
            for row in of_lecture
        ]
        lines.append("")
    for state, title in (("to come", "To come"), ("named", "Only named in the lectures")):
        lines += [
            f"## {title}",
            "",
            "| lecture | slide | formula or figure | remark |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row.lecture} | {row.slide} | {row.what} | {row.remark} |"
            for row in rows
            if row.state == state
        ]
        lines.append("")
    return "\n".join(lines)


def _function(name: str) -> str:
    short = name if "/" in name else name.removeprefix("cnnjax.")
    return f"[`{short}`](../{source(name)})"


def _test(test: str) -> str:
    path, _, name = test.partition("::")
    words = name.removeprefix("test_").replace("_", " ")
    return f"[{words}](../{path})"


def run(config: Config) -> None:
    """Check, then write or run."""
    rows = read()
    if config.run:
        if find_spec("pytest") is None:
            raise CnnjaxError("the tests need pytest; pip install -e '.[test]'")
        chosen = (row for row in rows if config.lecture in (None, row.lecture))
        tests = dict.fromkeys(test for row in chosen for test in row.tests)
        sys.exit(subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT).returncode)
    temporary = config.out.with_name(f".{config.out.name}")
    temporary.write_text(page(rows), encoding="utf-8")
    temporary.replace(config.out)
    print(f"{len(rows)} formulas and figures, {config.out}")


if __name__ == "__main__":
    main(Config, run, __doc__)
