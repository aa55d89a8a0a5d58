"""The freeze audit: what a training will change, and what it has not changed."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables, partition
from cnnjax.transfer.feature_keys import stage_hash

_TRIED_STEPS = 2  # the rate of the first step may be 0


class StageAudit(NamedTuple):
    """One stage before a training.

    Attributes:
      stage: its name.
      parameters: how many.
      trained: False: frozen.
      decayed: whether the optimizer shrinks any of its arrays without a gradient.
      rate: its learning rate as a multiple of the new head's; 0 if it is frozen.
      batch_norm: "batch" (statistics of the batch, running ones move), "fixed" (running ones, which
        stay) or "-" (the stage has none).
      state_bytes: of the optimizer's state for it.
    """

    stage: str
    parameters: int
    trained: bool
    decayed: bool
    rate: float
    batch_norm: str
    state_bytes: int


class FreezeAudit(NamedTuple):
    """The stages in order, and the SHA-256 of the frozen ones' variables; `str()` is the table."""

    rows: tuple[StageAudit, ...]
    frozen: Mapping[str, str]

    def __str__(self) -> str:
        titles = ("stage", "parameters", "", "rate", "decay", "batch norm", "optimizer state")
        lines = [titles]
        for row in self.rows:
            lines.append(
                (
                    row.stage,
                    f"{row.parameters:,}",
                    "trained" if row.trained else "frozen",
                    f"{row.rate:.3g}" if row.trained else "-",
                    "yes" if row.decayed else "no",
                    row.batch_norm,
                    f"{row.state_bytes:,} bytes",
                )
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = {1, 3, 6}
        return "\n".join(
            "  ".join(
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def freeze_audit(
    network: Network,
    variables: Variables,
    frozen: Collection[str],
    optimizer: optax.GradientTransformation,
    rates: Mapping[str, float] | None = None,
    held: Collection[str] = (),
) -> FreezeAudit:
    """Looks, before a training, at what it will do to each stage.

    Decay is found out by trying: the optimizer gets weights of 1 and no gradient. Its state is
    counted by the stage names in it, whether or not they should be there.

    Args:
      network: the composition.
      variables: of all stages, where training begins.
      frozen: the stages that stay as they are.
      optimizer: for the others.
      rates: {stage: multiple of the head's learning rate}; 1 for trained stages that it leaves out.
      held: trained stages whose batch norm keeps its running statistics.

    Raises:
      CnnjaxError: a frozen stage has no variables.

    >>> import cnnjax
    >>> from cnnjax.training import momentum_sgd
    >>> from cnnjax.transfer import initialise
    >>> net = cnnjax.create("lenet5", num_classes=3)
    >>> variables = initialise(net, (32, 32, 1), seed=0)
    >>> optimizer = momentum_sgd(0.1, steps=10, weight_decay=1e-4)
    >>> print(freeze_audit(net, variables, ("c1", "c3"), optimizer))
    stage   parameters           rate  decay  batch norm  optimizer state
    c1             156  frozen      -  no     -                   0 bytes
    c3           2,416  frozen      -  no     -                   0 bytes
    c5          48,120  trained     1  yes    -             192,480 bytes
    f6          10,164  trained     1  yes    -              40,656 bytes
    output         255  trained     1  yes    -               1,020 bytes
    """
    trainable, fixed = partition(variables, frozen)
    params = trainable.get("params", {})
    state = jax.eval_shape(optimizer.init, params)
    sizes = dict.fromkeys(network.stages, 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        for stage in {entry.key for entry in path if hasattr(entry, "key")} & sizes.keys():
            sizes[stage] += leaf.size * leaf.dtype.itemsize
    decayed = _decayed(params, optimizer)
    rows = []
    for stage in network.stages:
        own = jax.tree.leaves(
            {c: g[stage] for c, g in variables.items() if c == "params" and stage in g}
        )
        trained = stage in params
        has_norm = any(stage in group for c, group in variables.items() if c == "batch_stats")
        rows.append(
            StageAudit(
                stage=stage,
                parameters=sum(leaf.size for leaf in own),
                trained=trained,
                decayed=stage in decayed,
                rate=(rates or {}).get(stage, 1.0) if trained else 0.0,
                batch_norm=_mode(trained and stage not in held) if has_norm else "-",
                state_bytes=sizes[stage],
            )
        )
    return FreezeAudit(tuple(rows), {stage: stage_hash(fixed, stage) for stage in frozen})


def _mode(moves: bool) -> str:
    return "batch" if moves else "fixed"


def assert_frozen(audit: FreezeAudit, after: Variables) -> None:
    """Makes sure, after a training, that frozen stages are bitwise what they were.

    Raises:
      CnnjaxError: they are not; names the stages.
    """
    changed = [
        stage for stage, before in audit.frozen.items() if stage_hash(after, stage) != before
    ]
    if changed:
        raise CnnjaxError(
            f"training has changed {', '.join(changed)}, which should have been frozen; expected "
            "the same bits as before; do not use these weights"
        )


def _decayed(params: Variables, optimizer: optax.GradientTransformation) -> set[str]:
    """The stages of which the optimizer changes weights of 1 without a gradient."""
    # A single number stands for each array: optimizers treat arrays by the number of their axes.
    ones = jax.tree.map(lambda a: jnp.ones((1,) * a.ndim, jnp.float32), params)
    still = jax.tree.map(jnp.zeros_like, ones)
    state, moved = optimizer.init(ones), set()
    for _ in range(_TRIED_STEPS):
        updates, state = optimizer.update(still, state, ones)
        moved |= {s for s in updates if any((u != 0).any() for u in jax.tree.leaves(updates[s]))}
    return moved
