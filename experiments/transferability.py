"""How transferable are features in deep neural networks?

Yosinski, Clune, Bengio, Lipson 2014 (arXiv 1411.1792). Deal the classes of a data set into halves
A and B. Train a network on each (baseA, baseB). Copy the first n layers into a new network, put
fresh layers on top, train on B, and compare with baseB:
  BnB     copied from baseB, frozen: does the cut break co-adapted layers?
  AnB     copied from baseA, frozen: how specific to A are the first n layers?
  BnB+    as BnB, but the copied layers learn too
  AnB+    as AnB, but the copied layers learn too: is the transfer still felt?
  random  the first n layers fresh and frozen: the floor
  base2x  baseB trained for the doubled budget, as AnB+ and BnB+ have had in all

Every arm has the same target classes, the same fresh layers and the same order of examples, so
that differences are paired. Accuracy is the one after the last step, on the target's test images;
nothing is selected on them. Against the paper: SGD with momentum runs a cosine schedule of a few
hundred steps instead of 450,000; images are not cropped or mirrored; there is no dropout, no
response normalisation and one rate for weights and biases; the head has as many outputs as the half
has classes. The paper has no base2x, and measured AnB+ and BnB+ on different halves.

By default: 3 random splits of the embedded glyphs, a few minutes on two CPU cores. To expect:
frozen transfer falls with n, random layers collapse, fine-tuning heals.
"""

import re
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Annotated

from rich.console import Console
from transferability_figure import draw
from transferability_protocol import Protocol, Recipe
from transferability_report import COLUMNS, judge, summarise, with_changes
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.display import StudyProgress, claims_table, table
from cnnjax.studies.figures import save_figure
from cnnjax.studies.folders import claim_folder
from cnnjax.studies.results import write_results
from cnnjax.studies.runs import Folder, Row
from cnnjax.transfer.treatments import TREATMENTS

STUDY = "transferability"
STEPS = 500
GLYPHS_PER_CLASS = 20
"""These and the learning rate were chosen on the bases of two splits alone: the fewest steps after
which they reach 75 to 92 % on the test images and more than 99 % on the training images."""


@dataclass(frozen=True)
class Config:
    dataset: str = "glyphs"
    """glyphs, glyphs/latin, digits, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    network: str = "alexnet_small"
    """A registered network: alexnet_small, lenet5, mlp, alexnet; n counts its stages."""
    split: str = "random"
    """How the classes are halved: random, GROUP-vs-others (latin-vs-others: A is that alphabet),
    or file:PATH, a JSON file {"A": [names], "B": [names]}."""
    splits: int = 3
    """Repetitions: each with a random split, fresh layers and an order of examples of its own."""
    both_directions: bool = False
    """Transfer from B to A as well."""
    layers: Annotated[str | None, unset("N,N-N", "every possible one")] = None
    """The values of n, e.g. 1-7 or 1,4,7."""
    treatments: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = TREATMENTS
    """The arms to run; the bases they need are always there."""
    images_per_class: Annotated[
        int | None, unset("INT", f"{GLYPHS_PER_CLASS} of the glyphs, all of other data")
    ] = None
    """Train on so many images of each class only, drawn at random."""
    steps: Annotated[int | None, unset("INT", f"{STEPS}, unless --epochs is given")] = None
    """Length of every training in steps; base2x takes twice that."""
    epochs: Annotated[float | None, unset("FLOAT", "--steps counts")] = None
    """Length of every training in epochs instead."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.03
    """The highest; it rises linearly at first and falls along a cosine."""
    weight_decay: float = 5e-4
    """Of kernels, as in the paper."""
    warmup: float = 0.1
    """The part of the training over which the learning rate rises."""
    seed: int = 0
    """Of everything random."""
    out: Path = Path("results/transferability")
    """Where results.csv, the figure and the runs go; the same command goes on there."""
    list: bool = False
    """Print the plan with its cost, and run nothing."""
    only: Annotated[str | None, unset("NAME", "all runs")] = None
    """Run this one run of the plan (see --list), for a scheduler that takes them one by one."""
    smoke: bool = False
    """A tiny plan that ends within seconds, to see that everything works."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    if config.smoke:
        config = shrink(config)
    if config.steps is None and config.epochs is None:
        config = replace(config, steps=STEPS)
    if config.images_per_class is None and config.dataset.partition("/")[0] == "glyphs":
        config = replace(config, images_per_class=GLYPHS_PER_CLASS)
    check(config)
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
    with StudyProgress(protocol.plan, console, config.batch_size, steps, config.only) as watcher:
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
        f"{config.network} on {_brief(config.dataset)}, {_brief(config.split)} halves of "
        f"{data.num_classes} classes ({classes} in B), {config.splits} splits, "
        f"{'both directions' if config.both_directions else 'A to B'}"
    )
    figures = save_figure(draw(rows, title), config.out / "figure")
    columns, lines = summarise(rows)
    heading = "Points against the base of the same target: mean ± 95 % interval"
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
            _billions(one.cost),
            "finished" if folder.finished(one.name) else "",
        )
        for one in protocol.plan.runs.values()
    ]
    title = f"{len(protocol.plan)} runs, {_billions(total)} billion multiply-adds in all"
    return table(title, ("run", "needs", "steps", "billion multiply-adds", "state"), rows)


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    for flag, value, possible, allowed in (
        ("batch-size", config.batch_size, config.batch_size >= 1, "at least 1"),
        ("learning-rate", config.learning_rate, 0 < config.learning_rate < inf, "more than 0"),
        ("weight-decay", config.weight_decay, 0 <= config.weight_decay < inf, "at least 0"),
        ("warmup", config.warmup, 0 <= config.warmup < 1, "a part, from 0 to less than 1"),
        ("seed", config.seed, 0 <= config.seed < 2**31, "a whole number from 0 to 2^31 - 1"),
    ):
        if not possible:
            raise CnnjaxError(f"--{flag} is {value}, which cannot be; give {allowed}")


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Reads 1-7, 2 or 1,4,7.

    >>> parse_layers("1-3,7")
    (1, 2, 3, 7)
    """
    if text is None:
        return None
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", part)
        numbers = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not numbers:
            raise CnnjaxError(f"--layers {text!r} is no list of layers; give e.g. 1-7 or 1,4,7")
        layers |= set(numbers)
    return tuple(sorted(layers))


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps on a few images."""
    out = config.out if config.out != Config.out else Path("results/transferability-smoke")
    small = {"splits": 2, "steps": 4, "epochs": None, "batch_size": 16, "images_per_class": 4}
    layers = config.layers or "1"
    return replace(config, out=out, layers=layers, **small)


def _brief(name: str) -> str:
    """Without the folders of a path, which say nothing to a reader of the figure."""
    kind, colon, path = name.partition(":")
    return Path(path).name if colon else kind


def _billions(count: float) -> str:
    count /= 1e9
    return f"{count:,.0f}" if count >= 100 else f"{count:.2g}"


if __name__ == "__main__":
    command.main(Config, run, __doc__)
