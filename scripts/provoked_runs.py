"""Real short trainings, each spoiled in one way that provokes a known case of the learning curve.

A base is a training that is well set. Its variants change one thing: the learning rate is too low
(`slow`), the network too small (`small`, trained for longer, so that time is not what it lacks),
the training images too few (`few`), or as few with a learning rate that jumps after half of the
run (`unstable`). What undoes the change is the remedy, so the base also says what a remedy is
worth. Thresholds were chosen on the bases that are not held out alone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax

import cnnjax
from cnnjax.analysis.diagnosis import Case
from cnnjax.data import Dataset, Splits, load
from cnnjax.models import Network
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Tools
from cnnjax.training import classification, create_state, fit
from cnnjax.transfer import initialise

PROVOKED = {
    "good": Case.GOOD,
    "slow": Case.STILL_IMPROVING,
    "small": Case.TOO_SMALL,
    "few": Case.OVERFITTING,
    "unstable": Case.OSCILLATING,
}
"""The variants, and the case that each is to provoke."""

REMEDIES = {"slow": "good", "small": "good", "few": "good", "unstable": "few"}
"""The variant that differs from another one by the suggested change."""

MOMENTUM = 0.9
LINES, EVALUATIONS = 60, 30  # of a run
VALIDATION = 400  # images, at most


Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Base:
    """A well set training, and how its variants spoil it.

    Attributes:
      dataset: a name that `cnnjax.data.load` knows.
      image_size: in pixels.
      classes: the first so many of the data set.
      network: a registered network.
      options: its arguments.
      optimizer: sgd (with momentum 0.9) or adam.
      rate: the learning rate.
      cosine: whether it falls to 0 along half a cosine, or is constant.
      steps: length of the training.
      slower: the learning rate of `slow` is so many times lower.
      small: the network of `small`, and its arguments.
      few: images of each class in `few` and `unstable`.
      noise: the share of their labels that is drawn at random, so that they are hard to memorise.
      jump: the learning rate of `unstable` becomes so many times higher.
      held_out: whether no threshold was chosen on it.
      batch_size: of all variants.
      longer: `small` is trained so many times as long, so that time is not what it lacks.
    """

    dataset: str
    image_size: int
    classes: int
    network: str
    options: Options
    optimizer: str
    rate: float
    cosine: bool
    steps: int
    slower: float
    small: tuple[str, Options]
    few: int
    noise: float
    jump: float
    held_out: bool
    batch_size: int = 32
    longer: int = 10


def perceptron(*hidden: int) -> tuple[str, Options]:
    """A multilayer perceptron with these hidden layers."""
    return "mlp", (("hidden", hidden),)


# fmt: off
BASES = {
    "A": Base("digits", 8, 10, *perceptron(128, 64), "sgd", 0.02, False, 300, slower=50,
              small=perceptron(4), few=20, noise=0.3, jump=10, held_out=False),
    "B": Base("glyphs/latin", 16, 10, "alexnet_small", (), "sgd", 0.02, True, 300, slower=30,
              small=perceptron(2), few=20, noise=0.0, jump=2, held_out=False),
    "C": Base("digits", 8, 10, *perceptron(256), "adam", 2e-3, False, 300, slower=100,
              small=perceptron(3), few=20, noise=0.3, jump=30, held_out=False),
    "D": Base("digits", 32, 10, "lenet5", (), "adam", 2e-3, False, 300, slower=50,
              small=perceptron(5), few=40, noise=0.4, jump=10, held_out=True),
    "E": Base("glyphs/greek", 16, 10, "alexnet_small", (), "sgd", 0.01, False, 400, slower=50,
              small=("alexnet_small", (("width", 3), ("units", 3))), longer=4, few=20, noise=0.2,
              jump=4, held_out=True),
    "F": Base("glyphs/cyrillic", 16, 10, "mlp", (("hidden", (512,)), ("dropout", 0.5)), "adam",
              2e-3, True, 400, slower=30, small=perceptron(2), few=20, noise=0.3, jump=10,
              held_out=True),
}
# fmt: on


def make_plan(bases: dict[str, Base], seeds: int) -> Plan:
    """All variants of all bases, each with several seeds."""
    return Plan(run for name, base in bases.items() for run in _runs(name, base, seeds))


def perform(run: Run, tools: Tools) -> Outcome:
    """Trains one variant; its metrics stay in its folder."""
    base = Base(**run.config["base"])
    variant, seed = run.config["variant"], run.config["seed"]
    data = _data(base)
    train = data.train
    if variant in ("few", "unstable"):
        train = _with_noise(train.per_class(base.few, seed), base.noise, seed)
    network, shape = _network(base, variant), train.images.shape[1:]
    steps = run.config["steps"]
    optimizer = _optimizer(base, variant, steps)
    state = create_state(initialise(network, shape, seed), optimizer, jax.random.key(seed))
    _, lines = fit(
        state,
        (jnp.asarray(train.images), jnp.asarray(train.labels)),
        network=network,
        task=classification,
        optimizer=optimizer,
        steps=steps,
        batch_size=base.batch_size,
        seed=seed,
        validation=(jnp.asarray(data.test.images), jnp.asarray(data.test.labels)),
        evaluate_every=steps // EVALUATIONS,
        log_every=steps // LINES,
        directory=tools.directory,
        on_steps=tools.on_steps,
        report=tools.report,
    )
    row = {
        "base": run.config["name"],
        "variant": variant,
        "seed": seed,
        "held_out": base.held_out,
        "accuracy": round(100 * lines[-1]["validation_accuracy"], 4),
    }
    return Outcome(row, None)


def _runs(name: str, base: Base, seeds: int) -> Iterator[Run]:
    for variant in PROVOKED:
        steps = base.steps * (base.longer if variant == "small" else 1)
        shape = (base.image_size, base.image_size, 1)  # all are grey
        cost = (
            3
            * steps
            * base.batch_size
            * sum(multiply_adds(_network(base, variant), shape).values())
        )
        for seed in range(seeds):
            config = {
                "name": name,
                "base": asdict(base),
                "variant": variant,
                "seed": seed,
                "steps": steps,
            }
            yield Run(f"{name}-{variant}-{seed}", config, cost=cost)


@lru_cache
def _data(base: Base) -> Splits:
    data = load(base.dataset, image_size=base.image_size).select_classes(np.arange(base.classes))
    order = np.random.default_rng(0).permutation(len(data.test))
    return data._replace(test=data.test.take(order[:VALIDATION]))


def _with_noise(dataset: Dataset, share: float, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(dataset.num_classes, size=len(dataset)).astype(np.int32)
    labels = np.where(rng.random(len(dataset)) < share, drawn, dataset.labels)
    return replace(dataset, labels=labels)


def _network(base: Base, variant: str) -> Network:
    name, options = base.small if variant == "small" else (base.network, base.options)
    return cnnjax.create(name, num_classes=base.classes, **dict(options))


@lru_cache  # one object per setting: the seeds share a compiled step
def _optimizer(base: Base, variant: str, steps: int) -> optax.GradientTransformation:
    rate = base.rate / (base.slower if variant == "slow" else 1.0)
    schedule = (
        optax.cosine_decay_schedule(rate, steps) if base.cosine else optax.constant_schedule(rate)
    )
    if variant == "unstable":
        jumped = optax.constant_schedule(rate * base.jump)
        schedule = optax.join_schedules([schedule, jumped], [steps // 2])
    if base.optimizer == "adam":
        return optax.adam(schedule)
    return optax.sgd(schedule, momentum=MOMENTUM)
