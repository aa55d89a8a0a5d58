"""Which runs the dropout study consists of, and what one run does."""

from dataclasses import asdict, dataclass, replace

import numpy as np
from dropout_arms import Arm
from dropout_networks import (
    Autoencoder,
    UnitMLP,
    accuracy_rows,
    activations,
    features,
    moment,
    quantiles,
    reconstruction,
    sampled_accuracies,
    sparsity,
    spread,
)
from optax import GradientTransformation

from cnnjax.data import Dataset, Splits, load
from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError
from cnnjax.layers import gaussian
from cnnjax.models import Network, check_takes
from cnnjax.models.dropout_conv import DropoutConvNet
from cnnjax.models.ledger import multiply_adds
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import TrainingResult, train_network
from cnnjax.training import (
    chain,
    classification,
    constrain_max_norm,
    l1_decay,
    momentum,
    schedules,
    weight_decay,
)

MOMENTUM = 0.95
"""The paper's final one (appendix B.1)."""
CONV_RATE = 0.3
"""Of the learning rate, for convolutional networks."""
AUTOENCODER_RATE, AUTOENCODER_SD = 0.1, 0.02
"""Of the learning rate, and of the first weights: at more of either its units die at once."""
EVALUATIONS = 20
"""Looks at the test set along the way, for figure 4."""
FEWEST_UNITS = 4
COLUMNS = (
    *("run", "part", "arm", "method", "architecture", "p", "p_input", "train_images", "seed"),
    *("error", "accuracy", "train_accuracy", "loss", "steps"),
    *("mean_activation", "zeros", "spread", "error_1_sample", "error_50_samples"),
    *("seconds", "config_hash"),
)
CURVE_COLUMNS = ("run", "series", "x", "y", "pixels")


@dataclass(frozen=True)
class Recipe:
    """What all runs have in common; with the data, it determines every number."""

    dataset: str
    image_size: int | None
    width: float
    conv_width: float
    train_images: int | None
    steps: int
    batch_size: int
    learning_rate: float
    seed: int


class Protocol:
    """The runs of the study: every arm with the same seeds.

    Args:
      recipe: what they have in common.
      arms: the ways to train.
      seeds: how many runs each has.

    Raises:
      CnnjaxError: data that cannot be had, or numbers that do not go with them.
    """

    def __init__(self, recipe: Recipe, arms: list[Arm], seeds: int) -> None:
        data = load(recipe.dataset, image_size=recipe.image_size)
        self.recipe, self.train, self.test = recipe, data.train, held_out(data)
        self.fingerprint = f"{self.train.fingerprint()[:16]}-{self.test.fingerprint()[:16]}"
        self.count = recipe.train_images or len(self.train)
        sizes = [arm.size for arm in arms if arm.size is not None]
        self.longest = max(sizes, default=self.count)
        if (most := max(self.count, self.longest)) > len(self.train):
            raise CnnjaxError(
                f"{most} training images cannot be drawn; {recipe.dataset} has "
                f"{len(self.train)}; choose fewer (--train-images, --sizes)"
            )
        self.shape = self.train.images.shape[1:]
        self._arms = {arm.stem: arm for arm in arms}
        self._costs: dict[str, float] = {}
        self.plan = Plan(self._run(arm, i) for arm in arms for i in range(seeds))

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Trains and measures one network."""
        arm, seed = self._arms[str(run.config["stem"])], int(run.config["seed"])
        network, recipe = self.network(arm), self.recipe
        autoencoder = isinstance(network, Autoencoder)
        trained = train_network(
            network,
            self.images(arm, seed),
            self.test,
            optimizer=self.optimizer(arm),
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            seed=seed,
            tools=tools,
            evaluations=min(EVALUATIONS, recipe.steps) if arm.part == "architectures" else 1,
            task=reconstruction if autoencoder else classification,
            may_diverge=not autoencoder,
        )
        row, curve = self._measure(arm, network, trained, seed)
        architecture = network.filters if arm.keep_conv else network.hidden
        row = {
            "part": arm.part,
            "arm": arm.name,
            "method": arm.method,
            "architecture": "-".join(map(str, architecture)),
            "p": arm.keep_conv[-1] if arm.keep_conv else arm.keep,
            "p_input": arm.keep_conv[0] if arm.keep_conv else arm.keep_input,
            "train_images": arm.size or self.count,
            "seed": seed,
            "steps": recipe.steps,
            **row,
        }
        return Outcome({name: row.get(name) for name in COLUMNS[:-2] if name != "run"}, None, curve)

    def network(self, arm: Arm) -> Network:
        """Of that arm, its layers scaled by the recipe's width."""
        if arm.keep_conv:
            filters, units = DropoutConvNet.filters, DropoutConvNet.units
            return DropoutConvNet(
                num_classes=self.train.num_classes,
                filters=self._scaled(filters, self.recipe.conv_width),
                units=self._scaled((units,), self.recipe.conv_width)[0],
                keep=arm.keep_conv,
            )
        settings = {
            "hidden": self._scaled(arm.hidden, self.recipe.width),
            "dropout": round(1.0 - arm.keep, 9),
            "input_dropout": round(1.0 - arm.keep_input, 9),
        }
        if arm.part == "sparsity":
            pixels, small = int(np.prod(self.shape)), gaussian(AUTOENCODER_SD)
            return Autoencoder(num_classes=pixels, kernel_init=small, **settings)
        return UnitMLP(num_classes=self.train.num_classes, **settings)

    def learning_rate(self, arm: Arm) -> float:
        """Where the cosine of that arm begins.

        The units that are kept are scaled up by 1 / p here, not in the paper's training, so that
        weights are p times the paper's, and a rate of p² times the paper's is the same rate.
        Without that, nothing is learnt at a low p. Where rates of dropout are compared, 0.5 has
        the study's learning rate, and a lower p its equivalent.
        """
        factors = {
            "rate": min(1.0, 2.0 * arm.keep) ** 2,
            "sparsity": AUTOENCODER_RATE,
            "convolutional": CONV_RATE,
        }
        return self.recipe.learning_rate * factors.get(arm.part, 1.0)

    def optimizer(self, arm: Arm) -> GradientTransformation:
        """Momentum along a cosine, with the arm's penalties; one object for one setting."""
        rate = schedules.cosine(self.learning_rate(arm), self.recipe.steps)
        links = [
            *([weight_decay(arm.l2)] if arm.l2 else ()),
            *([l1_decay(arm.l1)] if arm.l1 else ()),
            momentum(rate, MOMENTUM),
            *([constrain_max_norm(arm.max_norm)] if arm.max_norm else ()),
        ]
        return chain(*links)

    def images(self, arm: Arm, seed: int) -> Dataset:
        """What that arm trains on: the first of the training images in an order that is the
        seed's, so that larger sets hold the smaller ones.

        Where sizes are compared, a small set is repeated until it is as long as the largest, so
        that one program is compiled for all of them.
        """
        order = stream(self.recipe.seed, seed).permutation(len(self.train))
        if arm.size is None:
            return self.train.take(order[: self.count])
        return self.train.take(np.resize(order[: arm.size], self.longest))

    def _measure(
        self, arm: Arm, network: Network, trained: TrainingResult, seed: int
    ) -> tuple[Row, list[Row]]:
        """The cells of the row that this run fills, and its rows of curves.csv."""
        row: Row = {"loss": round(trained.test["loss"], 6)}
        if arm.part == "sparsity":
            kernel = np.asarray(trained.variables["params"]["fc1"]["kernel"])
            hidden = activations(network, trained.variables, self.test.images)
            # per pixel, without the half that belongs to the objective
            row["loss"] = round(2.0 * trained.test["loss"] / network.num_classes, 6)
            row |= sparsity(hidden) | {"spread": spread(kernel)}
            first = features(kernel) if seed == self.recipe.seed else []
            return row, [*quantiles(hidden), *first]
        accuracy = round(100 * trained.test["accuracy"], 4)
        row |= {"accuracy": accuracy, "error": round(100 - accuracy, 4)}
        if trained.lines:
            row["train_accuracy"] = round(100 * trained.lines[-1]["accuracy"], 4)
        if arm.part == "monte-carlo":
            sampled = sampled_accuracies(network, trained.variables, self.test, seed)
            row["error_1_sample"] = round(100 - sampled[1], 4)
            row["error_50_samples"] = round(100 - sampled[50], 4)
            return row, list(accuracy_rows(sampled))
        seen = [line for line in trained.lines if "validation_accuracy" in line]
        if arm.part != "architectures":
            seen = []
        return row, [
            moment("error", line["step"], 100 - 100 * line["validation_accuracy"]) for line in seen
        ]

    def _scaled(self, sizes: tuple[int, ...], width: float) -> tuple[int, ...]:
        return tuple(max(FEWEST_UNITS, round(size * width)) for size in sizes)

    def _run(self, arm: Arm, repetition: int) -> Run:
        recipe, seed = self.recipe, self.recipe.seed + repetition
        shared = asdict(recipe)
        # the fingerprint and each run's own stand for the first two
        for name in ("dataset", "seed", "width" if arm.keep_conv else "conv_width"):
            del shared[name]
        return Run(
            name=f"{arm.stem}-seed{seed}",
            config={
                **shared,
                **asdict(arm),
                "learning_rate": self.learning_rate(arm),
                "stem": arm.stem,
                "data": self.fingerprint,
                "momentum": MOMENTUM,
                "first_seed": recipe.seed,
                "seed": seed,
            },
            cost=3.0 * recipe.steps * recipe.batch_size * self._cost(arm),
        )

    def _cost(self, arm: Arm) -> float:
        """Multiply-adds of one image's forward pass."""
        if arm.stem not in self._costs:
            network = self.network(arm)
            check_takes(network, self.shape)
            self._costs[arm.stem] = sum(multiply_adds(network, self.shape).values())
        return self._costs[arm.stem]


def held_out(data: Splits) -> Dataset:
    """The test images, and those for validation, where there are any: nothing is chosen here, and
    more images decide more."""
    if data.validation is None:
        return data.test
    parts = data.validation, data.test
    images = np.concatenate([part.images for part in parts])
    return replace(data.test, images=images, labels=np.concatenate([p.labels for p in parts]))
