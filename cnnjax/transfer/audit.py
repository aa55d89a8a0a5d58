"""The freeze audit: what a training will change, and what it has not changed."""

from collections.abc import Collection
from typing import NamedTuple

import optax

from cnnjax.models import Network
from cnnjax.training import Variables


class StageAudit(NamedTuple):
    """One stage before a training.

    Attributes:
      stage: its name.
      parameters: how many.
      trained: False: frozen.
      decayed: whether the optimizer shrinks its kernels even without a gradient (tried out).
      rate: its learning rate as a multiple of the new head's.
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
    frozen: dict[str, str]


def freeze_audit(
    network: Network,
    variables: Variables,
    frozen: Collection[str],
    optimizer: optax.GradientTransformation,
) -> FreezeAudit:
    """Looks, before a training, at what it will do to each stage.

    Args:
      network: the composition.
      variables: of all stages, where training begins.
      frozen: the stages that stay as they are.
      optimizer: for the others.
    """
    raise NotImplementedError


def assert_frozen(audit: FreezeAudit, after: Variables) -> None:
    """Makes sure, after a training, that frozen stages are bitwise what they were.

    Raises:
      CnnjaxError: they are not; names the stages.
    """
    raise NotImplementedError
