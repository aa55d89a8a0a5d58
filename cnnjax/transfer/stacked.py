"""Training behind frozen stages, several networks side by side in one program."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnjax.data import Dataset, batch_indices, padded_batches
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import (
    DivergedError,
    Variables,
    create_state,
    evaluate_stacked,
    merge,
    partition,
    scale_pixels,
    train_stacked,
    trained_variables,
)
from cnnjax.training.tasks import Task
from cnnjax.transfer.features import BATCH, Features, body, feature_bytes

_EVALUATED = 256  # examples at a time, as in `evaluate`


class Joined(NamedTuple):
    """Data sets end to end on the device.

    Attributes:
      inputs: `[N_1 + N_2 + ..., ...]`.
      targets: `[N_1 + N_2 + ...]`.
      begins: where each data set begins.
      sizes: N_1, N_2, ...
    """

    inputs: Features
    targets: jax.Array
    begins: tuple[int, ...]
    sizes: tuple[int, ...]

    def targets_of(self, which: Collection[int]) -> np.ndarray:
        """The targets of these data sets."""
        targets = np.asarray(self.targets)
        return np.concatenate([targets[self.begins[i] :][: self.sizes[i]] for i in which])

    def batches(
        self, which: Sequence[int], batch_size: int, seeds: Sequence[int], steps: int
    ) -> np.ndarray:
        """What training takes in each step: int32 `[S, steps, batch]`, see `batch_indices`."""
        return np.stack(
            [
                self.begins[i] + batch_indices(self.sizes[i], batch_size, seed, 0, steps)
                for i, seed in zip(which, seeds, strict=True)
            ]
        )

    def every_example(self, which: Sequence[int], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and mask `[S, batches, batch]`: every example of each data set once, in order."""
        parts = [padded_batches(self.sizes[i], batch_size) for i in which]
        most = max(len(indices) for indices, _ in parts)
        filled = [[_filled(array, most) for array in part] for part in parts]
        indices = [self.begins[i] + rows for i, (rows, _) in zip(which, filled, strict=True)]
        return np.stack(indices), np.stack([mask for _, mask in filled])


class StackedTrained(NamedTuple):
    """The outcome of S trainings: variables of all stages `[S, ...]`, test figures of each."""

    variables: dict
    test: list[dict[str, float]]


def join(parts: Sequence[Dataset]) -> Joined:
    """Puts data sets end to end.

    Raises:
      CnnjaxError: none, or images of different shapes.
    """
    shapes = {part.images.shape[1:] for part in parts}
    if len(shapes) != 1:
        raise CnnjaxError(
            f"{len(parts)} data sets of {len(shapes)} shapes of images cannot be joined; give at "
            "least one, and bring all images to one size"
        )
    sizes = tuple(len(part) for part in parts)
    return Joined(
        jnp.asarray(np.concatenate([part.images for part in parts])),
        jnp.asarray(np.concatenate([part.labels for part in parts])),
        _begins(sizes),
        sizes,
    )


def train_stacked_behind_prefix(
    network: Network,
    starts: Sequence[Variables],
    frozen: int,
    train: Joined,
    test: Joined,
    which: Sequence[int],
    *,
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch_size: int,
    seeds: Sequence[int],
    cache_limit: int = 2 * 2**30,
) -> StackedTrained:
    """`train_behind_prefix` of S networks that differ in weights, data and seed alone.

    Each comes out as if it had been trained alone, to rounding. Features of frozen stages, training
    and measurement are one program each for all; see `train_stacked` on where that pays.

    Args:
      network: the composition.
      starts: of each member, variables of all stages.
      frozen: how many stages, from the first on, stay as they are.
      train: training sets.
      test: as many test sets.
      which: of each member, the number of its data sets in `train` and `test`.
      task: loss and metrics.
      optimizer: for the trainable stages.
      steps: of training.
      batch_size: examples a step.
      seeds: of each member.
      cache_limit: bytes of features of all members together above which the frozen stages run in
        every step instead.

    Raises:
      DivergedError: the loss of a member is not finite.
      CnnjaxError: targets that do not suit the task and the network.
    """
    for data in (train, test):
        targets = data.targets_of(set(which))
        task.check((len(targets), network.num_classes), targets)
    prefix, start = network.stages[:frozen], None
    variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    trainable, fixed = partition(variables, prefix)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    if prefix:
        shape = train.inputs.shape[1:]
        count = sum(data.sizes[i] for data in (train, test) for i in which)
        if feature_bytes(network, shape, prefix[-1], count) <= cache_limit:
            train, test = (_behind(network, fixed, d, which, prefix[-1]) for d in (train, test))
            which, start = range(len(starts)), network.stages[frozen]
    running = fixed if start is None else {}
    settings = {"network": network, "task": task, "start": start}
    states, log = train_stacked(
        jax.vmap(partial(create_state, optimizer=optimizer))(trainable, key=keys),
        train.inputs,
        train.targets,
        jnp.asarray(train.batches(which, batch_size, seeds, steps)),
        optimizer=optimizer,
        frozen=running,
        **settings,
    )
    _check_finite(np.asarray(log["loss"]))
    learnt = trained_variables(states)
    rows = test.every_example(which, _EVALUATED)
    sums = evaluate_stacked(merge(learnt, running), test.inputs, test.targets, *rows, **settings)
    sums = {name: np.asarray(values) for name, values in sums.items()}
    found = [task.report({name: v[i] for name, v in sums.items()}) for i in range(len(starts))]
    return StackedTrained(merge(learnt, fixed), found)


def _behind(
    network: Network, fixed: Variables, data: Joined, which: Sequence[int], stop: str
) -> Joined:
    """What the frozen stages of each member give for its data set: one data set for each."""
    sizes = tuple(data.sizes[i] for i in which)
    indices, _ = data.every_example(which, min(BATCH, max(sizes)))
    inputs = _features(fixed, data.inputs, indices, network=body(network), stop=stop)
    room = indices[0].size
    begins = tuple(range(0, room * len(sizes), room))
    return Joined(inputs, data.targets[indices.reshape(-1)], begins, sizes)


@partial(jax.jit, static_argnames=("network", "stop"))
def _features(
    variables: Variables, inputs: jax.Array, indices: jax.Array, *, network: Network, stop: str
) -> Features:
    """Variables `[S, ...]`, images `[N, ...]`, indices `[S, batches, batch]` -> `[rows, ...]`, the
    features of one member after those of the other."""

    def member(own: Variables, rows: jax.Array) -> Features:
        return jax.lax.map(
            lambda row: network.apply(own, scale_pixels(inputs[row]), stop=stop), rows
        )

    found = jax.vmap(member)(variables, indices)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[3:]), found)


def _begins(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True))


def _filled(array: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def _check_finite(losses: np.ndarray) -> None:
    """Losses `[S, steps]`."""
    if not np.isfinite(losses).all():
        member, step = (int(place[0]) for place in np.nonzero(~np.isfinite(losses)))
        raise DivergedError(
            f"the loss of training {member + 1} of {len(losses)} is no longer a number at step "
            f"{step + 1}; training has diverged; lower the learning rate"
        )
