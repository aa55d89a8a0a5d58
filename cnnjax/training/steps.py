"""The training step and the evaluation, as pure functions under `jax.jit`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding

from cnnjax.models import Network
from cnnjax.training.state import TrainState, Variables, merge
from cnnjax.training.tasks import Task

Batch = tuple[jax.Array, jax.Array]
"""(inputs `[N, ...]`, targets `[N, ...]`); features of a stage may be a tuple of such inputs."""

Augment = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, images `[N, H, W, C]`) -> images, e.g. of `cnnjax.data.augment`."""


class Shardings(NamedTuple):
    """Of a training on several devices.

    Attributes:
      batch: of arrays whose first axis is that of the examples.
      whole: of what each device has all of.
    """

    batch: NamedSharding
    whole: NamedSharding


def scale_pixels(images: jax.Array) -> jax.Array:
    """uint8 images 0 ... 255 as float32 in [-1, 1]; floating point passes unchanged.

    A fixed rule, and not a mean image of the data set at hand: what a network learnt on one data
    set must mean the same on the next.

    >>> scale_pixels(jnp.array([0, 255], jnp.uint8)).tolist()
    [-1.0, 1.0]
    """
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    return images.astype(jnp.float32) / 127.5 - 1.0


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    network: Network,
    task: Task,
    optimizer: optax.GradientTransformation,
    frozen: Variables | None = None,
    start: str | None = None,
    augment: Augment | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update of the trainable stages: (state, batch) -> (state, metrics).

    Args:
      state: trainable variables, optimizer state, step and key.
      batch: inputs (uint8 images, float images, or features for stage `start`) and targets.
      network: the composition.
      task: the loss to descend, averaged over the batch, and the metrics. The loss of auxiliary
        heads, if the stages that run have any, is added with the network's weight; the metrics
        are those of the logits alone.
      optimizer: turns gradients into updates.
      frozen: variables of the frozen stages; they run in evaluation mode and are read only. A stage
        of which only the statistics are here is trained, its batch norm as in evaluation.
      start: the first stage to run, when the inputs are its predecessor's cached output.
      augment: changes the images as they come, before their pixels are scaled; each step draws
        anew.

    Returns:
      The next state, and sums over the batch (see `Task.sums`) measured before the update.
    """
    inputs, targets = batch
    frozen = frozen or {}
    statistics = tuple(state.statistics)
    key = jax.random.fold_in(state.key, state.step)
    if augment is not None:
        inputs = augment(jax.random.fold_in(key, 0), inputs)

    def loss(params: optax.Params) -> tuple[jax.Array, tuple[dict, Variables]]:
        variables = merge({"params": params}, state.statistics, frozen)
        outputs, updated = network.apply(
            variables,
            jax.tree.map(scale_pixels, inputs),
            train=True,
            start=start,
            frozen=tuple({stage for stages in frozen.values() for stage in stages}),
            rngs={"dropout": key},
            mutable=(*statistics, "auxiliary") if network.auxiliary_weight else statistics,
        )
        sums = task.sums(outputs, targets)
        value = sums["loss"] / sums["count"]
        for logits in jax.tree.leaves(updated.pop("auxiliary", {})):
            auxiliary = task.sums(logits, targets)
            value += network.auxiliary_weight * auxiliary["loss"] / auxiliary["count"]
        return value, (sums, updated)

    gradients, (sums, updated) = jax.grad(loss, has_aux=True)(state.params)
    # The frozen stages' statistics come back unchanged; they are not part of the state.
    updated = {
        collection: {stage: updated[collection][stage] for stage in stages}
        for collection, stages in state.statistics.items()
    }
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, state.key, params, updated, opt_state), sums


_STATIC = ("network", "task", "optimizer", "start", "augment", "placed")


@partial(jax.jit, static_argnames=_STATIC, donate_argnames="state")
def train_on_batches(
    state: TrainState,
    batches: Sequence[Batch],
    count: jax.Array,
    frozen: Variables,
    *,
    placed: Shardings | None = None,
    **step: object,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes `count` steps in one compiled loop on batches that come from outside.

    As of `train_steps`, one program serves any number of steps, with the same bits.

    Args:
      state: donated.
      batches: as many in each call, of the same shapes; those from `count` on are not looked at.
      count: how many to use, int32 `[]`.
      frozen: as in `train_step`.
      placed: of a batch and of the state, where there are several devices.
      **step: as in `train_step`.

    Returns:
      As of `train_steps`.
    """
    inputs, targets = jax.tree.map(lambda *parts: jnp.stack(parts), *batches)
    step = partial(train_step, frozen=frozen, **step)
    return _loop(step, state, lambda i: (inputs[i], targets[i]), len(batches), count, placed)


@partial(jax.jit, static_argnames=_STATIC, donate_argnames="state")
def train_steps(
    state: TrainState,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    count: jax.Array,
    frozen: Variables,
    *,
    placed: Shardings | None = None,
    **step: object,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes `count` steps in one compiled loop on a data set that lies on the device.

    The number of steps is a value, not a shape: one program serves any number of them, so a run
    that resumes in the middle computes bit for bit what it would have computed without a break.

    Args:
      state: donated.
      inputs: the whole data set, `[N, ...]`.
      targets: `[N, ...]`.
      indices: which examples make up each batch, int32 `[most steps, batch]`.
      count: how many rows of `indices` to use, int32 `[]`.
      frozen: as in `train_step`.
      placed: of a batch and of the state, where there are several devices.
      **step: as in `train_step`: network, task, optimizer, start, augment.

    Returns:
      The state, and the sums of each step, `[most steps, ...]` each, 0 from `count` on.
    """

    def batch(i: jax.Array) -> Batch:
        return rows_of(inputs, indices[i]), targets[indices[i]]

    step = partial(train_step, frozen=frozen, **step)
    return _loop(step, state, batch, len(indices), count, placed)


def _loop(
    step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    batch: Callable[[jax.Array], Batch],
    most: int,
    count: jax.Array,
    placed: Shardings | None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """`count` of `most` steps, the sums of each noted."""
    shapes = jax.eval_shape(lambda s: step(s, batch(0))[1], state)
    log = jax.tree.map(lambda a: jnp.zeros((most, *a.shape), a.dtype), shapes)

    def body(
        i: jax.Array, carry: tuple[TrainState, dict[str, jax.Array]]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        state, log = carry
        rows = batch(i)
        if placed is not None:
            rows = jax.lax.with_sharding_constraint(rows, placed.batch)
        state, sums = step(state, rows)
        if placed is not None:
            state = jax.lax.with_sharding_constraint(state, placed.whole)
        return state, {name: log[name].at[i].set(value) for name, value in sums.items()}

    return jax.lax.fori_loop(0, count, body, (state, log))


@partial(jax.jit, static_argnames=("network", "task", "start"))
def evaluate_batches(
    variables: Variables,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    mask: jax.Array,
    *,
    network: Network,
    task: Task,
    start: str | None = None,
) -> dict[str, jax.Array]:
    """Sums of loss and metrics in evaluation mode over the examples whose mask is 1.

    Args:
      variables: of the stages that run.
      inputs: the whole data set, `[N, ...]`.
      targets: `[N, ...]`.
      indices: int32 `[batches, batch]`.
      mask: float32 `[batches, batch]`, 0 for the examples that only fill the last batch up.
      network: the composition.
      task: gives loss and metrics.
      start: the first stage to run.
    """

    def one(batch: Batch) -> dict[str, jax.Array]:
        places, weights = batch
        x = jax.tree.map(scale_pixels, rows_of(inputs, places))
        outputs = network.apply(variables, x, start=start)
        return task.sums(outputs, targets[places], weights)

    return jax.tree.map(lambda a: a.sum(axis=0), jax.lax.map(one, (indices, mask)))


def rows_of(inputs: jax.Array, places: jax.Array) -> jax.Array:
    """The examples at these places; features of a stage may be a tuple of arrays."""
    return jax.tree.map(lambda array: array[places], inputs)
