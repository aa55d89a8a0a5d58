"""Which options the advisor has, which runs measure them, and what one run does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from cnnjax import pretrained
from cnnjax.advisor.images import channels_of, even_part, joined, with_channels
from cnnjax.advisor.options import EVERYTHING, SCRATCH, Option, Terms, options
from cnnjax.advisor.pace import least_seconds, time_stages
from cnnjax.data import Dataset, load
from cnnjax.data.folds import stratified_folds
from cnnjax.errors import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.models.ledger import ledger
from cnnjax.studies.budget import Budget
from cnnjax.studies.figures import data_title
from cnnjax.studies.plans import Plan, Run, digest
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.training import duration
from cnnjax.transfer import (
    FeatureStore,
    Recipe,
    fine_tune,
    from_scratch,
    probe,
)
from cnnjax.transfer.feature_keys import describe, stage_hash
from cnnjax.transfer.probes import STRENGTHS, Probe

FEATURES = "features"
"""The run, and the group, that computes what all probes take."""
CURVE_COLUMNS = ("run", "stage", "seconds_per_image")
MAX_GRADIENT_NORM = 1.0
"""In fine-tuning: without it, a deep network of fixed batch norm ends at guessing."""
CHUNK = 256
"""Images between two looks at the clock while features are computed."""
COLUMNS = (
    *("run", "option", "case", "stage", "last", "split", "accuracy", "parameters"),
    *("multiply_adds", "seconds", "config_hash"),
)


def group_of(run: Run) -> str:
    """What stands or falls together: the splits of an option."""
    return run.config.get("option", FEATURES)


class Protocol:
    """The runs that answer the question for one data set and one network."""

    def __init__(self, terms: Terms, dataset: str, weights: str, store: FeatureStore) -> None:
        """
        Args:
          terms: of the measurement.
          dataset: its name.
          weights: of the network: a path, or a source.
          store: of the features.

        Raises:
          CnnjaxError: anything that cannot be, before anything is computed.
        """
        self.terms, self.store, self.data_name = terms, store, data_title(dataset)
        source = pretrained.load(terms.network, weights=weights)
        self.passport = source.passport
        self.source = _source_name(source.passport, weights)
        self.network, self.variables = source.network, source.variables
        size = terms.image_size or source.preprocessing.crop
        data = load(dataset, image_size=size)
        parts = [data.train, *([] if data.validation is None else [data.validation])]
        channels = channels_of(source.network, source.variables, parts[0].images.shape[1:])
        self.pool = with_channels(joined(parts), channels)
        self.test = with_channels(data.test, channels)
        if self.pool.num_classes < 2:
            raise CnnjaxError("there is one class; expected two or more to tell apart; add another")
        self.image = self.pool.images.shape[1:]
        self.folds = stratified_folds(self.pool, terms.folds, terms.seed, terms.repeats)
        classes = self.pool.num_classes
        self.target = self.network.clone(num_classes=classes)
        check_takes(self.target, self.image)
        self.tuning = Recipe(
            epochs=terms.epochs,
            batch_size=terms.batch_size,
            learning_rate=terms.learning_rate,
            pretrained_factor=terms.pretrained_factor,
            max_gradient_norm=MAX_GRADIENT_NORM,
        )
        self.fresh = Recipe(
            epochs=terms.scratch_epochs,
            batch_size=terms.batch_size,
            learning_rate=1e-3,
            optimizer="adam",
        )
        self.count = ledger(self.target, self.image)
        self.stages = self.target.stages[:-1]
        found = options(self.count, len(self.pool), self.folds[0], self.tuning, self.fresh)
        self.options = {option.name: option for option in found}
        self.fingerprint = {
            "images": self.pool.fingerprint()[:16],
            "weights": self._digest()[:16],
        }
        self.plan = Plan(self._runs())

    @property
    def test_to_train(self) -> float:
        """n_test / n_train of every split."""
        return len(self.folds[0].test) / len(self.folds[0].train)

    @property
    def config(self) -> dict[str, object]:
        """What two studies in one folder must share."""
        settings = {"tuning": asdict(self.tuning), "fresh": asdict(self.fresh)}
        settings["penalty"] = STRENGTHS[self.terms.classifier]
        return asdict(self.terms) | settings | self.fingerprint

    def perform(self, run: Run, tools: Tools, budget: Budget) -> Outcome:
        """Computes all features, or trains and measures one option on one split."""
        if run.name == FEATURES:
            return self._compute_features(budget)
        option, fold = self.options[run.config["option"]], self.folds[run.config["split"]]
        train, test = self.pool.take(fold.train), self.pool.take(fold.test)
        row: Row = {
            "option": option.name,
            "case": option.case,
            "stage": option.stage,
            "last": option.last or None,
            "split": run.config["split"],
        }
        if option.stage is not None:
            measured, parameters = self._probe(option.stage, train, test)
        else:
            steps = self._steps(option, len(train))
            watch = budget.pace(option.name, steps, extra=len(test) / (3 * self.terms.batch_size))

            def on_steps(step: int) -> None:
                tools.on_steps(step)
                watch(step)

            measured, parameters = self.train(
                option, train, test, tools.directory, on_steps, tools.report
            )[1:]
        row |= {
            "accuracy": round(100 * measured, 4),
            "parameters": parameters,
            "multiply_adds": round(option.cost),
        }
        return Outcome(row)

    def train(
        self,
        option: Option,
        train: Dataset,
        test: Dataset,
        directory: Path | None,
        on_steps: Callable[[int], None] = lambda step: None,
        report: Callable[[str], None] = lambda message: None,
    ) -> tuple[object, float, int]:
        """Trains the last stages, all of them, or a fresh network.

        Where pretrained stages are tuned, the new head begins as the probe of the last of them,
        which is the best that can be had from the features as they are: what the stages learn in
        the first steps is not led by a random head.

        Returns:
          The `CaseResult`, accuracy on the test images, parameters trained.
        """
        shared = {"directory": directory, "on_steps": on_steps, "report": report}
        seed = self.terms.seed
        if option.name == SCRATCH:
            found = from_scratch(self.target, train, test, recipe=self.fresh, seed=seed, **shared)
        else:
            head = self.fit_probe(self.stages[-1], train, test).head
            found = fine_tune(
                self.network,
                self.variables,
                train,
                test,
                last=None if option.name == EVERYTHING else option.last,
                recipe=self.tuning,
                seed=seed,
                head=head,
                store=self.store,
                **shared,
            )
        parameters = sum(row.parameters for row in found.audit.rows if row.trained)
        return found, found.test["accuracy"], parameters

    def is_training(self, run: Run) -> bool:
        """Whether stages are trained in that run."""
        return run.name != FEATURES and self.options[group_of(run)].stage is None

    def rough(self, run: Run, budget: Budget, stage_seconds: Mapping[str, float]) -> float:
        """Seconds that a training will take at least; 0 where that is not known.

        Args:
          run: of the plan.
          budget: knows the pace of the trainings before.
          stage_seconds: of the forward pass of one image.
        """
        if not self.is_training(run):
            return 0.0
        option = self.options[group_of(run)]
        size = len(self.folds[0].train)
        forward = {
            other.name: self._steps(other, size)
            * self.terms.batch_size
            * sum(stage_seconds.get(stage, 0.0) for stage in self.target.stages[-other.last :])
            for other in self.options.values()
            if other.last
        }
        return least_seconds(option.name, forward, budget.estimates)

    def _probe(self, stage: str, train: Dataset, test: Dataset) -> tuple[float, int]:
        found = self.fit_probe(stage, train, test)
        return found.accuracy, (found.features + 1) * train.num_classes

    def fit_probe(self, stage: str, train: Dataset, test: Dataset) -> Probe:
        """A classifier on the features of a stage."""
        return probe(
            self.network,
            self.variables,
            train,
            test,
            stage=stage,
            classifier=self.terms.classifier,
            seed=self.terms.seed,
            store=self.store,
        )

    def _compute_features(self, budget: Budget) -> Outcome:
        size = len(self.pool)
        chunk = even_part(size, CHUNK)
        starts = range(0, size, chunk)
        watch = budget.pace(FEATURES, len(starts))
        for done, start in enumerate(starts, 1):
            images = self.pool.images[start : start + chunk]
            self.store.pooled(self.network, self.variables, images, self.stages)
            watch(done)
        cost = size * sum(self.count[stage].multiply_adds for stage in self.stages)
        row = {"option": FEATURES, "multiply_adds": cost}
        return Outcome(
            row, curve=time_stages(self.network, self.variables, self.pool.images[:chunk])
        )

    def _digest(self) -> str:
        """Of the weights in front of the head, and of what the network is."""
        words = [describe(self.network.clone(num_classes=0))]
        words += [stage_hash(self.variables, stage) for stage in self.stages]
        return digest(words)

    def _steps(self, option: Option, size: int) -> int:
        recipe = self.fresh if option.name == SCRATCH else self.tuning
        return duration(size, recipe.batch_size, epochs=recipe.epochs)

    def _runs(self) -> Iterator[Run]:
        cost = len(self.pool) * sum(self.count[stage].multiply_adds for stage in self.stages)
        shared = self.config
        yield Run(FEATURES, shared, cost=cost)
        for option in self.options.values():
            for split in range(len(self.folds)):
                config = shared | {"option": option.name, "split": split}
                yield Run(f"{option.name}-split{split}", config, (FEATURES,), option.cost)


def _source_name(passport: pretrained.Passport, weights: str) -> str:
    """Whence the weights come, without the folders of a path."""
    named = " ".join(part for part in (passport.source, passport.weights) if part)
    path = Path(weights)
    return f"{path.name} ({named})" if path.suffix else named
