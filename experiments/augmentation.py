"""What does augmentation bring, which part of it earns its keep, and when does it hurt?

Lecture 1 trains a network of 1.3 million parameters on CIFAR-10 for 100 epochs, without changing
the images and with random rotations, shifts and mirrorings: 82 % against 90.3 % on the test images,
"still rising". The arms:
  none          the training images as they are
  all           the lecture's recipe: rotate by up to 15 degrees, shift by up to 0.1, mirror
  rotate, shift, flip    one part of it alone
  all-rotate, ...        the recipe without that part
  turn          rotate by up to 180 degrees: what it does to a 6 (lecture 2: "be careful")
each on the whole training set and on a small part of it, for as many steps.

Of a seed, all arms have the same weights at the start and the same order of images, so that
differences are paired. Accuracy is the mean over the last fifth of the evaluations on the test
images, as the lecture's curves are best compared; nothing is selected on them. Source of the
lecture's figures: github.com/moritzhambach/Image-Augmentation-in-Keras-CIFAR-10-; means of its last
20 epochs 82.0 and 90.25 %. Against it: pixels are scaled to [-1, 1] instead of by mean and
deviation, and an arm is trained for steps, not epochs.

By default on Latin characters, where parts of the recipe make another character of one (b is a
mirrored d and a turned q): those parts are named by --harmful, and claimed to hurt.
The rate was tried on another seed, not searched for. The lecture's own:
  python experiments/augmentation.py --dataset cifar10 --network cifar_vgg --epochs 100
  --batch-size 128 --learning-rate 1e-3 --harmful turn --evaluations 100
Shorter, an hour of two CPU cores (experiments/results/augmentation-cifar10): --steps 1000
--batch-size 32 --images-per-class 400 --arms none all --evaluations 4
To expect of the whole: + 8 points, and still + 0.36 over the last 20 epochs; on characters
rotations and shifts help, most where images are few, and mirroring and turning hurt the letters
with a twin.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from augmentation_figure import draw
from augmentation_protocol import ARMS, Protocol, Recipe
from augmentation_report import COLUMNS, CURVE_COLUMNS, judge_all, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, Allowed, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "augmentation"
STEPS, PER_CLASS, PIXELS = 550, 20, 16
"""The last two of the glyphs."""


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "glyphs/latin"
    """glyphs, digits, npz:PATH, folder:PATH, cifar10, tfds:NAME ..."""
    image_size: Annotated[
        int | None, unset("PIXELS", f"{PIXELS} for glyphs, others as they are")
    ] = None
    """Bring the images to this side."""
    network: str = "alexnet_small"
    """A registered network, e.g. lenet5, alexnet_small, cifar_vgg."""
    seeds: int = 3
    """Repetitions: each with weights, an order of examples and a small part of its own."""
    arms: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ARMS
    """The arms to run."""
    images_per_class: Annotated[
        int | None, unset("INT", f"{PER_CLASS} of the glyphs, all of other data")
    ] = None
    """The whole training set has so many images of each class, drawn at random."""
    small: float = 0.25
    """The small training set is this part of it."""
    rotate: float = 15.0
    """Degrees of the lecture's rotation, to either side."""
    shift: float = 0.1
    """Of the lecture's shift, as a part of the side, in any direction."""
    harmful: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("flip", "turn")
    """What makes another class of an image of this data set, and so is claimed to hurt."""
    steps: Annotated[int | None, unset("INT", f"{STEPS}, unless --epochs is given")] = None
    """Length of every training in steps."""
    epochs: Annotated[float | None, unset("FLOAT", "--steps counts")] = None
    """Length of every training in epochs of the whole training set instead."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 2e-3
    """Of Adam, constant as in the lecture."""
    evaluations: int = 5
    """Looks at the test images, at even distances; the last fifth of them counts."""
    out: Path = Path("results/augmentation")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    if config.steps is None and config.epochs is None:
        config = replace(config, steps=STEPS)
    if config.dataset.partition("/")[0] == "glyphs":
        per_class, side = config.images_per_class or PER_CLASS, config.image_size or PIXELS
        config = replace(config, images_per_class=per_class, image_size=side)
    check(config)
    recipe = from_flags(Recipe, config)
    protocol = Protocol(recipe, config.seeds, config.arms)

    def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
        full, classes = len(protocol.full), protocol.full.num_classes
        title = (
            f"{config.network} on {data_title(config.dataset)}: {full:,} images of {classes} "
            f"classes, {protocol.steps:,} steps of {config.batch_size}, {config.seeds} seeds"
        )
        return Report(
            draw(rows, curves, title, config.harmful),
            judge_all(rows, config.harmful),
            "Test accuracy in %: mean ± 95 % interval",
            *summarise(rows),
        )

    return Study(
        name=STUDY,
        config=asdict(recipe) | {"data": protocol.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        curve_columns=CURVE_COLUMNS,
        report=report,
        examples_per_step=config.batch_size,
    )


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    check_numbers(
        config,
        seeds=REPETITIONS,
        small=Allowed("a part, between 0 and 1", lambda x: 0 < x < 1),
        batch_size=at_least(1),
        learning_rate=POSITIVE,
        evaluations=at_least(2),
    )
    if unknown := [name for name in config.harmful if name not in ("flip", "turn")]:
        raise CnnjaxError(
            f"--harmful names {unknown[0]!r}, of which no harm is claimed; give flip, turn or both"
        )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps on a few images."""
    small = {"steps": 4, "epochs": None, "batch_size": 16, "images_per_class": 4, "small": 0.5}
    small["arms"] = tuple(a for a in config.arms if a in ("none", "all", "flip", "all-flip"))
    return replace(config, out=smoke_folder(config), seeds=2, evaluations=2, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
