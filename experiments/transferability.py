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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from transferability_figure import draw
from transferability_halves import Recipe
from transferability_protocol import Protocol
from transferability_report import COLUMNS, judge, summarise, with_changes
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, Allowed, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder
from cnnjax.transfer.treatments import TREATMENTS

STUDY = "transferability"
STEPS = 500
GLYPHS_PER_CLASS = 20
"""These and the learning rate were chosen on the bases of two splits alone: the fewest steps after
which they reach 75 to 92 % on the test images and more than 99 % on the training images."""


@dataclass(frozen=True)
class Config(StudyConfig):
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
    out: Path = Path("results/transferability")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def protocol_of(config: Config) -> Protocol:
    """The runs that the flags ask for, with the defaults that depend on other flags."""
    if config.steps is None and config.epochs is None:
        config = replace(config, steps=STEPS)
    if config.images_per_class is None and config.dataset.partition("/")[0] == "glyphs":
        config = replace(config, images_per_class=GLYPHS_PER_CLASS)
    check(config)
    return Protocol(
        from_flags(Recipe, config),
        config.splits,
        config.both_directions,
        parse_layers(config.layers),
        config.treatments,
    )


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    protocol = protocol_of(config)
    return Study(
        name=STUDY,
        config=asdict(protocol.recipe) | {"data": protocol.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        report=lambda rows, curves: report(config, protocol, rows),
        examples_per_step=config.batch_size,
        derive=with_changes,
        decided_by="points, 95 % interval over the splits",
    )


def report(config: Config, protocol: Protocol, rows: Sequence[Row]) -> Report:
    """Draws and judges the rows of the whole plan."""
    data = protocol.data.train
    classes = protocol.halves[0, "B"].train.num_classes
    title = (
        f"{config.network} on {data_title(config.dataset)}, {data_title(config.split)} halves of "
        f"{data.num_classes} classes ({classes} in B), {config.splits} splits, "
        f"{'both directions' if config.both_directions else 'A to B'}"
    )
    stages = len(protocol.halves[0, "B"].network.stages)
    return Report(
        draw(rows, title),
        judge(rows, stages),
        "Points against the base of the same target: mean ± 95 % interval",
        *summarise(rows),
    )


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    check_numbers(
        config,
        batch_size=at_least(1),
        learning_rate=POSITIVE,
        weight_decay=at_least(0),
        warmup=Allowed("a part, from 0 to less than 1", lambda x: 0 <= x < 1),
    )


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
    small = {"splits": 2, "steps": 4, "epochs": None, "batch_size": 16, "images_per_class": 4}
    layers = config.layers or "1"
    return replace(config, out=smoke_folder(config), layers=layers, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
