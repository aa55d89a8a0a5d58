"""The training loop: batches in, metrics out, a checkpoint when it is worth one."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import optax

from cnnjax.data import StreamedDataset
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import checkpoints
from cnnjax.training.devices import Placement, check_divides, choose_devices
from cnnjax.training.evaluation import checked_totals, targets_of
from cnnjax.training.feeds import MOST_STEPS, Named, Resident, Streamed
from cnnjax.training.lines import Line, Sums, append_line, measured, read_lines, write_lines
from cnnjax.training.processes import current
from cnnjax.training.state import TrainState, Variables, merge, trained_variables
from cnnjax.training.steps import Augment, Batch
from cnnjax.training.tasks import Task

CHECKPOINT = "checkpoint"

Measure = Callable[[Variables], Mapping[str, float]]
"""All variables, the frozen ones included -> numbers by name, a function of nothing else."""

CALL_SECONDS = 2.0
"""What a call of the compiled loop should take: so long that what it costs besides its steps (on a
CPU up to as much as a step) is little of it, and that progress shows and Ctrl-C is heard."""


class DivergedError(CnnjaxError):
    """The loss is no longer a number."""


def duration(
    size: int, batch_size: int, *, steps: int | None = None, epochs: float | None = None
) -> int:
    """The length of a training in steps, given in steps or in epochs.

    Raises:
      CnnjaxError: both or neither is given, or one of the numbers is not positive.

    >>> duration(size=50_000, batch_size=128, epochs=2)
    782
    """
    if (steps is None) == (epochs is None):
        raise CnnjaxError(
            f"the length of training is given as steps={steps} and epochs={epochs}; give one"
        )
    if size < 1 or batch_size < 1:
        raise CnnjaxError(
            f"{size} examples in batches of {batch_size} cannot be; both are at least 1"
        )
    length = steps if steps is not None else epochs * size / batch_size
    if not 0 < length < math.inf:
        raise CnnjaxError(f"a training of {length} steps cannot be; give at least 1 step")
    return math.ceil(length)


def fit(
    state: TrainState,
    train: Batch | StreamedDataset,
    *,
    network: Network,
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch_size: int,
    seed: int,
    frozen: Variables | None = None,
    start: str | None = None,
    augment: Augment | None = None,
    validation: Batch | StreamedDataset | None = None,
    evaluate_every: int | None = None,
    measure: Measure | None = None,
    log_every: int = 50,
    directory: Path | None = None,
    checkpoint_seconds: float = 10.0,
    devices: Sequence[jax.Device] | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> tuple[TrainState, list[Line]]:
    """Trains until `steps` steps have been taken, going on from a checkpoint where there is one.

    What comes out does not depend on whether, or how often, the training was interrupted: batches
    and randomness are functions of (seed, step), and a resumed run computes the same bits.

    Args:
      state: where to begin; donated.
      train: inputs `[N, ...]` and targets `[N, ...]`, held on the device; or a stream of them,
        which takes the same course. Of a stream, the lines of metrics have `corrupt_images`, how
        many of the images so far could not be read, and its `reading` tells how fast it was.
      network: the composition.
      task: loss and metrics.
      optimizer: the one that `state` was created with.
      steps: in all, those before an interruption included.
      batch_size: examples a step.
      seed: of the order of the examples.
      frozen: variables of the stages that are run but not trained.
      start: the first stage to run, when the inputs are its predecessor's output.
      augment: changes the training images as they come, anew in every step; see `train_step`.
      validation: inputs and targets to evaluate on, or a stream.
      evaluate_every: steps between evaluations; by default only after the last step.
      measure: called at each evaluation, with or without `validation`, on the variables as they
        stand; what it gives joins the line of metrics under its own names. A resumed run has it
        from there: it is called again only for the steps that are taken again.
      log_every: steps between lines of metrics.
      directory: for `metrics.jsonl` and the checkpoint; nothing is written without it.
      checkpoint_seconds: a checkpoint is written with the first line after so many seconds.
      devices: to divide each batch among, see `cnnjax.training.devices`; by default all, as
        `choose_devices` says. What comes out is the same, to rounding. Of several processes (see
        `cnnjax.training.hosts`) each calls this alike; the primary reads and writes `directory`.
      on_steps: called with the number of steps taken so far, after every call of the loop.
      report: called with a sentence about anything unusual, e.g. a damaged checkpoint.

    Returns:
      The trained state and the lines of metrics; a process that is not the primary has those since
      it started.

    Raises:
      DivergedError: the loss is not finite; says at which step.
      CnnjaxError: targets that do not suit the task and the network, or features of a later stage
        that are to be augmented.
    """
    if augment is not None and start is not None:
        raise CnnjaxError(
            f"training starts at stage {start}, on features, and augmentation takes images; "
            "leave out `augment`, or run the frozen stages in every step instead"
        )
    for data in (train, *([] if validation is None else [validation])):
        targets = targets_of(data)
        task.check((len(targets), network.num_classes), targets)
    frozen, placement, here = frozen or {}, None, current()
    devices = choose_devices(batch_size) if devices is None else devices
    if len(devices) > 1:
        check_divides(batch_size, len(devices))
        placement = Placement(devices)
        frozen = placement.everywhere(frozen)
        if not isinstance(validation, StreamedDataset):
            validation = placement.everywhere(validation)
    if isinstance(train, StreamedDataset):
        feed = Streamed(train, batch_size, seed, steps, placement)
    else:
        feed = Resident(train, batch_size, seed, placement)
    taken, lines, left_out = 0, [], Named("it is left out")

    with closing(feed):
        # Order of resume: 1. the checkpoint, if it is whole; 2. else from the start; 3. the lines
        # of metrics up to that step; later ones are computed again, and come out the same.
        if directory is not None and here.primary:
            state, taken = _resume(directory / CHECKPOINT, state, feed, report)
            lines = [line for line in read_lines(directory) if line["step"] <= taken]
            write_lines(directory, lines)
        taken, position = here.tell((taken, feed.position))
        if here.count > 1:
            feed.resume(position, taken)
            state = placement.of_primary(state)
        if placement is not None:
            state = placement.everywhere(state)

        sums, saved = Sums(), time.monotonic()
        rows, call_seconds_known = 1, False  # the first call compiles: keep it short
        while taken < steps:
            boundary = min(steps, *(_next(taken, n) for n in (log_every, evaluate_every) if n))
            count = here.tell(min(boundary - taken, rows))
            began = time.monotonic()
            state, log = feed.take_steps(
                state,
                taken,
                count,
                frozen,
                network=network,
                task=task,
                optimizer=optimizer,
                start=start,
                augment=augment,
            )
            _check_finite(log["loss"], taken)
            sums.add(log)
            taken += count
            for message in feed.news():
                report(message)
            on_steps(taken)
            if call_seconds_known:
                per_step = (time.monotonic() - began) / count
                rows = int(np.clip(CALL_SECONDS / per_step, 1, MOST_STEPS))
            call_seconds_known = True

            if taken < boundary:
                continue
            line = {"step": taken} | task.report(sums.total) | feed.line()
            sums = Sums()
            last = taken == steps
            if last or (evaluate_every and taken % evaluate_every == 0):
                variables = merge(trained_variables(state), frozen)
                if validation is not None:
                    found = checked_totals(
                        network, task, variables, validation, start, placement=placement
                    )
                    found = task.report(found)
                    line |= {f"validation_{name}": value for name, value in found.items()}
                    if isinstance(validation, StreamedDataset):
                        corrupt = validation.reading.corrupt
                        line["validation_corrupt_images"] = len(corrupt)
                        for message in left_out.news(corrupt):
                            report(message)
                if measure is not None:
                    line |= measured(measure(variables), line)
            lines.append(line)
            if directory is None:
                continue
            if here.primary:
                append_line(directory, line)
            if here.tell(time.monotonic() - saved >= checkpoint_seconds) and not last:
                if here.primary:
                    checkpoints.save(directory / CHECKPOINT, state, feed.position)
                here.wait()
                saved = time.monotonic()
    return state if placement is None else placement.back(state), lines


def _next(taken: int, every: int) -> int:
    return (taken // every + 1) * every


def _check_finite(losses: np.ndarray, taken: int) -> None:
    if not np.isfinite(losses).all():
        step = taken + int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
        raise DivergedError(
            f"the loss is no longer a number at step {step}; training has diverged; "
            "lower the learning rate"
        )


def _resume(
    path: Path, state: TrainState, feed: Resident | Streamed, report: Callable[[str], None]
) -> tuple[TrainState, int]:
    checkpoints.settle(path)
    if not path.exists():
        return state, 0
    try:
        restored = checkpoints.restore(path, state)
        feed.resume(checkpoints.read_beside(path), int(restored.step))
    except CnnjaxError as error:
        report(f"{error} (it is ignored: this training starts from the beginning)")
        return state, 0
    return restored, int(restored.step)
