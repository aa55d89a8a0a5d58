"""A training in phases, each behind other frozen stages: what all fine-tuning is made of."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Dataset
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables, checkpoints, classification
from cnnjax.training.fit import CHECKPOINT
from cnnjax.training.lines import Line, read_lines
from cnnjax.training.steps import Batch
from cnnjax.training.tasks import Task
from cnnjax.transfer.audit import FreezeAudit, assert_frozen, freeze_audit
from cnnjax.transfer.features import prefix_features
from cnnjax.transfer.frozen import train_behind_prefix
from cnnjax.transfer.recipes import Recipe

_VARIABLES = "variables"


class Phase(NamedTuple):
    """A part of a training.

    Attributes:
      last: how many of the last stages are trained.
      steps: how long.
      rates: {pretrained stage: its learning rate as a multiple of the recipe's}; 1 for others.
    """

    last: int
    steps: int
    rates: Mapping[str, float]


class Judged(NamedTuple):
    """Means over a test set, and the class of each image, int32 `[N]`."""

    test: dict[str, float]
    predictions: np.ndarray


class Phased(NamedTuple):
    """What phases give: all variables, the test, the lines of all, the audit of the last."""

    variables: dict
    judged: Judged
    lines: list[Line]
    audit: FreezeAudit


def train_in_phases(
    network: Network,
    variables: Variables,
    train: Dataset,
    test: Dataset,
    phases: Sequence[Phase],
    *,
    recipe: Recipe,
    seed: int,
    directory: Path | None,
    on_steps: Callable[[int], None],
    report: Callable[[str], None],
    finish: Callable[[Variables], dict] | None = None,
    **settings: object,
) -> Phased:
    """Trains phase after phase by `train_behind_prefix`, audits each, and judges after the last.

    Args:
      network: the composition.
      variables: of all stages, where training begins.
      train: images and labels to learn from.
      test: measured after the last phase.
      phases: at least one.
      recipe: what they have in common.
      seed: of the order of the images, of augmentation and dropout.
      directory: for metrics and checkpoints, those of phase n in phaseN where there are several;
        a phase that is finished there is not done again.
      on_steps: called with the number of steps taken so far in all phases.
      report: called with a sentence about anything unusual.
      finish: changes all variables after the last phase, before they are judged.
      **settings: of `train_behind_prefix`.

    Raises:
      CnnjaxError: a frozen stage has changed.
    """
    lines: list[Line] = []
    done = 0
    for number, phase in enumerate(phases, 1):
        frozen = len(network.stages) - phase.last
        optimizer = recipe.optimizer_for(phase.steps, phase.rates)
        held = tuple(phase.rates) if recipe.batch_norm == "fixed" else ()
        audit = freeze_audit(
            network, variables, network.stages[:frozen], optimizer, phase.rates, held
        )
        final = number == len(phases)
        place = directory
        if directory is not None and len(phases) > 1:
            place = directory / f"phase{number}"
        finished = None if final or place is None else _restore(place, variables, report)
        if finished is not None:
            variables, new_lines = finished
        else:
            variables, judged, new_lines = train_behind_prefix(
                network,
                variables,
                frozen,
                train,
                test,
                task=classification,
                optimizer=optimizer,
                steps=phase.steps,
                batch_size=recipe.batch_size,
                seed=_phase_seed(seed, number),
                augment=recipe.augment,
                held=held,
                judge=judge if final and finish is None else lambda *_, **__: None,
                directory=place,
                on_steps=lambda step, done=done: on_steps(done + step),
                report=report,
                **settings,
            )
            assert_frozen(audit, variables)
            if not final and place is not None:
                checkpoints.save(place / _VARIABLES, variables)
                shutil.rmtree(place / CHECKPOINT, ignore_errors=True)
        lines += [{**line, "step": done + line["step"]} for line in new_lines]
        done += phase.steps
    if finish is not None:
        variables = finish(variables)
        held_out = jnp.asarray(test.images), jnp.asarray(test.labels)
        judged = judge(network, classification, variables, held_out)
    return Phased(variables, judged, lines, audit)


def judge(
    network: Network, task: Task, variables: Variables, data: Batch, *, start: str | None = None
) -> Judged:
    """Metrics and predictions, in evaluation mode; every example counts once.

    Args:
      network: the composition, with its head.
      task: gives the metrics; predictions are the largest logits.
      variables: of the stages that run.
      data: inputs `[N, ...]` and labels `[N]`.
      start: the first stage to run.
    """
    inputs, labels = data
    logits = prefix_features(network, variables, inputs, network.stages[-1], start=start)
    return judged(logits, labels, task)


def judged(logits: jax.Array, labels: jax.Array, task: Task = classification) -> Judged:
    """Metrics and predictions of logits `[N, K]`."""
    found = {name: np.asarray(total) for name, total in task.sums(logits, labels).items()}
    return Judged(task.report(found), np.asarray(logits.argmax(axis=1), np.int32))


def _phase_seed(seed: int, number: int) -> int:
    """The first phase has the seed itself, so that a single phase is a training like any other."""
    if number == 1:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


def _restore(
    place: Path, like: Variables, report: Callable[[str], None]
) -> tuple[dict, list[Line]] | None:
    if not (place / _VARIABLES).exists():
        return None
    try:
        return checkpoints.restore(place / _VARIABLES, like), read_lines(place)
    except CnnjaxError as error:
        report(f"{error} (it is ignored: this phase is done again)")
        return None
