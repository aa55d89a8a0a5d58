"""Dropout: a simple way to prevent neural networks from overfitting.

Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014 (JMLR 15:1929-1958). In parts:
  architectures  figure 4, the lecture's: six networks with dropout and without
  rate           figure 9: p, with n units or with p n units fixed
  size           figure 10: training sets from few images to all
  regularisers   table 9: L2, L1, max-norm, dropout, and two together
  sparsity       figures 7, 8: features and activations of an autoencoder
  monte-carlo    figure 11: averages of k sampled networks against weight scaling
  convolutional  tables 3, 4: dropout in no, the fully connected, or all layers

p is the probability of KEEPING a unit: 0.5, and 0.8 of pixels; the part on rates keeps all pixels.
Every arm has the same seeds, images and order of images, and the same learning rate; claims are
decided by paired differences of test error over the seeds. Accuracy is the one after the last
step; nothing is selected on test images. Against the paper: layers are --width times as wide, p n
is twice the paper's at that width (with its own, nothing is learnt), and the lowest p is 0.3; SGD
with momentum 0.95 runs one cosine for --steps instead of 1,000,000 updates; L1 alone stands for "L1
late in training" and KL sparsity; max-norm goes with dropout in every part but the autoencoder's
and where it is compared. The learning rate, c, L2, L1 and the convolutional networks' width were
chosen on other seeds, 90 to 92. With dropout in all layers the convolutional network hardly begins
to learn in the default's steps.

The paper, MNIST, % test error: six networks 1.6 to 2.0 without and 1.0 to 1.4 with dropout;
3 x 1024 with dropout and max-norm 1.06; L2 1.62, max-norm 1.35, dropout + L2 1.25, dropout +
max-norm 1.05; CIFAR-10 without 14.98, fully connected 14.32, all layers 12.61. To follow it:
  python experiments/dropout.py --dataset npz:mnist.npz --width 1 --conv-width 1 --batch-size 100
      --steps 1000000 --max-norm 2 --rates 0.1 0.2 0.4 0.5 0.6 0.8 0.9 1 --kept-units 256 256 512
Its 3 x 1024 alone, within an hour of two CPU cores (experiments/results/dropout-mnist):
  --parts architectures --architectures 3x1024 --steps 20000 --learning-rate 0.03 --seeds 2
That rate was tried against 0.1 on seed 90, for 5,000 steps, on the same test images.

By default: 200 handwritten digits (and 539 to test on) of 8 x 8 pixels, enlarged to 16 x 16; a few
minutes on two CPU cores.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from dropout_arms import ARCHITECTURES, PARTS, Penalties, arms
from dropout_figure import draw
from dropout_protocol import COLUMNS, CURVE_COLUMNS, Protocol, Recipe
from dropout_report import judge, line_of, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, Allowed, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "dropout"
DIGITS = 200
"""Of the digits, so many make the networks overfit as MNIST makes the paper's: 6 to 9 % error."""
DIGIT_SIDE = 16
"""Twice their own: on 8 x 8 pixels losing one of five is no noise but damage."""
DIGIT_SIZES = (50, 100, 200, 400, 1200)
SIZES = (100, 500, 1_000, 5_000, 10_000, 50_000)
"""The paper's."""


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "digits"
    """digits, glyphs/latin, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "16 of the digits, else theirs")] = None
    """Bring the images to this side."""
    parts: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = PARTS
    """The parts to run."""
    architectures: Annotated[tuple[str, ...], arg(metavar="LxN ...")] = ARCHITECTURES
    """L hidden layers of N units each, of the first part."""
    rates: Annotated[tuple[float, ...], arg(metavar="P ...")] = (0.3, 0.5, 0.8, 1.0)
    """Values of p, of the second part."""
    kept_units: Annotated[tuple[int, int, int], arg(metavar="N N N")] = (512, 512, 1024)
    """p n of its hidden layers, where that is fixed."""
    sizes: Annotated[
        tuple[int, ...],
        arg(metavar="N ...", help_behavior_hint="(default: 50 to 1,200 digits, else the paper's)"),
    ] = ()
    """Training images, of the third part."""
    width: float = 0.25
    """Layers are so many times as wide as the paper's."""
    conv_width: float = 0.1875
    """As --width, of the convolutional networks."""
    seeds: int = 3
    """Repetitions of every arm."""
    train_images: Annotated[int | None, unset("INT", "200 of the digits, all of other data")] = None
    """Train on so many images only, drawn at random for each seed."""
    steps: int = 480
    """Of every training."""
    batch_size: int = 50
    """Images a step."""
    learning_rate: float = 0.01
    """The highest; it falls along a cosine."""
    max_norm: float = 1.5
    """c, the longest that the incoming weights of a unit may be."""
    l2: float = 3e-3
    """Weight decay where L2 is compared."""
    l1: float = 3e-4
    """Of the absolute weights where L1 is compared."""
    out: Path = Path("results/dropout")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    config = complete(config)
    check(config)
    penalties = Penalties(config.max_norm, config.l2, config.l1)
    chosen = arms(
        config.parts,
        dict.fromkeys(config.architectures),
        sorted(set(config.rates)),
        config.kept_units,
        sorted(set(config.sizes)),
        penalties,
    )
    recipe = from_flags(Recipe, config)
    protocol = Protocol(recipe, chosen, config.seeds)
    return Study(
        name=STUDY,
        config=asdict(recipe) | asdict(penalties) | {"data": protocol.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        curve_columns=CURVE_COLUMNS,
        report=lambda rows, curves: report(config, protocol, rows, curves),
        examples_per_step=config.batch_size,
        brief=line_of,
        decided_by="points of test error, 95 % interval over the seeds",
    )


def complete(config: Config) -> Config:
    """With what depends on the data where it was left open."""
    digits = config.dataset == "digits"
    sizes = config.sizes or (DIGIT_SIZES if digits else SIZES)
    images = DIGITS if digits and config.train_images is None else config.train_images
    side = DIGIT_SIDE if digits and config.image_size is None else config.image_size
    return replace(config, sizes=sizes, train_images=images, image_size=side)


def report(
    config: Config, protocol: Protocol, rows: Sequence[Row], curves: Sequence[Row]
) -> Report:
    """Draws and judges the rows of the whole plan."""
    title = (
        f"Dropout on {data_title(config.dataset)}: {protocol.count:,} training images, "
        f"{config.steps:,} steps of {config.batch_size}, layers {config.width:g} times as wide as "
        f"the paper's, {config.seeds} seeds"
    )
    return Report(
        draw(rows, curves, title, protocol.shape),
        judge(rows),
        "Test error in %: mean ± 95 % interval",
        *summarise(rows),
    )


def check(config: Config) -> None:
    """Refuses numbers and names that cannot be."""
    check_numbers(
        config,
        seeds=REPETITIONS,
        steps=at_least(1),
        batch_size=at_least(1),
        width=POSITIVE,
        conv_width=POSITIVE,
        learning_rate=POSITIVE,
        max_norm=POSITIVE,
        l2=POSITIVE,
        l1=POSITIVE,
        rates=Allowed("probabilities, each more than 0 and at most 1", lambda p: 0 < p <= 1),
        kept_units=Allowed("numbers of units", lambda n: n >= 1),
        sizes=Allowed("numbers of images, each at least 1", lambda n: n >= 1),
        train_images=at_least(1),
    )
    if not config.parts:
        raise CnnjaxError(f"--parts is empty; give one or more of {', '.join(PARTS)}")
    if unknown := [part for part in config.parts if part not in PARTS]:
        raise CnnjaxError(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    for name in config.architectures:
        if not re.fullmatch(r"[1-9][0-9]?x[1-9][0-9]{0,4}", name):
            raise CnnjaxError(
                f"--architectures {name!r} is no network; give layers x units, e.g. 3x1024"
            )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps of small networks."""
    small = {"steps": 3, "batch_size": 8, "seeds": 2, "width": 1 / 128, "conv_width": 1 / 64}
    few = {"architectures": ("2x1024",), "rates": (0.5, 1.0), "sizes": (20, 40)}
    return replace(config, out=smoke_folder(config), train_images=60, **few, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
