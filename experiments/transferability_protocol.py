"""Which runs the transferability study consists of, and what one run does."""

from collections.abc import Iterator, Mapping

import optax
from transferability_halves import Half, Recipe, make_halves

import cnnjax
from cnnjax.command import REPETITIONS
from cnnjax.data import load
from cnnjax.errors import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.training import Variables, classification, duration, momentum_sgd
from cnnjax.transfer import FeatureStore, initialise, train_behind_prefix, variable_shapes
from cnnjax.transfer.treatments import (
    TREATMENTS,
    Start,
    Treatment,
    copies_from,
    frozen_stages,
    start_treatment,
)

MOMENTUM = 0.9

CACHE_LIMIT = 2 * 2**30
"""Features of frozen layers are kept while they take at most so many bytes."""


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
        if not REPETITIONS.includes(splits):
            raise CnnjaxError(f"--splits is {splits}, which cannot be; give {REPETITIONS.words}")
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
            (split, name): half
            for split in range(splits)
            for name, half in make_halves(recipe, self.data, split).items()
        }
        first = self.halves[0, "A"]
        check_takes(first.network, first.train.images.shape[1:])
        self._costs = multiply_adds(first.network, first.train.images.shape[1:])
        self._store = FeatureStore(limit=2 * CACHE_LIMIT)
        self.plan = Plan(run for split in range(splits) for run in self._runs(split))

    def steps(self, run: Run) -> int:
        """How many steps the training of that run takes."""
        return int(run.config["steps"])

    def half(self, run: Run) -> Half:
        """What that run trains on."""
        return self.halves[run.config["split"], run.config["target"]]

    def fresh(self, run: Run) -> dict:
        """The initial weights of all its stages."""
        half = self.half(run)
        return initialise(half.network, half.train.images.shape[1:], run.config["init_seed"])

    def start(self, run: Run, fresh: Variables, trained: Variables | None) -> Start:
        """Where its training begins, given the weights of the run that it needs, if any."""
        network, config = self.half(run).network, run.config
        return start_treatment(network, config["treatment"], config["n"], fresh, trained)

    def optimizer(self, run: Run) -> optax.GradientTransformation:
        """The same object for runs of the same length."""
        recipe, steps = self.recipe, self.steps(run)
        return momentum_sgd(
            recipe.learning_rate,
            steps,
            momentum=MOMENTUM,
            weight_decay=recipe.weight_decay,
            warmup=min(round(recipe.warmup * steps), steps - 1),
        )

    def row(self, run: Run, test: Mapping[str, float]) -> Row:
        """Of results, given what was measured on the test set."""
        own = {name: run.config[name] for name in ("treatment", "n", "split", "source", "target")}
        return {
            **own,
            "accuracy": round(100 * test["accuracy"], 4),
            "loss": round(test["loss"], 6),
            "steps": self.steps(run),
        }

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        half, config = self.half(run), run.config
        trained = None
        if run.needs:
            source = self.halves[config["split"], config["source"]].network
            like = variable_shapes(source, half.train.images.shape[1:])
            trained = tools.weights(run.needs[0], like)
        start = self.start(run, self.fresh(run), trained)
        result = train_behind_prefix(
            half.network,
            start.variables,
            start.frozen,
            half.train,
            half.test,
            task=classification,
            optimizer=self.optimizer(run),
            steps=self.steps(run),
            batch_size=self.recipe.batch_size,
            seed=config["order_seed"],
            cache_limit=CACHE_LIMIT,
            store=self._store,
            directory=tools.directory,
            on_steps=tools.on_steps,
            report=tools.report,
        )
        return Outcome(self.row(run, result.test), result.variables)

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
            cost=self._cost(steps, frozen_stages(treatment, n), half),
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
