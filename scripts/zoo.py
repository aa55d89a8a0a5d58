"""The table of the zoo: every registered network, its paper, what it is made of, what it reaches.

    python scripts/zoo.py

Counts parameters, multiply-adds and stages of every registered network from its trace (no weight is
allocated; some minutes), takes papers and published accuracies from docs/zoo.csv, and writes
docs/zoo.md and the table of families in README.md.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
from rich.progress import track

import cnnjax
from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.models import list_models
from cnnjax.models.trace import count, trace
from cnnjax.studies.folders import write_text

ROOT = Path(__file__).parents[1]
FACTS = ROOT / "docs" / "zoo.csv"
PAGE = ROOT / "docs" / "zoo.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- made by scripts/zoo.py -->", "<!-- end -->"

HEAD = f"""# The zoo

Every registered network as `cnnjax.create(name)` makes it, for images of the size that its paper
gives it. Multiply-adds are those of convolutions and matrix products in one image's forward pass.
GoogLeNet and Inception v3 are counted with the auxiliary heads that they have in training.
Accuracies are published ones, of single crops where the source says so, and not our own: those
that were reached here are in [recipes.md](recipes.md). Every count is tested against its source
in `tests/tables/parameters.csv`.

This page is written by `python scripts/zoo.py` from `docs/zoo.csv` and the networks themselves;
`python scripts/ledger.py NAME` counts one of them stage by stage.

{BEGIN}
{END}
"""


@dataclass(frozen=True)
class Config:
    """Write the tables of the zoo."""

    page: Path = PAGE
    """Where the whole table goes."""
    readme: Path = README
    """Where the table of families goes, between its two marks."""


class Entry(NamedTuple):
    """One network.

    Attributes:
      network: its registered name.
      family: it belongs to.
      paper: it is from.
      top1: published accuracy in percent, or nothing.
      data: it was measured on.
      source: of that accuracy.
      image: (height, width, channels) that the counts are for.
      parameters: learned numbers.
      multiply_adds: of one image's forward pass.
      stages: how many there are.
    """

    network: str
    family: str
    paper: str
    top1: str
    data: str
    source: str
    image: tuple[int, int, int]
    parameters: int
    multiply_adds: int
    stages: int


def facts(path: Path = FACTS) -> dict[str, dict[str, str]]:
    """The rows of the list of facts by network, in order.

    Raises:
      CnnjaxError: a registered network has no row, or a row no network.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    if missing := sorted(set(list_models()) - set(rows)):
        raise CnnjaxError(f"{path.name} has no row for {', '.join(missing)}; add network and paper")
    if unknown := sorted(set(rows) - set(list_models())):
        raise CnnjaxError(f"{path.name}: there is no network {', '.join(unknown)}; mend the list")
    return rows


def entry(row: dict[str, str]) -> Entry:
    """Counts one network."""
    network = cnnjax.create(row["network"])
    stages = trace(network, network.image)
    parameters = [jax.tree.leaves(stage.variables.get("params", {})) for stage in stages]
    return Entry(
        **row,
        image=network.image,
        parameters=sum(leaf.size for leaves in parameters for leaf in leaves),
        multiply_adds=sum(count(stage.jaxpr) for stage in stages),
        stages=len(stages),
    )


def table(entries: Sequence[Entry]) -> str:
    """One row a network."""
    lines = [
        "| network | paper | image | parameters | multiply-adds | published top-1 | stages |",
        "|---|---|---|---:|---:|---|---:|",
    ]
    for e in entries:
        reached = f"{e.top1} % on {e.data} ({e.source})" if e.top1 else ""
        size = "×".join(map(str, e.image))
        lines.append(
            f"| `{e.network}` | {e.paper} | {size} | {e.parameters:,} "
            f"| {large(e.multiply_adds)} | {reached} | {e.stages} |"
        )
    return "\n".join(lines)


def families(entries: Sequence[Entry]) -> str:
    """One row a family."""
    lines = [
        "| family | networks | parameters | multiply-adds | published top-1 | stages |",
        "|---|---|---:|---:|---|---:|",
    ]
    for family in dict.fromkeys(e.family for e in entries):
        own = [e for e in entries if e.family == family]
        names = " ".join(f"`{e.network}`" for e in own)
        reached = []
        for data in dict.fromkeys(e.data for e in own if e.top1):
            sorted_ones = sorted((e.top1 for e in own if e.data == data), key=float)
            ends = dict.fromkeys((sorted_ones[0], sorted_ones[-1]))
            reached.append(f"{' to '.join(ends)} % on {data}")
        lines.append(
            f"| {family} | {names} | {span(own, lambda e: e.parameters, large)} "
            f"| {span(own, lambda e: e.multiply_adds, large)} | {', '.join(reached)} "
            f"| {span(own, lambda e: e.stages, str)} |"
        )
    return "\n".join(lines)


def span(
    entries: Sequence[Entry], quantity: Callable[[Entry], int], show: Callable[[int], str]
) -> str:
    """The smallest and the largest of a quantity."""
    values = [quantity(e) for e in entries]
    return " to ".join(dict.fromkeys((show(min(values)), show(max(values)))))


def large(number: float) -> str:
    """A count in three digits.

    >>> large(850), large(61_706), large(999_999), large(4_089_184_256)
    ('850', '61.7 k', '1 M', '4.09 G')
    """
    units = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    unit, size = next((pair for pair in units if number >= 0.9995 * pair[1]), ("", 1))
    return f"{number / size:.3g} {unit}".strip()


def between_marks(text: str, inside: str, name: str) -> str:
    """`text` with what stands between the marks replaced.

    Raises:
      CnnjaxError: the marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CnnjaxError(f"{name} has no place for the table; add the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{inside}\n{END}{after}"


def run(config: Config) -> None:
    """Count and write."""
    try:
        readme = config.readme.read_text(encoding="utf-8")
    except OSError as error:
        raise CnnjaxError(f"cannot read {config.readme}: {error.strerror}; give a file") from None
    between_marks(readme, "", config.readme.name)  # before minutes of counting
    rows = facts().values()
    entries = [entry(row) for row in track(rows, description="counting", transient=True)]
    write_text(config.page, between_marks(HEAD, table(entries), config.page.name))
    write_text(config.readme, between_marks(readme, families(entries), config.readme.name))
    print(f"{len(entries)} networks, {config.page}, {config.readme}")


if __name__ == "__main__":
    main(Config, run, __doc__)
