"""What training changes, apart from what it leaves alone.

Trainable and frozen variables are two trees. Gradients, weight decay, clipping and optimizer state
exist for the first only, so nothing can leak into the second: `optax.masked` alone adds raw
gradients to the masked-out weights, zeroed gradients are still decayed, and clipping outside a
partition counts frozen gradients.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError

Stages = Mapping[str, object]
"""{stage: that stage's arrays}."""

Variables = Mapping[str, Stages]
"""{collection: {stage: arrays}}, e.g. {"params": {"conv1": {"kernel": ..., "bias": ...}}}."""


class TrainState(NamedTuple):
    """Everything that a training step changes, and the key that its randomness comes from.

    Attributes:
      step: steps taken so far, int32 `[]`.
      key: step t draws from fold_in(key, t), so that resuming needs no random state.
      params: of the trainable stages.
      statistics: the other collections ("batch_stats") of the trainable stages.
      opt_state: the optimizer's, for `params` alone.
    """

    step: jax.Array
    key: jax.Array
    params: Stages
    statistics: Variables
    opt_state: optax.OptState


def partition(variables: Variables, frozen: Collection[str]) -> tuple[Variables, Variables]:
    """Divides variables by stage into (those of the other stages, those of the `frozen` stages).

    Raises:
      CnnjaxError: a frozen stage has no variables.
    """
    present = {stage for stages in variables.values() for stage in stages}
    if unknown := sorted(set(frozen) - present):
        raise CnnjaxError(
            f"cannot freeze {', '.join(unknown)}: no such stage among the variables; "
            f"there are {', '.join(sorted(present))}"
        )

    def keep(wanted: bool) -> Variables:
        kept = {
            collection: {s: v for s, v in stages.items() if (s in frozen) is wanted}
            for collection, stages in variables.items()
        }
        return {collection: stages for collection, stages in kept.items() if stages}

    return keep(False), keep(True)


def merge(*parts: Variables) -> dict[str, dict[str, object]]:
    """Puts parts of disjoint stages together again: the inverse of `partition`."""
    merged: dict[str, dict[str, object]] = {}
    for part in parts:
        for collection, stages in part.items():
            merged.setdefault(collection, {}).update(stages)
    return merged


def create_state(
    variables: Variables, optimizer: optax.GradientTransformation, key: jax.Array
) -> TrainState:
    """Starts training these variables, all of them trainable.

    The arrays are copied: a step donates its state, and the caller's own must survive that.
    """
    variables = jax.tree.map(jnp.array, dict(variables))
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        statistics=variables,
        opt_state=optimizer.init(params),
    )


def trained_variables(state: TrainState) -> dict[str, dict[str, object]]:
    """The variables of the trainable stages as they stand."""
    return merge({"params": state.params}, state.statistics)
