"""Training behind frozen stages."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.training import Variables, create_state, evaluate, fit, merge, partition
from cnnjax.training import trained_variables as trained_part
from cnnjax.training.lines import Line
from cnnjax.training.steps import Augment
from cnnjax.training.tasks import Task
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.features import feature_bytes, prefix_features


class Trained(NamedTuple):
    """The outcome of a training: variables of all stages, what `judge` found, lines of metrics."""

    variables: dict
    test: dict[str, float]
    lines: list[Line]


def train_behind_prefix(
    network: Network,
    variables: Variables,
    frozen: int,
    train: Dataset,
    test: Dataset,
    *,
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch_size: int,
    seed: int,
    evaluations: int = 1,
    augment: Augment | None = None,
    held: Collection[str] = (),
    judge: Callable[..., object] = evaluate,
    store: FeatureStore | None = None,
    cache_limit: int = 2 * 2**30,
    directory: Path | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> Trained:
    """Trains the stages after the first `frozen` ones, and measures the whole on the test set.

    The frozen stages run in evaluation mode, have no gradient, no decay and no optimizer state, and
    come back as they went in. Their output is computed once for each image when it fits into
    `cache_limit` and nothing is augmented; training on it gives the same numbers as running them in
    every step, to rounding.

    Args:
      network: the composition.
      variables: of all stages, where training begins.
      frozen: how many stages, from the first on, stay as they are; 0 trains everything.
      train: the training set.
      test: measured after the last step; nothing is chosen by it.
      task: loss and metrics.
      optimizer: for the trainable stages.
      steps: of training.
      batch_size: examples a step.
      seed: of the order of the examples, of augmentation and of dropout.
      evaluations: how often to measure on it for the lines of metrics, at even distances.
      augment: changes the training images in every step; see `fit`.
      held: trained stages whose batch norm keeps its running statistics, and runs on them as in
        evaluation; so does their dropout.
      judge: called once, as `evaluate` is, on the test set or its features.
      store: shares features with other trainings.
      cache_limit: bytes of features above which the prefix runs in every step instead.
      directory: for metrics and checkpoints.
      on_steps: see `fit`.
      report: see `fit`.
    """
    prefix = network.stages[:frozen]
    trainable, fixed = partition(variables, prefix)
    statistics, trainable = _without_statistics(trainable, held)
    inputs, start = [train.images, test.images], None
    if prefix and augment is None:
        shape = train.images.shape[1:]
        if feature_bytes(network, shape, prefix[-1], len(train) + len(test)) <= cache_limit:
            features = prefix_features if store is None else store.features
            inputs = [features(network, fixed, images, prefix[-1]) for images in inputs]
            start = network.stages[frozen]
    running = merge(statistics, fixed if start is None else {})
    train_inputs, test_inputs = jax.tree.map(jnp.asarray, inputs)
    held_out = test_inputs, jnp.asarray(test.labels)
    looks = {}
    if evaluations > 1:
        every = max(1, steps // evaluations)
        looks = {"validation": held_out, "evaluate_every": every, "log_every": every}
    state, lines = fit(
        create_state(trainable, optimizer, jax.random.key(seed)),
        (train_inputs, jnp.asarray(train.labels)),
        network=network,
        task=task,
        optimizer=optimizer,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        frozen=running,
        start=start,
        augment=augment,
        directory=directory,
        on_steps=on_steps,
        report=report,
        **looks,
    )
    learnt = trained_part(state)
    found = judge(network, task, merge(learnt, running), held_out, start=start)
    return Trained(merge(learnt, statistics, fixed), found, lines)


def _without_statistics(variables: Variables, held: Collection[str]) -> tuple[dict, dict]:
    """(all but the parameters of the `held` stages, everything else)."""
    taken: dict[str, dict] = {}
    left: dict[str, dict] = {}
    for collection, stages in variables.items():
        for stage, arrays in stages.items():
            part = taken if stage in held and collection != "params" else left
            part.setdefault(collection, {})[stage] = arrays
    return taken, left
