"""One training of a study: a network, data and an optimizer in, test figures and a curve out."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.studies.results import in_percent
from cnnjax.studies.runs import Row, Tools
from cnnjax.training import (
    DivergedError,
    Variables,
    classification,
    create_state,
    evaluate,
    fit,
    set_rate,
    trained_variables,
)
from cnnjax.training.fit import Measure
from cnnjax.training.lines import Line, read_lines
from cnnjax.training.steps import Augment
from cnnjax.training.tasks import Task
from cnnjax.transfer import initialise

CURVE_COLUMNS: Sequence[str] = ("run", "step", "train_loss", "train_accuracy", "test_accuracy")
"""Of curves.csv, as `curve` fills it."""


class TrainingResult(NamedTuple):
    """The outcome of a training.

    Attributes:
      variables: at its end; as drawn, if it diverged.
      test: loss and metrics on the test set; of a network that diverged those of guessing:
        accuracy 1 / classes and an infinite loss.
      lines: of metrics; those with `validation_accuracy` were measured on the test set, and
        have what `measure` gave.
      diverged: whether the loss ceased to be a number.
    """

    variables: Variables
    test: dict[str, float]
    lines: list[Line]
    diverged: bool


def train_network(
    network: Network,
    train: Dataset,
    test: Dataset,
    *,
    optimizer: optax.GradientTransformation,
    rate: float | None = None,
    steps: int,
    batch_size: int,
    seed: int,
    tools: Tools,
    evaluations: int = 1,
    measure: Measure | None = None,
    augment: Augment | None = None,
    variables: Variables | None = None,
    task: Task = classification,
    may_diverge: bool = False,
) -> TrainingResult:
    """Trains, and measures on the test set: along the way for the figure, and after the last step.

    Nothing is chosen by what the test set says on the way.

    Args:
      network: the composition.
      train: images and labels.
      test: images and labels.
      optimizer: the same object for the same setting, so that seeds share a compiled step.
      rate: the learning rate of an optimizer that has it in its state, see `rate_in_state`.
      steps: of the training.
      batch_size: examples a step.
      seed: of the weights, the order of the examples, dropout and augmentation.
      tools: of the run.
      evaluations: how often to look at the test set, at even distances; the last time at the end.
      measure: what else to measure at each of these evaluations; see `fit`.
      augment: changes the training images as they come.
      variables: where training begins; drawn from `seed` by default.
      task: loss and metrics.
      may_diverge: whether that is an outcome of the study, and no reason to end it.

    Raises:
      DivergedError: the loss is no longer a number, and that is no outcome.
    """
    if variables is None:
        variables = initialise(network, train.images.shape[1:], seed)
    every = max(1, steps // evaluations)
    held_out = jnp.asarray(test.images), jnp.asarray(test.labels)
    state = create_state(variables, optimizer, jax.random.key(seed))
    try:
        state, lines = fit(
            state if rate is None else set_rate(state, rate),
            (jnp.asarray(train.images), jnp.asarray(train.labels)),
            network=network,
            task=task,
            optimizer=optimizer,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            augment=augment,
            validation=held_out if evaluations > 1 else None,
            evaluate_every=every,
            measure=measure,
            log_every=every,
            directory=tools.directory,
            on_steps=tools.on_steps,
            report=tools.report,
        )
    except DivergedError:
        if not may_diverge:
            raise
        tools.on_steps(steps)
        guess = {"loss": float("inf"), "accuracy": 1 / train.num_classes}
        return TrainingResult(variables, guess, read_lines(tools.directory), True)
    learnt = trained_variables(state)
    return TrainingResult(learnt, evaluate(network, task, learnt, held_out), lines, False)


def curve(trained: TrainingResult) -> list[Row]:
    """Rows for curves.csv: step, training loss and accuracy since the row before (in %), and test
    accuracy (in %) where it was measured."""
    return [
        {
            "step": int(line["step"]),
            "train_loss": round(line["loss"], 6),
            "train_accuracy": in_percent(line.get("accuracy")),
            "test_accuracy": in_percent(line.get("validation_accuracy")),
        }
        for line in trained.lines
    ]
