"""Commands that end at published accuracies, and what they gave here.

    python scripts/recipes.py
    python scripts/recipes.py --keep runs/lenet5-mnist-seed0

docs/recipes.csv has the flags of scripts/train.py of each recipe, what to expect, and from where.
--keep takes the small files of a finished training into experiments/results/recipes, if it is
that of a recipe, whatever its seed. Either way docs/recipes.md is written from what is there.
"""

import csv
import json
import math
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import train
import tyro

from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "recipes.csv"
PAGE = ROOT / "docs" / "recipes.md"
RESULTS = ROOT / "experiments" / "results" / "recipes"
MARK, RESULT = "study.json", train.RESULT
KEPT = (MARK, RESULT, "metrics.jsonl", "confusion.csv")

HEAD = """# Recipes

Commands that end at a published accuracy, and what they gave here: test accuracy of the weights at
the end of the training, mean ± standard deviation over the seeds. Nothing is chosen by it: a tenth
of the training images is kept for validation, and the test images are looked at once. The seconds
are those of whole trainings, compilation and evaluations included, on a machine that did other
work besides.

This page is written by `python scripts/recipes.py` from `docs/recipes.csv` and the files in
`experiments/results/recipes`, which `--keep` takes from finished trainings.
"""


@dataclass(frozen=True)
class Config:
    """Write the page of the recipes."""

    keep: Path | None = None
    """The folder of a finished training, to keep its result."""
    results: Path = RESULTS
    """Where the results are kept."""
    page: Path = PAGE
    """Where the page goes."""


class Recipe(NamedTuple):
    """One command.

    Attributes:
      name: of the recipe.
      flags: of scripts/train.py.
      expected: test accuracy in percent, or nothing.
      source: of what is expected.
      remark: how it differs from its source.
    """

    name: str
    flags: str
    expected: str
    source: str
    remark: str

    def config(self) -> dict[str, object]:
        """What the flags mean, as a training notes it; without seed and folder."""
        read = tyro.cli(train.Config, args=self.flags.split())
        return _without_seed(json.loads(json.dumps(asdict(read), default=str)))


class Run(NamedTuple):
    """What one training gave.

    Attributes:
      seed: of the training.
      result: see scripts/train.py.
    """

    seed: int
    result: dict


def recipes() -> list[Recipe]:
    """The recipes, in order."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [Recipe(*(row[k] for k in ("recipe", *Recipe._fields[1:]))) for row in rows]


def recipe_of(noted: dict[str, object]) -> Recipe:
    """The recipe that a training followed, by what it has noted.

    Raises:
      CnnjaxError: none of them.
    """
    mine = _without_seed(noted)
    for recipe in recipes():
        if recipe.config() == mine:
            return recipe
    raise CnnjaxError(
        f"this training of {mine.get('network')} on {mine.get('dataset')} is none of the recipes; "
        f"give one that was run by a command of {PAGE.name}, from the folder of its data"
    )


def keep(run: Path, results: Path) -> Path:
    """Copies the small files of a finished training; returns where they are.

    Raises:
      CnnjaxError: it is not finished, or not that of a recipe.
    """
    if missing := [name for name in KEPT if not (run / name).is_file()]:
        raise CnnjaxError(
            f"{run} has no {', '.join(missing)}; give the folder of a finished training"
        )
    try:
        noted = json.loads((run / MARK).read_text())["config"]
        json.loads((run / RESULT).read_text())["test"]["accuracy"]
    except (ValueError, KeyError, TypeError):
        raise CnnjaxError(f"{run} is damaged; train once more, in another folder") from None
    place = results / f"{recipe_of(noted).name}-seed{noted['seed']}"
    place.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(run / name, place / name)
    return place


def kept(recipe: Recipe, results: Path) -> list[Run]:
    """What is kept of a recipe, by seed."""
    folders = results.glob(f"{recipe.name}-seed*")
    found = [
        Run(
            json.loads((folder / MARK).read_text())["config"]["seed"],
            json.loads((folder / RESULT).read_text()),
        )
        for folder in folders
    ]
    return sorted(found, key=lambda run: run.seed)


def page(results: Path) -> str:
    """The page in Markdown."""
    lines = [
        HEAD,
        "| recipe | expected | obtained | seeds | seconds each |",
        "|---|---:|---:|---:|---:|",
    ]
    sections = []
    for recipe in recipes():
        runs = kept(recipe, results)
        expected = f"{recipe.expected} %" if recipe.expected else ""
        cells = (obtained(runs), str(len(runs)), seconds(runs)) if runs else ("not run", "0", "")
        lines.append(f"| [{recipe.name}](#{recipe.name}) | {expected} | {' | '.join(cells)} |")
        sections += ["", *_section(recipe, runs)]
    return "\n".join([*lines, *sections, ""])


def _section(recipe: Recipe, runs: Sequence[Run]) -> list[str]:
    command = f"python scripts/train.py {recipe.flags} --seed 0 --out runs/{recipe.name}-seed0"
    lines = [f"## {recipe.name}", "", "```sh", command, "```", ""]
    if recipe.expected:
        lines += [f"Expected: {recipe.expected} % ({recipe.source}).", ""]
    if recipe.remark:
        lines += [recipe.remark, ""]
    if not runs:
        return [*lines, "It has not been run here."]
    found = ", ".join(f"{_percent(run):.2f} % (seed {run.seed})" for run in runs)
    first = runs[0].result
    machine = first["machine"]
    return [
        *lines,
        f"Obtained: {found}, after {first['steps']:,} steps on {first['training_images']:,} images;"
        f" {first['parameters']:,} parameters; {first['test_images']:,} test images."
        f" Machine: {machine['devices']} {machine['device']} device, {machine['cpu_cores']} cores,"
        f" jax {machine['jax']}.",
    ]


def obtained(runs: Sequence[Run]) -> str:
    """Mean and standard deviation of the test accuracy, in percent."""
    values = [_percent(run) for run in runs]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread} %"


def seconds(runs: Sequence[Run]) -> str:
    """The median of those that were not interrupted."""
    values = [run.result["seconds"] for run in runs if run.result["seconds"] is not None]
    return f"{math.ceil(statistics.median(values)):,}" if values else ""


def _percent(run: Run) -> float:
    return 100 * run.result["test"]["accuracy"]


def _without_seed(config: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in config.items() if k not in ("seed", "data", *train.NO_MATTER)}


def run(config: Config) -> None:
    """Keep, then write."""
    if config.keep is not None:
        print(keep(config.keep, config.results))
    write_text(config.page, page(config.results))
    print(config.page)


if __name__ == "__main__":
    main(Config, run, __doc__)
