"""How transferable are features in deep neural networks?

Yosinski, Clune, Bengio, Lipson 2014 (arXiv 1411.1792). Deal the classes of a data set into halves
A and B. Train a network on each (baseA, baseB). Copy the first n layers into a new network, put
fresh layers on top, train on B, and compare with baseB:

  BnB     copied from baseB and frozen: does the cut break layers that are co-adapted?

  AnB     copied from baseA and frozen: how specific to A are the first n layers?

  BnB+    as BnB, but the copied layers learn too

  AnB+    as AnB, but the copied layers learn too: is the transfer still felt?

  random  the first n layers fresh and frozen: the floor

  base2x  baseB trained for the doubled budget, which is what AnB+ and BnB+ have had in all

Every arm has the same target classes, the same fresh layers and the same order of examples, so
that differences are paired. Accuracy is the one after the last step, on the target's test images;
nothing is selected on them. Against the paper: SGD with momentum runs a cosine schedule of a few
hundred steps instead of 450,000; images are not cropped or mirrored; the head has as many outputs
as the half has classes. The paper has no base2x, and measured AnB+ and BnB+ on different halves.

By default: 3 random splits of the embedded glyphs, a few minutes on two CPU cores. To expect:
frozen transfer falls with n, random layers collapse, fine-tuning heals.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from transferability_protocol import Protocol, Recipe
from transferability_report import COLUMNS, draw, judge, summarise, with_changes

from cnnjax import command
from cnnjax.errors import CnnjaxError
from cnnjax.studies.display import StudyProgress, claims_table, table
from cnnjax.studies.figures import save_figure
from cnnjax.studies.folders import claim_folder
from cnnjax.studies.results import write_results
from cnnjax.studies.runs import Folder, Row
from cnnjax.transfer.treatments import TREATMENTS, Treatment

STUDY = "transferability"


@dataclass(frozen=True)
class Config:
    dataset: str = "glyphs"
    """glyphs, glyphs/latin, digits, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: int | None = None
    """Bring the images to this side in pixels; by default they stay as they are."""
    network: str = "alexnet_small"
    """A registered network; n counts its stages."""
    split: str = "random"
    """How the classes are halved: random, GROUP-vs-others (latin-vs-others: A is that alphabet),
    or file:PATH, a JSON file {"A": [names], "B": [names]}."""
    splits: int = 3
    """Repetitions: each with a random split, fresh layers and an order of examples of its own."""
    both_directions: bool = False
    """Transfer from B to A as well."""
    layers: str | None = None
    """The values of n, e.g. 1-7 or 1,4,7; by default every possible one."""
    treatments: tuple[Treatment, ...] = TREATMENTS
    """The arms to run; the bases they need are always there."""
    images_per_class: int | None = None
    """Train on so many images of each class only, drawn at random."""
    steps: int | None = None
    """Length of every training in steps (base2x: twice that). 450 if neither is given."""
    epochs: float | None = None
    """Length of every training in epochs, instead of steps."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.02
    """The highest; it rises linearly at first and falls along a cosine."""
    weight_decay: float = 5e-4
    """On kernels, as in the paper."""
    warmup: float = 0.1
    """The part of the training over which the learning rate rises."""
    seed: int = 0
    """Of everything random."""
    out: Path = Path("results/transferability")
    """Where results.csv, the figure and the runs go; the same command goes on there."""
    list: bool = False
    """Print the plan with its cost, and run nothing."""
    only: str | None = None
    """Run this one run of the plan (see --list), for a scheduler that takes them one by one."""
    smoke: Annotated[bool, tyro.conf.arg(name="smoke")] = False
    """A tiny plan that ends within seconds, to see that everything works."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    if config.smoke:
        config = shrink(config)
    if config.steps is None and config.epochs is None:
        config = replace(config, steps=450)
    console = Console()
    recipe = Recipe(**{name: getattr(config, name) for name in Recipe.__dataclass_fields__})
    protocol = Protocol(
        recipe,
        config.splits,
        config.both_directions,
        parse_layers(config.layers),
        config.treatments,
    )
    folder = Folder(protocol.plan, config.out, protocol.perform)
    if config.list:
        console.print(plan_table(protocol, folder))
        return
    if config.only is not None:
        protocol.plan.find(config.only)
    claim_folder(config.out, STUDY, asdict(recipe) | {"data": protocol.fingerprint})
    steps = {name: protocol.steps(one) for name, one in protocol.plan.runs.items()}
    with StudyProgress(protocol.plan, console, config.batch_size, steps) as watcher:
        folder.watcher = watcher
        if config.only is not None:
            folder.execute_one(config.only)
        else:
            folder.execute()
    report(config, protocol, folder.rows(), console)


def report(config: Config, protocol: Protocol, rows: list[Row], console: Console) -> None:
    """Writes the table of results and, when the whole plan is done, draws and judges."""
    rows = with_changes(rows)
    write_results(config.out / "results.csv", rows, COLUMNS)
    if len(rows) < len(protocol.plan):
        console.print(
            f"{len(rows)} of {len(protocol.plan)} runs are finished; the figure follows when all "
            f"are: run the same command without --only"
        )
        return
    data = protocol.data.train
    classes = protocol.halves[0, "B"].train.num_classes
    title = (
        f"{config.network} on {config.dataset}, {config.split} halves of "
        f"{data.num_classes} classes ({classes} in B), {config.splits} splits, "
        f"{'both directions' if config.both_directions else 'A to B'}"
    )
    figures = save_figure(draw(rows, title), config.out / "figure")
    columns, lines = summarise(rows)
    heading = "Change against the base of the same target, in points: mean [95 % interval]"
    console.print(table(heading, columns, lines))
    stages = len(protocol.halves[0, "B"].network.stages)
    console.print(claims_table(judge(rows, stages)))
    for path in (config.out / "results.csv", *figures):
        console.print(str(path), highlight=False, soft_wrap=True)


def plan_table(protocol: Protocol, folder: Folder) -> object:
    """The plan: every run, what it needs and what it costs."""
    total = sum(one.cost for one in protocol.plan.runs.values())
    rows = [
        (
            one.name,
            " ".join(one.needs),
            protocol.steps(one),
            f"{one.cost / 1e9:,.0f}",
            "finished" if folder.finished(one.name) else "",
        )
        for one in protocol.plan.runs.values()
    ]
    title = f"{len(protocol.plan)} runs, {total / 1e9:,.0f} billion multiply-adds in all"
    return table(title, ("run", "needs", "steps", "billion multiply-adds", "state"), rows)


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Reads 1-7, 2 or 1,4,7.

    >>> parse_layers("1-3,7")
    (1, 2, 3, 7)
    """
    if text is None:
        return None
    layers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
            raise CnnjaxError(f"--layers {text!r} is no list of layers; give e.g. 1-7 or 1,4,7")
        layers |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(layers))


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps on a few images."""
    out = config.out if config.out != Config.out else Path("results/transferability-smoke")
    small = {"splits": 2, "steps": 4, "epochs": None, "batch_size": 16, "images_per_class": 4}
    layers = config.layers or "1"
    return replace(config, out=out, layers=layers, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__)
