"""What do convolutions mend? Shifted digits, the number of weights, and small kernels in a row.

Lecture 2 has a fully connected network (three hidden layers of 1200 units, 98 % on MNIST) and two
problems with it: "if we translate the input, the model breaks down", and a 1200 x 1200 matrix alone
has 1.4 million weights. Its answer is LeNet-5, of 61,706 in all. Here both are trained on digits
where they stand (centred) and on digits shifted at random by up to --reach pixels (shifted), and
tested on digits shifted by 0 to --reach pixels in the eight directions.

Lectures 3 and 5 put small kernels in a row instead of a large one: three 3 x 3 see as much as one
7 x 7, five as much as one 11 x 11, with 27 weights for each pair of channels instead of 49, and 45
instead of 121, "with more non-linear layers and at a lower cost". Here each stack follows a first
3 x 3 convolution, keeps the size of its maps, and ends in the same head.

Of a seed, all arms have the same order of images; those of one network the same weights at the
start: differences are paired. Shifts are by whole pixels in tests, by real numbers in training
(interpolated); what comes in is black. The lecture names neither optimizer nor rate: here Adam
along a cosine that begins, for each network, at the best of five rates that were tried on another
seed (experiments/results/translation/rates.csv). LeNet-5 has max pooling (`cnnjax.models`).

By default on scikit-learn's 1,797 digits, enlarged to 16 x 16 on a 28 x 28 ground, so that no shift
loses a pixel; a few minutes on two CPU cores. To follow the lecture:
  python experiments/translation.py --dataset npz:mnist.npz --digit-size 28 --stack-size 14
  --epochs 15 --batch-size 128
To expect there: 98 %, which falls towards guessing within 6 pixels; LeNet-5 falls later; trained on
shifted digits both hold, LeNet-5 better (LeCun et al. 1998: 0.95 % error, 0.8 % with distortions).
With --steps 1000 instead it is the run in experiments/results/translation-mnist.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from translation_figure import draw
from translation_protocol import ALL, Protocol, Recipe
from translation_report import COLUMNS, CURVE_COLUMNS, judge_all, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, Allowed, at_least, check_numbers, unset
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "translation"
STEPS = 400


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "digits"
    """digits, mnist, npz:PATH, glyphs ...; white on black."""
    digit_size: int = 16
    """Bring the images to this side; the ground around them makes it --canvas."""
    canvas: int = 28
    """Side of what the MLP and LeNet-5 see, in pixels."""
    stack_size: int = 16
    """Side of the images for the stacks of kernels, which have no ground around them."""
    stack_features: int = 12
    """Channels of every convolution of the stacks."""
    reach: int = 6
    """The largest shift, in pixels."""
    probes: int = 1000
    """Test on at most so many shifted images, drawn at random, in each place."""
    networks: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ALL
    """The networks to train."""
    seeds: int = 3
    """Repetitions: each with weights and an order of examples of its own."""
    steps: Annotated[int | None, unset("INT", f"{STEPS}, unless --epochs is given")] = None
    """Length of every training in steps."""
    epochs: Annotated[float | None, unset("FLOAT", "--steps counts")] = None
    """Length of every training in epochs instead."""
    batch_size: int = 64
    """Images a step."""
    learning_rate: Annotated[float | None, unset("FLOAT", "for each network its own")] = None
    """Where Adam's cosine begins, for all networks."""
    out: Path = Path("results/translation")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    if config.steps is None and config.epochs is None:
        config = replace(config, steps=STEPS)
    check(config)
    recipe = from_flags(Recipe, config)
    protocol = Protocol(recipe, config.seeds, config.networks)

    def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
        title = (
            f"{data_title(config.dataset)}: {len(protocol.data.train):,} training images, "
            f"{protocol.steps:,} steps of {config.batch_size}, {config.seeds} seeds"
        )
        return Report(
            draw(rows, curves, title),
            judge_all(rows, curves),
            "Parameters, multiply-adds of an image, and test accuracy in %: mean ± 95 % interval",
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
        digit_size=at_least(1),
        canvas=Allowed("at least --digit-size", lambda n: n >= config.digit_size),
        stack_size=at_least(1),
        stack_features=at_least(1),
        reach=Allowed("1 or more, below --canvas", lambda n: 1 <= n < config.canvas),
        probes=at_least(1),
        seeds=REPETITIONS,
        batch_size=at_least(1),
        learning_rate=POSITIVE,
    )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps on a few images."""
    small = {"steps": 2, "epochs": None, "batch_size": 8, "probes": 20, "stack_features": 2}
    few = ("mlp", "one-7x7", "three-3x3")
    networks = tuple(name for name in config.networks if name in few) or config.networks
    return replace(config, out=smoke_folder(config), networks=networks, seeds=2, reach=1, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
