"""Which runs the study of batch normalisation consists of, and what one run does."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from batch_norm_arms import HIDDEN, PARTS, Arm, arms
from batch_norm_measures import (
    as_line,
    batch_accuracy,
    drift,
    percentile_names,
    sigmoid_inputs,
)
from optax import GradientTransformation

from cnnjax.data import Dataset, load
from cnnjax.errors import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.results import in_percent
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import curve, train_network
from cnnjax.training import momentum_sgd, rate_in_state, sgd
from cnnjax.training.fit import Measure

MOMENTUM = 0.9
"""Of the convolutional network's training; the paper's SGD has one too, without saying which."""
MOMENTS = {"figure1": 25, "rates": 25, "batches": 10}
"""Looks at the test set along the way."""
COLUMNS = (
    *("run", "part", "normalised", "activation", "multiple", "learning_rate", "batch_size"),
    *("seed", "accuracy", "best_accuracy", "batch_accuracy", "loss", "diverged", "drift", "unit"),
    *("classes", "steps", "seconds", "config_hash"),
)
CURVE_COLUMNS = (
    *("run", "step", "train_loss", "train_accuracy", "test_accuracy", "batch_accuracy"),
    *("p15", "p50", "p85"),
)


@dataclass(frozen=True)
class Recipe:
    """What determines every number, together with the data."""

    dataset: str
    image_size: int | None
    binary: bool
    steps: int
    batch_size: int
    learning_rate: float
    std: float
    conv_steps: int
    conv_batch_size: int
    conv_rate: float
    batch_sizes: tuple[int, ...]
    batch_images: int
    seed: int


class Protocol:
    """The runs of the study: every arm with the same seeds.

    Args:
      recipe: what they have in common.
      parts: of `PARTS`.
      seeds: how many runs each arm has.

    Raises:
      CnnjaxError: data that cannot be had, or a part that there is not.
    """

    def __init__(self, recipe: Recipe, parts: tuple[str, ...], seeds: int) -> None:
        if unknown := [part for part in parts if part not in PARTS]:
            raise CnnjaxError(
                f"there is no part {unknown[0]!r}; the parts of the study are {', '.join(PARTS)}"
            )
        data = load(recipe.dataset, image_size=recipe.image_size)
        if recipe.binary:
            data = data.map(black_and_white)
        self.recipe, self.train, self.test = recipe, data.train, data.test
        self.fingerprint = f"{self.train.fingerprint()[:16]}-{self.test.fingerprint()[:16]}"
        self._shape, self._costs = self.train.images.shape[1:], {}
        self.arms = {
            arm.stem: arm
            for arm in arms(parts, recipe.batch_size, recipe.conv_batch_size, recipe.batch_sizes)
        }
        self.plan = Plan(
            run for arm in self.arms.values() for run in self._runs(arm, recipe.seed, seeds)
        )
        self.examples_per_step = {
            name: int(run.config["batch_size"]) for name, run in self.plan.runs.items()
        }

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains one network and measures it along the way."""
        config, recipe = run.config, self.recipe
        arm, seed, steps = self.arms[config["stem"]], config["seed"], config["steps"]
        network = arm.network(self.train.num_classes, recipe.std)
        trained = train_network(
            network,
            self.train,
            self.test,
            optimizer=optimizer(arm.part, steps),
            rate=config["learning_rate"],
            steps=steps,
            batch_size=arm.batch_size,
            seed=seed,
            tools=tools,
            evaluations=MOMENTS[arm.part],
            measure=self._measure(arm),
            variables=arm.initialise(network, self._shape, seed),
            may_diverge=True,
        )
        moments = [
            point | {"batch_accuracy": in_percent(line.get("batch_accuracy"))}
            for point, line in zip(curve(trained), trained.lines, strict=True)
        ]
        row: Row = {"drift": None, "unit": None}
        if arm.part == "figure1" and not trained.diverged:
            moved, unit = drift(trained.lines, HIDDEN[-1])
            row = {"drift": round(moved, 4), "unit": unit}
            names = percentile_names(unit)
            for point, line in zip(moments, trained.lines, strict=True):
                values = (round(line[name], 4) for name in names)
                point |= dict(zip(("p15", "p50", "p85"), values, strict=True))
        accuracy = in_percent(trained.test["accuracy"])
        along = [point["test_accuracy"] for point in moments if point["test_accuracy"] is not None]
        row |= {
            "part": arm.part,
            "normalised": int(arm.normalised),
            "activation": arm.activation,
            "multiple": arm.multiple,
            "learning_rate": config["learning_rate"],
            "batch_size": arm.batch_size,
            "seed": seed,
            "accuracy": accuracy,
            "best_accuracy": max([accuracy, *along]),
            "batch_accuracy": moments[-1]["batch_accuracy"] if not trained.diverged else None,
            "loss": round(trained.test["loss"], 6),
            "diverged": int(trained.diverged),
            "classes": self.train.num_classes,
            "steps": steps,
        }
        return Outcome({name: row[name] for name in COLUMNS[1:-2]}, curve=moments)

    def _measure(self, arm: Arm) -> Measure | None:
        network = arm.network(self.train.num_classes, self.recipe.std)
        by_batch = batch_accuracy(network, self.test, arm.batch_size) if arm.normalised else None
        inputs = sigmoid_inputs(network, self.train) if arm.part == "figure1" else None

        def measure(variables: Mapping) -> dict[str, float]:
            found = {} if by_batch is None else {"batch_accuracy": by_batch(variables)}
            return found if inputs is None else found | as_line(inputs(variables))

        return measure

    def _runs(self, arm: Arm, seed: int, seeds: int) -> Iterator[Run]:
        recipe = self.recipe
        network = arm.network(self.train.num_classes, recipe.std)
        if (kind := (arm.part == "figure1", arm.normalised)) not in self._costs:
            check_takes(network, self._shape)
            self._costs[kind] = sum(multiply_adds(network, self._shape).values())
        steps, rate = recipe.conv_steps, arm.multiple * recipe.conv_rate
        if arm.part == "figure1":
            steps, rate = recipe.steps, recipe.learning_rate
        elif arm.part == "batches":
            # As many images for all, and a rate in proportion to the batch.
            steps = max(1, recipe.batch_images // arm.batch_size)
            rate *= arm.batch_size / recipe.conv_batch_size
        for number in range(seed, seed + seeds):
            yield Run(
                name=f"{arm.stem}-seed{number}",
                config={
                    "data": self.fingerprint,
                    "stem": arm.stem,
                    **dataclasses.asdict(arm),
                    "std": recipe.std if arm.part == "figure1" else None,
                    "learning_rate": round(rate, 9),
                    "momentum": 0.0 if arm.part == "figure1" else MOMENTUM,
                    "moments": MOMENTS[arm.part],
                    "steps": steps,
                    "seed": number,
                },
                cost=3.0 * steps * arm.batch_size * self._costs[kind],
            )


def optimizer(part: str, steps: int) -> GradientTransformation:
    """Plain gradient descent at a constant rate for figure 1; with momentum and along a cosine for
    the convolutional network. The rate is in its state."""
    rule = sgd(1.0) if part == "figure1" else momentum_sgd(1.0, steps, momentum=MOMENTUM)
    return rate_in_state(rule)


def black_and_white(part: Dataset) -> Dataset:
    """Pixels from 128 on as 255 and others as 0: the paper's "binary image" (section 4.1)."""
    images = np.where(part.images >= 128, 255, 0).astype(np.uint8)
    return dataclasses.replace(part, images=images)
