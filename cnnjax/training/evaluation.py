"""Loss and metrics of a network over a whole set of examples."""

import numpy as np

from cnnjax.data import padded_batches
from cnnjax.models import Network
from cnnjax.training.devices import Placement
from cnnjax.training.state import Variables
from cnnjax.training.steps import Batch, evaluate_batches
from cnnjax.training.tasks import Task


def evaluate(
    network: Network,
    task: Task,
    variables: Variables,
    data: Batch,
    *,
    start: str | None = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """Means of loss and metrics in evaluation mode, every example counted exactly once.

    As `totals`, reported.
    """
    return task.report(totals(network, task, variables, data, start=start, batch_size=batch_size))


def totals(
    network: Network,
    task: Task,
    variables: Variables,
    data: Batch,
    *,
    start: str | None = None,
    batch_size: int = 256,
) -> dict[str, np.ndarray]:
    """Sums of loss and metrics over all examples in evaluation mode, see `Task.sums`.

    Args:
      network: the composition.
      task: loss and metrics.
      variables: of the stages that run.
      data: inputs `[N, ...]` and targets `[N, ...]`.
      start: the first stage to run.
      batch_size: examples at a time; counts do not depend on it, sums of reals to rounding.

    Raises:
      CnnjaxError: targets that do not suit the task and the network.
    """
    task.check((len(data[1]), network.num_classes), data[1])
    return checked_totals(network, task, variables, data, start, batch_size)


def checked_totals(
    network: Network,
    task: Task,
    variables: Variables,
    data: Batch,
    start: str | None,
    batch_size: int = 256,
    placement: Placement | None = None,
) -> dict[str, np.ndarray]:
    """`totals` of targets that have been checked: the check brings them to the host.

    With a placement, variables and data lie on all of its devices, and each takes its part of every
    batch.
    """
    if placement is not None:
        batch_size += -batch_size % placement.mesh.size
    indices, mask = padded_batches(len(data[1]), batch_size)
    if placement is not None:
        indices, mask = placement.divided(indices), placement.divided(mask)
    sums = evaluate_batches(
        variables, *data, indices, mask, network=network, task=task, start=start
    )
    return {name: np.asarray(total) for name, total in sums.items()}
