"""What does batch normalisation do for a training?

Ioffe and Szegedy 2015 (arXiv 1502.03167). Each hidden layer is normalised before its nonlinearity.
  figure1  section 4.1: three hidden layers of 100 sigmoids, small Gaussian weights, 60 images a
           step: test accuracy against steps, and the 15th, 50th and 85th percentiles of the input
           of a typical sigmoid of the last hidden layer, with and without
  rates    section 4.2 on a small convolutional network: learning rates ×1, ×5, ×30, and sigmoids at
           ×5: steps to the best accuracy of ×1 without it, and best accuracy
  batches  the same network with 2 to 64 images a batch, as many images in all, a rate in proportion
           to the batch; running statistics against those of the test batch

The arms of a seed have the same kernels and the same order of images: differences are paired. The
typical sigmoid is the one of the median drift (see `batch_norm_measures`), its inputs are those of
500 training images. Against the paper: it gives no rate for figure 1; here rate and deviation of
the weights are such that the network without it learns. Rate ×1 is the best of 0.01, 0.03 and 0.1
for the convolutional network without it (on seed 100), ×1 of the paper is that of its Inception;
SGD has a momentum of 0.9, rates fall along a cosine; ×5 and ×30 of the paper change more than the
rate. "Best" is over the curve of test accuracies, as the paper's maximum.

By default on the embedded Latin characters, a few minutes on two CPU cores. To follow the paper:
  python experiments/batch_norm.py --dataset npz:mnist.npz --binary --parts figure1 --steps 50000
To expect there: 0.95 to 0.98 without and 0.98 with it, sooner (figure 1a has no numbers). Of
ImageNet the paper has, to 72.2 %: 31.0 million steps without, 13.3 with, 2.1 at ×5, 2.7 at ×30;
best accuracies 72.2, 72.7, 73.0, 74.8, and 69.8 % with sigmoids, which without it stay at 0.1 %.
Found otherwise: with it, too, ×1 is the fastest of these rates, and ×30 is too high for either.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from batch_norm_arms import PARTS
from batch_norm_figure import draw
from batch_norm_protocol import COLUMNS, CURVE_COLUMNS, Protocol, Recipe
from batch_norm_report import judge_all, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "batch_norm"


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "glyphs/latin"
    """glyphs, glyphs/latin, digits, mnist, cifar10, npz:PATH, folder:PATH, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    binary: bool = False
    """Make the images black and white, as in section 4.1 of the paper."""
    parts: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = PARTS
    """Of the study: figure1, rates, batches."""
    seeds: int = 3
    """Repetitions: each with weights and an order of images of its own."""
    steps: int = 4000
    """Length of the trainings of figure 1."""
    batch_size: int = 60
    """Images a step, for figure 1."""
    learning_rate: float = 0.5
    """For figure 1; it is constant."""
    std: float = 0.1
    """Deviation of the Gaussian weights, for figure 1."""
    conv_steps: int = 500
    """Length of the trainings of the convolutional network."""
    conv_batch_size: int = 32
    """Images a step, for the rates."""
    conv_rate: float = 0.03
    """Rate ×1 of the convolutional network; it falls along a cosine."""
    batch_sizes: Annotated[tuple[int, ...], arg(metavar="INT ...")] = (2, 4, 16, 64)
    """Images a step, for the batches."""
    batch_images: int = 16_000
    """Images that each training of the batches sees in all."""
    out: Path = Path("results/batch_norm")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    check(config)
    recipe = from_flags(Recipe, config)
    protocol = Protocol(recipe, config.parts, config.seeds)

    def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
        title = (
            f"Batch normalisation on {data_title(config.dataset)}, {len(protocol.train):,} "
            f"training images, {config.seeds} seeds"
        )
        return Report(
            draw(rows, curves, title),
            judge_all(rows, curves),
            "Test accuracy in %: mean ± 95 % interval",
            *summarise(rows, curves),
        )

    return Study(
        name=STUDY,
        config=asdict(recipe) | {"data": protocol.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        curve_columns=CURVE_COLUMNS,
        report=report,
        examples_per_step=protocol.examples_per_step,
        decided_by="points unless said otherwise, 95 % interval over the seeds",
    )


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    check_numbers(
        config,
        seeds=REPETITIONS,
        steps=at_least(1),
        batch_size=at_least(1),
        conv_steps=at_least(1),
        conv_batch_size=at_least(1),
        batch_images=at_least(1),
        learning_rate=POSITIVE,
        std=POSITIVE,
        conv_rate=POSITIVE,
    )
    if not config.parts:
        raise CnnjaxError(f"--parts is empty; give some of {', '.join(PARTS)}")
    sizes = config.batch_sizes
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise CnnjaxError(
            f"--batch-sizes {' '.join(map(str, sizes))} cannot be; give different whole numbers of "
            "at least 1"
        )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps."""
    small = {"seeds": 2, "steps": 3, "conv_steps": 3, "batch_sizes": (2, 8), "batch_images": 16}
    return replace(config, out=smoke_folder(config), batch_size=8, conv_batch_size=8, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
