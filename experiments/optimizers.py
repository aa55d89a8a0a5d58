"""How fast do the update rules of the lecture descend, on surfaces and on a CNN?

Lecture 4, "Gradient Based Optimization": SGD is slow at saddle points; momentum "helps accelerate
SGD in the relevant direction and dampens oscillations"; AdaGrad divides by what the gradient has
been, RMSProp by an average of it, "Adam (Simplified)" is RMSProp + momentum. The twelve rules are
those formulas, Nesterov's, and the rest of the lecture's list of Keras.

Surfaces: a valley and a ravine, (t1² + 10 t2²) / 2 and (t1² + 100 t2²) / 2, from (-1, 0.3); a
saddle t1²/2 - t2²/2 + t2⁴/4 from (0.7, 0.001); Rosenbrock's from (-1.2, 1); and each from 4 other
starts (optimizers_surfaces.py). Gradients are exact. A walk has arrived when for good no more than
a thousandth of its height is left (never within 3000 steps counts as 3001); its rate is that of 18
(1e-4 to 1.78) with the fewest steps on the mean of 8 starts of its own. What is compared at one
rate instead says so. On an even slope steps are measured in rates. AdamW has no decay there, and is
Adam.

CNN: alexnet_small on the Latin glyphs, constant rate, one epoch of batches of 32. Every rule has
the same budget: 5 rates, each √10 times the one before, around its usual rate, one run each on a
seed of its own; the rate with the lowest loss on a tenth of the training images, set apart, is
taken for the seeds that are reported. gamma is 0.9, other settings are the papers'; AdamW decays
by 0.01. Wall time is steps × the time of one compiled step, and says something on a quiet machine.

  python experiments/optimizers.py
  python experiments/optimizers.py --dataset mnist --network lenet5 --steps 2000 --seeds 5

To expect: momentum ahead in the ravine from most starts and behind in the gentle valley (there the
roots of its own equation, √0.9 a step, are slower than SGD's 0.82); the simplified Adam's first
step 3.16 rates long, 0.1 / √0.001, which Kingma and Ba (2015) correct to 1; AdaGrad's steps fall
as 1 / √t; on the CNN, three seeds part SGD from the adaptive rules, and not these from each other.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from optimizers_figure import draw
from optimizers_protocol import Protocol, Recipe
from optimizers_report import COLUMNS, CURVE_COLUMNS, judge, summarise
from optimizers_rules import USUAL_RATES
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import REPETITIONS, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "optimizers"


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "glyphs/latin"
    """glyphs, glyphs/latin, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    network: str = "alexnet_small"
    """A registered network."""
    optimizers: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = tuple(USUAL_RATES)
    """The rules to run."""
    seeds: int = 3
    """Trainings at the tuned rate."""
    walk_steps: int = 3000
    """Length of the walks on surfaces."""
    steps: int = 160
    """Length of every training, those that tune included."""
    batch_size: int = 32
    """Images a step."""
    rates: int = 5
    """Rates tried for each rule, an odd number: the usual one is in the middle."""
    out: Path = Path("results/optimizers")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    check(config)
    recipe = from_flags(Recipe, config)
    rules = tuple(rule for rule in USUAL_RATES if rule in config.optimizers)
    protocol = Protocol(recipe, config.seeds, rules)
    runs = protocol.plan.runs.items()
    return Study(
        name=STUDY,
        config=asdict(recipe) | {"data": protocol.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        curve_columns=CURVE_COLUMNS,
        report=lambda rows, curves: report(config, rows, curves),
        examples_per_step={name: run.config.get("batch_size", 1) for name, run in runs},
        brief=brief,
        decided_by="95 % interval over the starts or seeds",
    )


def report(config: Config, rows: Sequence[Row], curves: Sequence[Row]) -> Report:
    """Draws and judges the rows of the whole plan."""
    title = (
        f"surfaces, and {config.network} on {data_title(config.dataset)}, batches of "
        f"{config.batch_size}, {config.seeds} seeds; {config.rates} rates tried for each rule"
    )
    heading = (
        f"Steps to arrive (mean of the starts); first step in rates; on the CNN the best of "
        f"{config.rates} rates, training loss and test accuracy (%) ± 95 % interval, time of a "
        "step. *: lecture 4 only names it"
    )
    return Report(draw(rows, curves, title), judge(rows), heading, *summarise(rows))


def brief(row: Row) -> str:
    """What the line of a finished run says."""
    if row["kind"] == "slope":
        return f"first step {row['first_step']:.2f} rates"
    if row["kind"] in ("surface", "one rate"):
        return f"arrives at step {row['arrival']} at rate {row['rate']:g}"
    if row["kind"] == "tuning":
        loss = row.get("validation_loss")
        return "diverged" if loss is None else f"validation loss {loss:.3f}"
    return f"{row['accuracy']:.1f} % at rate {row['rate']:g}"


def check(config: Config) -> None:
    """Refuses numbers that cannot be; names and paths are refused where they are looked up."""
    check_numbers(
        config,
        seeds=REPETITIONS,
        walk_steps=at_least(1),
        steps=at_least(1),
        batch_size=at_least(1),
        rates=at_least(1),
    )
    if config.rates % 2 == 0:
        raise CnnjaxError(
            f"--rates is {config.rates}, and the usual rate is in the middle; give an odd number"
        )
    if unknown := [name for name in config.optimizers if name not in USUAL_RATES]:
        raise CnnjaxError(
            f"there is no optimizer {unknown[0]!r}; there are {', '.join(USUAL_RATES)}"
            f"{did_you_mean(unknown[0], USUAL_RATES)}"
        )


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, three rules and a few steps."""
    rules = config.optimizers if config.optimizers != Config.optimizers else SMOKE_RULES
    small = {"seeds": 2, "walk_steps": 200, "steps": 20, "batch_size": 8, "rates": 3}
    return replace(config, out=smoke_folder(config), optimizers=rules, **small)


SMOKE_RULES = ("sgd", "momentum", "adam")


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
