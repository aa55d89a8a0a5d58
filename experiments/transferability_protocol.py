"""Which runs the transferability study consists of, and what one run does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cnnjax
from cnnjax.data import Dataset, Splits, load
from cnnjax.data.halves import group_halves, halves_from_file, random_halves
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Tools
from cnnjax.training import classification, duration, momentum_sgd
from cnnjax.transfer import FeatureStore, initialise, train_behind_prefix, variable_shapes
from cnnjax.transfer.treatments import TREATMENTS, Treatment, copies_from, start_treatment

MOMENTUM = 0.9

CACHE_LIMIT = 2 * 2**30
"""Features of frozen layers are kept while they take at most so many bytes."""


@dataclass(frozen=True)
class Recipe:
    """What all runs of the study have in common; with the data, it determines every number."""

    dataset: str
    image_size: int | None
    network: str
    split: str
    images_per_class: int | None
    steps: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    seed: int


class Half(NamedTuple):
    """The images of one half of the classes."""

    train: Dataset
    test: Dataset
    network: Network


class Protocol:
    """The runs of a study, made from its recipe and the chosen part of its arms."""

    def __init__(
        self,
        recipe: Recipe,
        splits: int,
        both_directions: bool,
        layers: tuple[int, ...] | None,
        treatments: tuple[str, ...],
    ) -> None:
        """
        Args:
          recipe: what all runs share.
          splits: how many repetitions, each with halves, fresh layers and order of its own.
          both_directions: transfer from B to A as well.
          layers: the values of n; every possible one by default.
          treatments: which arms; the bases they need are always there.

        Raises:
          CnnjaxError: anything in it that cannot be, before anything is computed.
        """
        if splits < 1:
            raise CnnjaxError(f"--splits is {splits}; give at least 1")
        self.recipe = recipe
        self.data = load(recipe.dataset, image_size=recipe.image_size)
        self.fingerprint = (
            f"{self.data.train.fingerprint()[:16]}-{self.data.test.fingerprint()[:16]}"
        )
        stages = cnnjax.create(recipe.network).stages
        self.layers = tuple(range(1, len(stages))) if layers is None else layers
        if outside := [n for n in self.layers if not 1 <= n < len(stages)]:
            raise CnnjaxError(
                f"--layers asks for n = {outside[0]}, but {recipe.network} has {len(stages)} "
                f"stages; n is between 1 and {len(stages) - 1}, so that at least the last is new"
            )
        if unknown := [t for t in treatments if t not in TREATMENTS]:
            raise CnnjaxError(
                f"there is no treatment {unknown[0]!r}; the treatments are {', '.join(TREATMENTS)}"
            )
        self.treatments = tuple(t for t in TREATMENTS if t in treatments)
        self.directions = (("A", "B"), ("B", "A")) if both_directions else (("A", "B"),)
        self.halves = {
            (split, name): self._half(split, ids)
            for split in range(splits)
            for name, ids in zip("AB", self._class_halves(split), strict=True)
        }
        first = self.halves[0, "A"]
        check_takes(first.network, first.train.images.shape[1:])
        self._costs = multiply_adds(first.network, first.train.images.shape[1:])
        self._store = FeatureStore(limit=2 * CACHE_LIMIT)
        self.plan = Plan(run for split in range(splits) for run in self._runs(split))

    def steps(self, run: Run) -> int:
        """How many steps the training of that run takes."""
        return int(run.config["steps"])

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        config, recipe = run.config, self.recipe
        treatment, n, target = config["treatment"], config["n"], config["target"]
        half = self.halves[config["split"], target]
        shape = half.train.images.shape[1:]
        fresh = initialise(half.network, shape, config["init_seed"])
        trained = None
        if run.needs:
            like = variable_shapes(self.halves[config["split"], config["source"]].network, shape)
            trained = tools.weights(run.needs[0], like)
        start = start_treatment(half.network, treatment, n, fresh, trained)
        steps = self.steps(run)
        result = train_behind_prefix(
            half.network,
            start.variables,
            start.frozen,
            half.train,
            half.test,
            task=classification,
            optimizer=momentum_sgd(
                recipe.learning_rate,
                steps,
                momentum=MOMENTUM,
                weight_decay=recipe.weight_decay,
                warmup=min(round(recipe.warmup * steps), steps - 1),
            ),
            steps=steps,
            batch_size=recipe.batch_size,
            seed=config["order_seed"],
            cache_limit=CACHE_LIMIT,
            store=self._store,
            directory=tools.directory,
            on_steps=tools.on_steps,
            report=tools.report,
        )
        row = {
            "treatment": treatment,
            "n": n,
            "split": config["split"],
            "source": config["source"],
            "target": target,
            "accuracy": round(100 * result.test["accuracy"], 4),
            "loss": round(result.test["loss"], 6),
            "steps": steps,
        }
        return Outcome(row, result.variables)

    def _class_halves(self, split: int) -> tuple[object, object]:
        kind, classes = self.recipe.split, self.data.train.classes
        if kind == "random":
            return random_halves(len(classes), 1_000 * self.recipe.seed + split)
        if kind.startswith("file:"):
            return halves_from_file(kind.removeprefix("file:"), classes)
        if kind.endswith("-vs-others"):
            return group_halves(classes, self.data.train.groups, kind.removesuffix("-vs-others"))
        raise CnnjaxError(
            f"there is no split {kind!r}; give random, GROUP-vs-others (e.g. latin-vs-others) or "
            "file:PATH"
        )

    def _half(self, split: int, class_ids: object) -> Half:
        data: Splits = self.data.select_classes(class_ids)
        train = data.train
        if self.recipe.images_per_class is not None:
            train = train.per_class(self.recipe.images_per_class, self.recipe.seed + split)
        if train.num_classes < 2:
            raise CnnjaxError(
                f"a half of {self.recipe.dataset} has {train.num_classes} class; each needs at "
                "least 2; choose other halves, or a data set with at least 4 classes"
            )
        network = cnnjax.create(self.recipe.network, num_classes=train.num_classes)
        return Half(train, data.test, network)

    def _runs(self, split: int) -> Iterator[Run]:
        """The runs of one split, each after those it needs."""
        transfers = [t for t in self.treatments if t not in ("base", "base2x")]
        origins = {copies_from(t) for t in transfers}
        bases = {target for _, target in self.directions}
        if "source" in origins or "base" in self.treatments:
            bases |= {source for source, _ in self.directions}
        for half in sorted(bases):
            yield self._run(split, "base", 0, half, half)
        for source, target in self.directions:
            if "base2x" in self.treatments:
                yield self._run(split, "base2x", 0, target, target)
            for treatment in transfers:
                origin = source if treatment.startswith("A") else target
                for n in self.layers:
                    yield self._run(split, treatment, n, origin, target)

    def _run(self, split: int, treatment: Treatment, n: int, source: str, target: str) -> Run:
        half, recipe = self.halves[split, target], self.recipe
        steps = duration(
            len(half.train), recipe.batch_size, steps=recipe.steps, epochs=recipe.epochs
        )
        if treatment == "base2x":
            steps *= 2
        origin = copies_from(treatment)
        # Bases have fresh layers of their own; all other arms of a target share theirs, and their
        # order of examples, so that they differ in the treatment alone.
        role = 0 if treatment in ("base", "base2x") else 1
        seed = 10_000 * recipe.seed + 100 * split + 10 * "AB".index(target) + role
        return Run(
            name=_name(split, treatment, n, source, target),
            config={
                "data": self.fingerprint,
                "network": recipe.network,
                "treatment": treatment,
                "n": n,
                "split": split,
                "source": source,
                "target": target,
                "target_classes": list(half.train.classes),
                "images_per_class": recipe.images_per_class,
                "steps": steps,
                "batch_size": recipe.batch_size,
                "learning_rate": recipe.learning_rate,
                "momentum": MOMENTUM,
                "weight_decay": recipe.weight_decay,
                "warmup": recipe.warmup,
                "init_seed": seed,
                "order_seed": seed,
            },
            needs=(_name(split, "base", 0, source, source),) if origin else (),
            cost=self._cost(steps, n if treatment in ("BnB", "AnB", "random") else 0, half),
        )

    def _cost(self, steps: int, frozen: int, half: Half) -> float:
        """Multiply-adds: three forward passes' worth for each step through what learns (the
        gradients of inputs and of weights), one through what is frozen for each image, one for each
        test image."""
        costs = list(self._costs.values())
        learning = sum(costs[frozen:])
        features = sum(costs[:frozen]) * (len(half.train) + len(half.test))
        return (
            3.0 * steps * self.recipe.batch_size * learning + features + len(half.test) * learning
        )


def _name(split: int, treatment: Treatment, n: int, source: str, target: str) -> str:
    """The paper's names, with the split in front: split0-baseA, split0-A3B, split0-B3B+."""
    if treatment in ("base", "base2x"):
        return f"split{split}-{treatment}{target}"
    if treatment == "random":
        return f"split{split}-random{n}{target}"
    return f"split{split}-{source}{n}{target}{'+' if treatment.endswith('+') else ''}"
