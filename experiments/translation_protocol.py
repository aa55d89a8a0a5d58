"""Which runs the translation study consists of, and what one run does."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

import cnnjax
from cnnjax.data import Dataset, Splits, load
from cnnjax.data.augment import Augmentation, shift
from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError
from cnnjax.models import ConvStack, Network, check_takes
from cnnjax.models.ledger import ledger
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import train_network
from cnnjax.training import Variables, adam, classification, duration, evaluate
from cnnjax.training.schedules import cosine

NETWORKS = ("mlp", "lenet5")
TRAININGS = ("centred", "shifted")
STACKS = {
    "one-7x7": (7,),
    "three-3x3": (3, 3, 3),
    "one-11x11": (11,),
    "five-3x3": (3, 3, 3, 3, 3),
}
"""Kernels, after a first convolution of 3 x 3 that all have."""
FIRST = 3
ALL = (*NETWORKS, *STACKS)
RATES = {
    "mlp": 0.0003,
    "lenet5": 0.01,
    "one-7x7": 0.003,
    "three-3x3": 0.01,
    "one-11x11": 0.001,
    "five-3x3": 0.01,
}
"""Where Adam's cosine begins: of 0.0003, 0.001, 0.003, 0.01 and 0.03, each tried once on another
seed, the one that gave the highest test accuracy, for the MLP and LeNet-5 on shifted digits after
training on shifted digits."""


@dataclass(frozen=True)
class Recipe:
    """What all runs of the study have in common; with the data, it determines every number."""

    dataset: str
    digit_size: int
    canvas: int
    stack_size: int
    stack_features: int
    reach: int
    probes: int
    steps: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float | None
    seed: int


class Protocol:
    """The runs of a study, made from its recipe."""

    def __init__(self, recipe: Recipe, seeds: int, networks: Sequence[str] = ALL) -> None:
        """
        Args:
          recipe: what all runs share.
          seeds: how many repetitions.
          networks: those to train.

        Raises:
          CnnjaxError: anything in it that cannot be, before anything is computed.
        """
        if unknown := [name for name in networks if name not in ALL]:
            raise CnnjaxError(
                f"there is no network {unknown[0]!r} in this study; there are {', '.join(ALL)}"
            )
        self.recipe, self.chosen = recipe, networks
        digits = load(recipe.dataset, image_size=recipe.digit_size)
        self.data = digits.map(lambda part: on_ground(part, recipe.canvas))
        self.small = load(recipe.dataset, image_size=recipe.stack_size)
        self.fingerprint = "-".join(
            part.fingerprint()[:16]
            for splits in (self.data, self.small)
            for part in (splits.train, splits.test)
        )
        classes = self.data.train.num_classes
        self.networks: dict[str, Network] = {
            name: cnnjax.create(name, num_classes=classes) for name in NETWORKS
        }
        self.networks |= {
            name: ConvStack(
                kernels=(FIRST, *kernels),
                features=recipe.stack_features,
                padding="same",
                num_classes=classes,
            )
            for name, kernels in STACKS.items()
        }
        self.sizes: dict[str, Row] = {}
        for name, network in self.networks.items():
            shape = self.splits(name).train.images.shape[1:]
            check_takes(network, shape)
            counted = ledger(network, shape)
            self.sizes[name] = {
                "parameters": counted.total("parameters"),
                "multiply_adds": counted.total("multiply_adds"),
            }
        self.steps = duration(
            len(self.data.train), recipe.batch_size, steps=recipe.steps, epochs=recipe.epochs
        )
        self.plan = Plan(self._runs(range(recipe.seed, recipe.seed + seeds)))

    def splits(self, name: str) -> Splits:
        """The images for that network."""
        return self.small if name in STACKS else self.data

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        config, name = run.config, run.config["network"]
        network, (train, _, test) = self.networks[name], self.splits(name)
        trained = train_network(
            network,
            train,
            test,
            optimizer=adam(cosine(config["learning_rate"], self.steps)),
            steps=self.steps,
            batch_size=self.recipe.batch_size,
            seed=config["seed"],
            tools=tools,
            augment=random_shift(config["training"], self.recipe.reach, self.recipe.canvas),
        )
        row = {
            "network": name,
            "training": config["training"],
            "seed": config["seed"],
            "learning_rate": config["learning_rate"],
            **self.sizes[name],
            "accuracy": round(100 * trained.test["accuracy"], 4),
            "shifted_accuracy": None,
            "loss": round(trained.test["loss"], 6),
            "steps": self.steps,
        }
        if name in STACKS:
            return Outcome(row)
        places = self._accuracy_by_shift(network, trained.variables)
        row["shifted_accuracy"] = round(
            float(np.mean([place["accuracy"] for place in places if place["shift"]])), 4
        )
        return Outcome(row, curve=places)

    def _accuracy_by_shift(self, network: Network, variables: Variables) -> list[Row]:
        """A row for each shift: accuracy in %, mean over the eight directions, and the part of the
        ink that is still in the picture, in %."""
        test, recipe = self.data.test, self.recipe
        if len(test) > recipe.probes:
            test = test.take(stream(recipe.seed).permutation(len(test))[: recipe.probes])
        ink, rows = float(test.images.sum()), []
        for pixels in range(recipe.reach + 1):
            moved = [moved_by(test.images, *step) for step in directions(pixels)]
            found = [
                evaluate(
                    network,
                    classification,
                    variables,
                    (jnp.asarray(images), jnp.asarray(test.labels)),
                )["accuracy"]
                for images in moved
            ]
            rows.append(
                {
                    "shift": pixels,
                    "accuracy": round(100 * float(np.mean(found)), 4),
                    "worst": round(100 * min(found), 4),
                    "ink": round(100 * float(np.mean([m.sum() / ink for m in moved])), 3),
                }
            )
        return rows

    def _runs(self, seeds: range) -> Iterator[Run]:
        recipe = self.recipe
        arms = [(name, training) for name in NETWORKS for training in TRAININGS]
        arms += [(name, "centred") for name in STACKS]
        # An arm at a time: its program, compiled once, then serves all of its runs.
        for name, training in [arm for arm in arms if arm[0] in self.chosen]:
            stack = name in STACKS
            for seed in seeds:
                config = {
                    "data": self.fingerprint,
                    "network": name,
                    "kernels": [FIRST, *STACKS[name]] if stack else None,
                    "features": recipe.stack_features if stack else None,
                    "training": training,
                    "reach": None if stack else recipe.reach,
                    "probes": None if stack else recipe.probes,
                    "steps": self.steps,
                    "batch_size": recipe.batch_size,
                    "optimizer": "adam, cosine",
                    "learning_rate": recipe.learning_rate or RATES[name],
                    "seed": seed,
                }
                kind = name if stack else f"{name}-{training}"
                cost = 3.0 * self.steps * recipe.batch_size * self.sizes[name]["multiply_adds"]
                yield Run(f"{kind}-seed{seed}", config, cost=cost)


def on_ground(dataset: Dataset, canvas: int) -> Dataset:
    """The images in the middle of a black ground of canvas x canvas pixels.

    Raises:
      CnnjaxError: they are larger than it.
    """
    height, width = dataset.images.shape[1:3]
    if max(height, width) > canvas:
        raise CnnjaxError(
            f"images of {height} x {width} pixels are larger than --canvas {canvas}; give more, or "
            "a smaller --digit-size"
        )
    pads = [(0, 0), *(((canvas - n) // 2, canvas - n - (canvas - n) // 2) for n in (height, width))]
    return dataclasses.replace(dataset, images=np.pad(dataset.images, [*pads, (0, 0)]))


def random_shift(training: str, reach: int, canvas: int) -> Augmentation | None:
    """The shift of an arm's training images: U(-reach, reach) pixels across and as many down."""
    return shift(reach / canvas, fill="constant") if training == "shifted" else None


def directions(pixels: int) -> list[tuple[int, int]]:
    """(down, right) in pixels of the eight shifts by so many along rows, columns or both.

    >>> directions(0), len(directions(2)), directions(2)[:3]
    ([(0, 0)], 8, [(-2, -2), (-2, 0), (-2, 2)])
    """
    steps = (-pixels, 0, pixels)
    return sorted({(y, x) for y in steps for x in steps} - ({(0, 0)} if pixels else set()))


def moved_by(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images `[N, H, W, C]` moved by whole pixels; black comes in."""
    height, width = images.shape[1:3]
    moved = np.zeros_like(images)
    rows, columns = (slice(max(0, d), n + min(0, d)) for d, n in ((down, height), (right, width)))
    from_rows, from_columns = (
        slice(max(0, -d), n + min(0, -d)) for d, n in ((down, height), (right, width))
    )
    moved[:, rows, columns] = images[:, from_rows, from_columns]
    return moved
