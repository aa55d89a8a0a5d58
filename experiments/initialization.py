"""What do the first weights decide?

Lecture 2 draws them so that "the variance of the output of our activation is 1": Xavier, variance
2 / (n_in + n_out) (Glorot and Bengio 2010), and for ReLUs He, 2 / n_in (He et al. 2015, arXiv
1502.01852); lecture 4 asks of an activation that its gradient does not vanish. Fully connected
networks of 5 to 50 hidden layers of 100 sigmoids, tanhs or ReLUs are drawn from Gaussians of
deviation 0.01 and 1, from Xavier's and from He's (both cut at two deviations, as the lecture has
them, see `cnnjax.layers.initializers`). Of each network, as it is drawn: the variance of the
activations of every layer, that of the gradients of an image's loss with respect to what enters
the nonlinearity, and the part of units whose derivative is flat. Then it is trained, and what it
learns, guessing and divergence included, is the result.

The initialisers of a seed have the same random numbers and the same order of images: differences
are paired. SGD with momentum 0.9 along a cosine; its rate is the best of 0.003, 0.01, 0.03 and 0.1
for Xavier with tanh and He with ReLU at 10 layers (on seed 100), the same for all. Against the
papers: Glorot and Bengio have 1 to 5 layers of 1000 units, He et al. convolutions, 22 and 30
layers, on ImageNet.

By default on scikit-learn's 1,797 digits, a few minutes on two CPU cores. On a larger set:
  python experiments/initialization.py --dataset npz:mnist.npz --steps 2000
To expect: variances that stay (He with ReLU, and nearly Xavier with tanh), halve with every layer
(Xavier with ReLU), vanish (sd 0.01) or explode (sd 1); 30 layers of ReLUs learn from He's weights
and stall with Xavier's (He et al. 2015, figure 3); the logistic sigmoid is "unsuited for deep
networks with random initialization" (Glorot and Bengio 2010). Found otherwise: with 100 units, sd 1
makes up for the sigmoid's slope of 1/4, keeps its gradients, and lets ten layers learn.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from initialization_figure import draw
from initialization_protocol import COLUMNS, CURVE_COLUMNS, Protocol, Recipe
from initialization_report import judge_all, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "initialization"


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "digits"
    """digits, glyphs, glyphs/latin, mnist, cifar10, npz:PATH, folder:PATH, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    depths: Annotated[tuple[int, ...], arg(metavar="INT ...")] = (5, 10, 30, 50)
    """Numbers of hidden layers."""
    width: int = 100
    """Units of a hidden layer."""
    seeds: int = 3
    """Repetitions: each with weights and an order of images of its own."""
    steps: int = 300
    """Length of every training."""
    batch_size: int = 64
    """Images a step."""
    learning_rate: float = 0.03
    """The highest; it falls along a cosine."""
    out: Path = Path("results/initialization")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    check(config)
    recipe = from_flags(Recipe, config)
    protocol = Protocol(recipe, config.depths, config.seeds)

    def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
        title = (
            f"Initialisation of fully connected networks on {data_title(config.dataset)}: layers "
            f"of {config.width} units, {config.steps:,} steps of {config.batch_size}, "
            f"{config.seeds} seeds"
        )
        return Report(
            draw(rows, curves, title),
            judge_all(rows),
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
        decided_by="points unless said otherwise, 95 % interval over the seeds",
    )


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    check_numbers(
        config,
        width=at_least(1),
        seeds=REPETITIONS,
        steps=at_least(1),
        batch_size=at_least(1),
        learning_rate=POSITIVE,
    )
    depths = config.depths
    if not depths or min(depths) < 2 or len(set(depths)) < len(depths):
        raise CnnjaxError(
            f"--depths {' '.join(map(str, depths))} cannot be; give different whole numbers of at "
            "least 2: a slope needs two layers"
        )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, small networks, a few steps."""
    small = {"depths": (2,), "width": 8, "steps": 2, "batch_size": 8}
    return replace(config, out=smoke_folder(config), seeds=2, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
