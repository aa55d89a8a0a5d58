"""Which runs the study of little data consists of, and what one run does."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import jax
from little_data_ground import Ground, Settings
from optax import GradientTransformation

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.results import in_percent
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import train_network
from cnnjax.training import Variables, momentum_sgd
from cnnjax.training.lines import Line
from cnnjax.transfer import Head, Recipe, fine_tune, from_scratch, probe

ARMS = ("convnet", "scratch", "features", "last", "everything")
KEPT = ("features", "last", "everything")
"""The arms that begin with pretrained weights."""
TUNED = ("last", "everything")
"""Those that begin with the head of "features" too."""
MOMENTUM, WEIGHT_DECAY, WARMUP = 0.9, 1e-4, 0.1
MAX_GRADIENT_NORM = 1.0
"""In fine-tuning: deep networks with fixed batch norm lose what they knew without it."""
EVALUATIONS = 10
"""Looks at the test images along a training, at the largest size only; nothing is chosen there."""


class Protocol:
    """The runs of the study: every arm at every size with the same seeds and images.

    Args:
      settings: what they have in common.
      arms: some of `ARMS`; those that they need are always there.
      sizes: numbers of training images, shared evenly by the classes.
      seeds: how many runs each has.
      weights: of the pretrained network; without them it is trained on `settings.source` first.

    Raises:
      CnnjaxError: data or weights that cannot be had, or numbers that do not go with them.
    """

    def __init__(
        self,
        settings: Settings,
        arms: Sequence[str],
        sizes: Sequence[int],
        seeds: int,
        weights: Path | None = None,
    ) -> None:
        self.settings = settings
        self.ground = Ground(settings, sizes, weights)
        self._optimizers: dict[tuple[float, int], GradientTransformation] = {}
        self.plan = Plan(self._runs(arms, range(settings.seed, settings.seed + seeds)))

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        arm, seed, ground = run.config["arm"], run.config["seed"], self.ground
        if arm == "source":
            source = ground.source
            rate = self.settings.learning_rate
            return self._train(run, tools, ground.network, source.train, source.test, rate)
        train = ground.train.per_class(run.config["per_class"], seed)
        if arm == "convnet":
            rate = self.settings.convnet_rate
            return self._train(run, tools, ground.convnet, train, ground.test, rate)
        row = {"arm": arm, "images": len(train), "seed": seed}
        if arm == "features":
            return self._probe(row, train, self._weights(run, tools))
        shared = {
            "recipe": self.recipe(arm),
            "seed": seed,
            "evaluations": self._looks(run),
            "directory": tools.directory,
            "on_steps": tools.on_steps,
            "report": tools.report,
        }
        if arm == "scratch":
            case = from_scratch(ground.fresh, train, ground.test, **shared)
        else:
            case = fine_tune(
                ground.network,
                self._weights(run, tools),
                train,
                ground.test,
                last=self.settings.last if arm == "last" else None,
                head=Head(**tools.weights(run.needs[-1], ground.head_like())),
                store=ground.store,
                **shared,
            )
        trained = sum(stage.parameters for stage in case.audit.rows if stage.trained)
        row |= {"accuracy": in_percent(case.test["accuracy"]), "trained_parameters": trained}
        return Outcome(row | {"steps": self.settings.steps}, None, _curve(case.lines))

    def recipe(self, arm: str) -> Recipe:
        """How a case is trained: from scratch, or on from pretrained weights and a trained head,
        all at one small rate as in the blog."""
        rate = self.settings.learning_rate if arm == "scratch" else self.settings.tuning_rate
        return Recipe(
            steps=self.settings.steps,
            batch_size=self.settings.batch_size,
            learning_rate=rate,
            pretrained_factor=1.0,
            weight_decay=WEIGHT_DECAY,
            warmup=WARMUP,
            max_gradient_norm=MAX_GRADIENT_NORM if arm in TUNED else None,
            augment=self.ground.augment,
        )

    def _train(
        self,
        run: Run,
        tools: Tools,
        network: Network,
        train: Dataset,
        test: Dataset,
        rate: float,
    ) -> Outcome:
        """From scratch, by momentum along a cosine."""
        steps = int(run.config["steps"])
        trained = train_network(
            network,
            train,
            test,
            optimizer=self._momentum(rate, steps),
            steps=steps,
            batch_size=self.settings.batch_size,
            seed=run.config["seed"],
            tools=tools,
            evaluations=self._looks(run),
            augment=None if run.config["arm"] == "source" else self.ground.augment,
        )
        row = {
            "arm": run.config["arm"],
            "images": len(train),
            "seed": run.config["seed"],
            "accuracy": in_percent(trained.test["accuracy"]),
            "trained_parameters": _size(trained.variables["params"]),
            "steps": steps,
        }
        weights = trained.variables if run.config["arm"] == "source" else None
        return Outcome(row, weights, _curve(trained.lines))

    def _probe(self, row: Row, train: Dataset, variables: Variables) -> Outcome:
        """A logistic regression on what comes in front of the pretrained network's head."""
        found = probe(
            self.ground.network,
            variables,
            train,
            self.ground.test,
            stage=self.ground.bottleneck,
            seed=row["seed"],
            store=self.ground.store,
        )
        head = found.head._asdict()
        row |= {"accuracy": in_percent(found.accuracy), "trained_parameters": _size(head)}
        return Outcome(row | {"steps": None}, head)

    def _weights(self, run: Run, tools: Tools) -> Variables:
        """Of the pretrained network, from its file or from its run."""
        if self.ground.given is not None:
            return self.ground.given
        return tools.weights(run.needs[0], self.ground.weights_like())

    def _looks(self, run: Run) -> int:
        largest = run.config["per_class"] == self.ground.per_class[-1]
        return min(EVALUATIONS, self._steps(run.config["arm"])) if largest else 1

    def _momentum(self, rate: float, steps: int) -> GradientTransformation:
        """One object for one setting, so that seeds share a compiled step."""
        if (rate, steps) not in self._optimizers:
            self._optimizers[rate, steps] = momentum_sgd(
                rate,
                steps,
                momentum=MOMENTUM,
                weight_decay=WEIGHT_DECAY,
                warmup=min(round(WARMUP * steps), steps - 1),
            )
        return self._optimizers[rate, steps]

    def _runs(self, arms: Sequence[str], seeds: range) -> Iterator[Run]:
        """Each after those it needs: the pretrained network, and the head to go on from."""
        chosen = {*arms, "features"} if set(TUNED) & set(arms) else set(arms)
        pretrains = self.ground.source is not None and bool(chosen & set(KEPT))
        if pretrains:
            for seed in seeds:
                yield self._run("source", None, seed, ())
        for arm in (arm for arm in ARMS if arm in chosen):
            for per_class in self.ground.per_class:
                for seed in seeds:
                    needs = [f"source-seed{seed}"] if pretrains and arm in KEPT else []
                    if arm in TUNED:
                        needs.append(self._name("features", per_class, seed))
                    yield self._run(arm, per_class, seed, tuple(needs))

    def _run(self, arm: str, per_class: int | None, seed: int, needs: tuple[str, ...]) -> Run:
        config = asdict(self.settings)
        # fingerprints stand for the names of data, and each run has a seed of its own
        for name in ("source", "dataset", "convnet_steps", "seed"):
            del config[name]
        config |= {
            "arm": arm,
            "per_class": per_class,
            "steps": self._steps(arm),
            "max_gradient_norm": MAX_GRADIENT_NORM if arm in TUNED else None,
            "weights": self.ground.identity if arm in (*KEPT, "source") else None,
            "data": None if arm == "source" else self.ground.fingerprint,
            "seed": seed,
        }
        return Run(self._name(arm, per_class, seed), config, needs, self._cost(arm, per_class))

    def _steps(self, arm: str) -> int:
        settings = self.settings
        if arm == "convnet":
            return settings.convnet_steps or settings.steps
        return {"source": settings.source_steps, "features": 0}.get(arm, settings.steps)

    def _name(self, arm: str, per_class: int | None, seed: int) -> str:
        if per_class is None:
            return f"{arm}-seed{seed}"
        return f"{arm}-{per_class * self.ground.train.num_classes}-seed{seed}"

    def _cost(self, arm: str, per_class: int | None) -> float:
        """Multiply-adds: three forward passes' worth a step for what learns, one for the rest."""
        settings, ground = self.settings, self.ground
        costs = ground.costs["convnet" if arm == "convnet" else "network"]
        images, whole = (per_class or 0) * ground.train.num_classes, sum(costs)
        if arm == "features":
            return float(images * whole)
        steps = self._steps(arm)
        learning = sum(costs[-settings.last :]) if arm == "last" else whole
        passes = settings.batch_size * steps if ground.augment else images + len(ground.test)
        frozen = (whole - learning) * passes
        return 3.0 * steps * settings.batch_size * learning + frozen + len(ground.test) * learning


def _curve(lines: Sequence[Line]) -> list[Row]:
    return [
        {
            "step": int(line["step"]),
            "train_accuracy": in_percent(line["accuracy"]),
            "test_accuracy": in_percent(line["validation_accuracy"]),
        }
        for line in lines
        if "validation_accuracy" in line
    ]


def _size(tree: object) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
