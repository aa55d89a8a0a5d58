"""Which runs the augmentation study consists of, and what one run does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

import cnnjax
from cnnjax.data import Dataset, load, padded_batches
from cnnjax.data.augment import Augmentation, compose, flip, rotate, shift
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import curve, train_network
from cnnjax.training import Variables, adam, classification, duration, evaluate
from cnnjax.training.steps import evaluate_batches

PARTS = ("rotate", "shift", "flip")
"""Of the lecture's recipe, in its order."""
ARMS = ("none", "all", *PARTS, *(f"all-{part}" for part in PARTS), "turn")
SIZES = ("full", "small")
LAST = 0.2
"""The part of the evaluations whose mean is the accuracy: the lecture's last 20 of 100 epochs."""

MIRRORED = ("bd", "NИ", "ЭЄ", "RЯ", "Pq")
"""Characters that are each other's mirror images in most faces."""
TURNED = ("69", "nu", "bq", "Pd", "ЭЄ", "mШ", "hЧ", "AV")
"""Characters that are each other, or nearly, upside down."""


@dataclass(frozen=True)
class Recipe:
    """What all runs of the study have in common; with the data, it determines every number."""

    dataset: str
    image_size: int | None
    network: str
    images_per_class: int | None
    small: float
    rotate: float
    shift: float
    steps: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float
    evaluations: int
    seed: int


class Protocol:
    """The runs of a study, made from its recipe."""

    def __init__(self, recipe: Recipe, seeds: int, arms: Sequence[str] = ARMS) -> None:
        """
        Args:
          recipe: what all runs share.
          seeds: how many repetitions.
          arms: those to run.

        Raises:
          CnnjaxError: anything in it that cannot be, before anything is computed.
        """
        if unknown := [arm for arm in arms if arm not in ARMS]:
            raise CnnjaxError(f"there is no arm {unknown[0]!r}; the arms are {', '.join(ARMS)}")
        self.recipe, self.arms = recipe, tuple(arm for arm in ARMS if arm in arms)
        data = load(recipe.dataset, image_size=recipe.image_size)
        self.fingerprint = f"{data.train.fingerprint()[:16]}-{data.test.fingerprint()[:16]}"
        self.full, self.test = data.train, data.test
        if recipe.images_per_class is not None:
            self.full = self.full.per_class(recipe.images_per_class, recipe.seed)
        fewest = int(np.bincount(self.full.labels, minlength=self.full.num_classes).min())
        self.few = round(recipe.small * fewest)
        if self.few < 1:
            raise CnnjaxError(
                f"--small {recipe.small:g} of {fewest} images of a class is none; give more"
            )
        self.network = cnnjax.create(recipe.network, num_classes=self.full.num_classes)
        shape = self.full.images.shape[1:]
        check_takes(self.network, shape)
        self._cost = sum(multiply_adds(self.network, shape).values())
        self.steps = duration(
            len(self.full), recipe.batch_size, steps=recipe.steps, epochs=recipe.epochs
        )
        self.plan = Plan(self._runs(range(recipe.seed, recipe.seed + seeds)))

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        config = run.config
        part = self.train(config["size"], config["seed"])
        trained = train_network(
            self.network,
            part,
            self.test,
            optimizer=adam(self.recipe.learning_rate),
            steps=self.steps,
            batch_size=self.recipe.batch_size,
            seed=config["seed"],
            tools=tools,
            evaluations=self.recipe.evaluations,
            augment=augmentation(config["arm"], self.recipe.rotate, self.recipe.shift),
        )
        measured = curve(trained)
        seen = evaluate(
            self.network,
            classification,
            trained.variables,
            (jnp.asarray(part.images), jnp.asarray(part.labels)),
        )
        row = {
            "arm": config["arm"],
            "size": config["size"],
            "images": config["images"],
            "seed": config["seed"],
            **last_fifth(measured),
            "train_accuracy": round(100 * seen["accuracy"], 4),
            **twins_accuracy(self.network, trained.variables, self.test),
            "loss": round(trained.test["loss"], 6),
            "steps": self.steps,
        }
        return Outcome(row, curve=measured)

    def train(self, size: str, seed: int) -> Dataset:
        """The training images of that size.

        The small part is repeated to the length of the whole, so that both run the same compiled
        program; each of its images comes as often as any other, up to one.
        """
        if size == "full":
            return self.full
        part = self.full.per_class(self.few, seed)
        return part.take(np.resize(np.arange(len(part)), len(self.full)))

    def _runs(self, seeds: range) -> Iterator[Run]:
        recipe = self.recipe
        # An arm at a time: its program, compiled once, then serves all of its runs.
        for arm in self.arms:
            for size in SIZES:
                for seed in seeds:
                    images = len(self.full)
                    if size == "small":
                        images = self.few * self.full.num_classes
                    yield Run(
                        f"{arm}-{size}-seed{seed}",
                        {
                            "data": self.fingerprint,
                            "images_per_class": recipe.images_per_class,
                            "subset_seed": recipe.seed,
                            "network": recipe.network,
                            "arm": arm,
                            "rotate": recipe.rotate,
                            "shift": recipe.shift,
                            "size": size,
                            "images": images,
                            "steps": self.steps,
                            "batch_size": recipe.batch_size,
                            "optimizer": "adam",
                            "learning_rate": recipe.learning_rate,
                            "evaluations": recipe.evaluations,
                            "seed": seed,
                        },
                        cost=3.0 * self.steps * recipe.batch_size * self._cost,
                    )


def augmentation(arm: str, degrees: float, distance: float) -> Augmentation | None:
    """What an arm does to its training images; equal arms are equal objects.

    >>> [type(stage).__name__ for stage in augmentation("all-shift", 15, 0.1).stages]
    ['Rotate', 'Flip']
    """
    make = {"rotate": rotate(degrees), "shift": shift(distance), "flip": flip()}
    if arm == "none":
        return None
    if arm == "turn":
        return compose(rotate(180))
    left_out = arm.removeprefix("all-")
    names = [left_out] if arm in PARTS else [part for part in PARTS if part != left_out]
    return compose(*(make[name] for name in names))


def last_fifth(measured: list[Row]) -> dict[str, float]:
    """`accuracy`, the mean of the last fifth of the evaluations in %, and `before`, that of the
    fifth before it."""
    found = [row["test_accuracy"] for row in measured if row["test_accuracy"] is not None]
    count = max(1, round(LAST * len(found)))
    last, before = found[-count:], found[-2 * count : -count] or found[:1]
    return {
        "accuracy": round(float(np.mean(last)), 4),
        "before": round(float(np.mean(before)), 4),
    }


def twins_accuracy(
    network: Network, variables: Variables, test: Dataset
) -> dict[str, float | None]:
    """Accuracy in % on characters that mirroring, or turning, makes another one of the data set,
    and on those that neither does; None where there are none."""
    names = {name: i for i, name in enumerate(test.classes)}
    ids = {
        kind: {names[c] for pair in pairs if set(pair) <= names.keys() for c in pair}
        for kind, pairs in (("mirrored", MIRRORED), ("turned", TURNED))
    }
    twins = ids["mirrored"] | ids["turned"]
    ids["others"] = set(names.values()) - twins if twins else set()
    indices, mask = padded_batches(len(test), 256)  # as `evaluate`, whose program serves here too
    images, labels = jnp.asarray(test.images), jnp.asarray(test.labels)
    found: dict[str, float | None] = dict.fromkeys(ids)
    for kind, chosen in ids.items():
        weights = mask * np.isin(test.labels, sorted(chosen))[indices].astype(np.float32)
        sums = evaluate_batches(
            variables, images, labels, indices, weights, network=network, task=classification
        )
        if chosen:
            found[kind] = round(100 * classification.report(sums)["accuracy"], 4)
    return found
