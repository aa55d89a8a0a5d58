"""Which runs the study of update rules consists of, and what one run does."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from optimizers_rules import ADAMW_DECAY, LECTURE, choose, first_cells, grid, optimizer_of
from optimizers_surfaces import (
    RATES,
    SLOPES,
    SURFACES,
    perform_slope,
    perform_surface,
    tuning_starts,
)

import cnnjax
from cnnjax.data import Dataset, load, stratified_split
from cnnjax.errors import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Tools
from cnnjax.studies.trainings import TrainingResult, train_network
from cnnjax.training import (
    classification,
    create_state,
    fit,
    set_rate,
)
from cnnjax.transfer import initialise

TUNING_SEED = 1_000_000
"""Added to the seed: the tuning runs share none with the runs that are reported."""

VALIDATION = 0.1
"""The part of the training images that is set apart to tune on, where a data set sets none."""

AT_ONE_RATE = {
    "ravine": {0.01: ("momentum", "nesterov"), 0.018: LECTURE[:2], 0.03: LECTURE[:2]},
    "saddle": {0.1: LECTURE},
}
"""{surface: {rate: rules that are compared at it}}; SGD leaves all bounds above 2 / 100."""

EVALUATIONS = 9
TIMED_STEPS = 30


@dataclass(frozen=True)
class Recipe:
    """What all runs have in common; with the data, it determines every number."""

    dataset: str
    image_size: int | None
    network: str
    walk_steps: int
    steps: int
    batch_size: int
    rates: int
    seed: int


class Protocol:
    """The runs of the study."""

    def __init__(self, recipe: Recipe, seeds: int, rules: Sequence[str]) -> None:
        """
        Args:
          recipe: what all runs share.
          seeds: repetitions of the training at the tuned rate.
          rules: names of update rules.
        """
        self.recipe = recipe
        data = load(recipe.dataset, image_size=recipe.image_size)
        self.test = data.test
        if data.validation is None:
            parts = stratified_split(data.train, (1 - VALIDATION, VALIDATION), seed=0)
            self.train, self.validation = parts
        else:
            self.train, self.validation = data.train, data.validation
        if len(self.train) < recipe.batch_size:
            raise CnnjaxError(
                f"--batch-size is {recipe.batch_size}, and there are {len(self.train)} training "
                "images; give a smaller one"
            )
        self.fingerprint = "-".join(
            part.fingerprint()[:16] for part in (self.train, self.validation, self.test)
        )
        self.network = cnnjax.create(recipe.network, num_classes=self.train.num_classes)
        check_takes(self.network, self.train.images.shape[1:])
        self._multiply_adds = sum(multiply_adds(self.network, self.train.images.shape[1:]).values())
        walks = [run for rule in rules for run in _walks(rule, recipe.walk_steps)]
        self.plan = Plan([*walks, *(run for rule in rules for run in self._trainings(rule, seeds))])

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Does one run."""
        performers = {
            "slope": perform_slope,
            "surface": perform_surface,
            "one rate": perform_surface,
            "tuning": self._tune,
            "final": self._train,
        }
        return performers[run.config["kind"]](run, tools)

    def _trainings(self, rule: str, seeds: int) -> Iterator[Run]:
        rates = grid(rule, self.recipe.rates)
        tuning = [self._training("tuning", rule, self._seed(), rate) for rate in rates]
        yield from tuning
        for i in range(seeds):
            needs = tuple(run.name for run in tuning)
            yield self._training("final", rule, self.recipe.seed + i, None, needs)

    def _seed(self) -> int:
        return (self.recipe.seed + TUNING_SEED) % 2**31

    def _training(
        self, kind: str, rule: str, seed: int, rate: float | None, needs: tuple[str, ...] = ()
    ) -> Run:
        recipe = self.recipe
        config = {"kind": kind, "rule": rule, "seed": seed, "rate": rate}
        config |= {"data": self.fingerprint, "network": recipe.network, "steps": recipe.steps}
        config |= {"batch_size": recipe.batch_size, "adamw_decay": ADAMW_DECAY}
        config |= {"evaluations": 1 if kind == "tuning" else EVALUATIONS}
        name = f"cnn-{rule}-rate{rate:g}" if kind == "tuning" else f"cnn-{rule}-seed{seed}"
        cost = 3.0 * recipe.steps * recipe.batch_size * self._multiply_adds
        return Run(name, config, needs, cost)

    def _tune(self, run: Run, tools: Tools) -> Outcome:
        """One rate of the grid, measured on the validation images."""
        rate = run.config["rate"]
        trained = self._fit(run, rate, self.validation, tools)
        row = first_cells(run, self.recipe.network, rate, 1)
        if not trained.diverged and np.isfinite(trained.test["loss"]):
            row["validation_loss"] = round(trained.test["loss"], 6)
            row["accuracy"] = round(100 * trained.test["accuracy"], 4)
        return Outcome(row)

    def _train(self, run: Run, tools: Tools) -> Outcome:
        """A training at the rate that was best, measured on the test images."""
        rate = choose([tools.rows(name) for name in run.needs])
        trained = self._fit(run, rate, self.test, tools)
        row = first_cells(run, self.recipe.network, rate, len(run.needs))
        if not trained.diverged:
            row["train_loss"] = round(trained.lines[-1]["loss"], 6)
        row["accuracy"] = round(100 * trained.test["accuracy"], 4)
        row["ms_per_step"] = self._milliseconds(run)
        curve = [
            {
                "step": int(line["step"]),
                "loss": round(line["loss"], 6),
                "test_accuracy": round(100 * line["validation_accuracy"], 4),
            }
            for line in trained.lines
            if "validation_accuracy" in line
        ]
        return Outcome(row, curve=curve)

    def _fit(self, run: Run, rate: float, held_out: Dataset, tools: Tools) -> TrainingResult:
        return train_network(
            self.network,
            self.train,
            held_out,
            optimizer=optimizer_of(run.config["rule"]),
            rate=rate,
            steps=run.config["steps"],
            batch_size=run.config["batch_size"],
            seed=run.config["seed"],
            tools=tools,
            evaluations=run.config["evaluations"],
            may_diverge=True,
        )

    def _milliseconds(self, run: Run) -> float:
        """What a step takes, nothing else in the loop and its program compiled: the fastest of some
        passages, since what else the machine does only adds to them. At rate 0 none diverges."""
        optimizer = optimizer_of(run.config["rule"])
        variables = initialise(self.network, self.train.images.shape[1:], run.config["seed"])
        passed: list[tuple[int, float]] = []
        fit(
            set_rate(create_state(variables, optimizer, jax.random.key(0)), 0.0),
            (jnp.asarray(self.train.images), jnp.asarray(self.train.labels)),
            network=self.network,
            task=classification,
            optimizer=optimizer,
            steps=TIMED_STEPS,
            batch_size=run.config["batch_size"],
            seed=run.config["seed"],
            log_every=TIMED_STEPS // 3,
            on_steps=lambda step: passed.append((step, time.perf_counter())),
        )
        paces = [(t - s) / (n - m) for (m, s), (n, t) in pairwise(passed)]
        return round(1000 * min(paces), 3)


def _walks(rule: str, steps: int) -> Iterator[Run]:
    walks = {"rule": rule, "steps": steps}
    for i, slope in enumerate(SLOPES):
        config = {"kind": "slope", "slope": slope, "seed": i}
        yield Run(f"slope-{rule}-start{i}", walks | config, cost=1e5)
    for name, surface in SURFACES.items():
        given = [rate for rate, own in AT_ONE_RATE.get(name, {}).items() if rule in own]
        for rate in (None, *given):
            at = "" if rate is None else f"-rate{rate:g}"
            own = {"kind": "one rate" if at else "surface", "surface": name, "rate": rate}
            own |= {"formula": surface.formula, "rates": None if at else RATES}
            own |= {"tuned_from": None if at else tuning_starts(name)}
            for i, start in enumerate(surface.starts):
                config = walks | own | {"start": start, "seed": i}
                yield Run(f"{name}-{rule}{at}-start{i}", config, cost=1e5)
