"""Trainings that differ in a seed or in a number of their state, side by side in one program."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training.state import TrainState, Variables
from cnnjax.training.steps import Augment, evaluate_batches, rows_of, train_step
from cnnjax.training.tasks import Task


def stack(states: Sequence[TrainState]) -> TrainState:
    """One state whose arrays have a first axis over these states, `[S, ...]`.

    Raises:
      CnnjaxError: none, or states of different networks or optimizers.
    """
    kinds = {
        (jax.tree.structure(state), tuple((a.shape, a.dtype) for a in jax.tree.leaves(state)))
        for state in states
    }
    if len(kinds) != 1:
        raise CnnjaxError(
            f"{len(states)} states of {len(kinds)} kinds cannot be stacked; give at least one, all "
            "of the same network and optimizer; what differs must be a number in the state"
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def unstack(states: TrainState) -> list[TrainState]:
    """The inverse of `stack`."""
    leaves, tree = jax.tree.flatten(states)
    return [jax.tree.unflatten(tree, member) for member in zip(*leaves, strict=True)]


def train_stacked(
    states: TrainState,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    *,
    network: Network,
    task: Task,
    optimizer: optax.GradientTransformation,
    frozen: Variables | None = None,
    start: str | None = None,
    augment: Augment | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes the same number of steps with S trainings at once: `train_step` under `jax.vmap`.

    The members may differ in whatever is an array of the state: weights, key, the step they are
    at, and the learning rate where it is in the state (`rate_in_state`). Each comes out as if it
    had been trained alone, to rounding.

    For accelerators, which a small network leaves idle. On CPUs it does not pay: convolutions with
    weights of their own become one grouped convolution, which is slower there than S of them, one
    after the other; so `fit` trains one by one, and everywhere it alone writes checkpoints,
    evaluates on the way and stops where a loss is no longer a number.

    Members with data of their own have it end to end in `inputs` and `targets`, and indices that
    say where: `cnnjax.transfer.join`.

    Args:
      states: see `stack`; donated.
      inputs: the data that all share, `[N, ...]`, or features for stage `start`.
      targets: `[N, ...]`.
      indices: which examples make up each batch of each member, int32 `[S, steps, batch]`, e.g.
        `cnnjax.data.batch_indices` of each seed.
      network: as in `train_step`.
      task: as in `train_step`.
      optimizer: as in `train_step`.
      frozen: of each member, `[S, ...]`; else as in `train_step`.
      start: as in `train_step`.
      augment: as in `train_step`.

    Returns:
      The stacked states, and the sums of each step before its update, `[S, steps, ...]` each.

    Raises:
      CnnjaxError: indices of another number of members.
    """
    members = len(states.step)
    if indices.ndim != 3 or len(indices) != members:
        raise CnnjaxError(
            f"indices of shape {indices.shape} do not suit {members} stacked states; expected "
            f"[{members}, steps, batch]"
        )
    return _train_stacked(
        states,
        inputs,
        targets,
        indices,
        frozen or {},
        network=network,
        task=task,
        optimizer=optimizer,
        start=start,
        augment=augment,
    )


@partial(
    jax.jit,
    static_argnames=("network", "task", "optimizer", "start", "augment"),
    donate_argnames="states",
)
def _train_stacked(
    states: TrainState,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    frozen: Variables,
    **settings: object,
) -> tuple[TrainState, dict[str, jax.Array]]:
    def member(
        state: TrainState, rows: jax.Array, own: Variables
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def step(state: TrainState, row: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
            batch = rows_of(inputs, row), targets[row]
            return train_step(state, batch, frozen=own, **settings)

        return jax.lax.scan(step, state, rows)

    return jax.vmap(member)(states, indices, frozen)


@partial(jax.jit, static_argnames=("network", "task", "start"))
def evaluate_stacked(
    variables: Variables,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    mask: jax.Array,
    **settings: object,
) -> dict[str, jax.Array]:
    """Sums of loss and metrics of S networks at once: `evaluate_batches` under `jax.vmap`.

    Args:
      variables: of each member, `[S, ...]`.
      inputs: as in `train_stacked`.
      targets: `[N, ...]`.
      indices: of each member, int32 `[S, batches, batch]`.
      mask: float32 `[S, batches, batch]`, 0 for the examples that only fill batches up.
      settings: `network`, `task` and `start` of `evaluate_batches`.

    Returns:
      Sums, `[S, ...]` each, see `Task.sums`.
    """
    member = partial(evaluate_batches, **settings)
    axes = 0, None, None, 0, 0
    return jax.vmap(member, axes)(variables, inputs, targets, indices, mask)
