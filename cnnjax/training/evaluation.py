"""Loss and metrics of a network over a whole set of examples."""

import jax
import numpy as np

from cnnjax.data import StreamedDataset, padded_batches
from cnnjax.data.readers import every_example_once
from cnnjax.models import Network
from cnnjax.training.devices import Placement
from cnnjax.training.state import Variables
from cnnjax.training.steps import Batch, evaluate_batches
from cnnjax.training.tasks import Task


def evaluate(
    network: Network,
    task: Task,
    variables: Variables,
    data: Batch | StreamedDataset,
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
    data: Batch | StreamedDataset,
    *,
    start: str | None = None,
    batch_size: int = 256,
) -> dict[str, np.ndarray]:
    """Sums of loss and metrics over all examples in evaluation mode, see `Task.sums`.

    Args:
      network: the composition.
      task: loss and metrics.
      variables: of the stages that run.
      data: inputs `[N, ...]` and targets `[N, ...]`, or a stream of them, of which what cannot be
        read is left out and noted in its `reading`.
      start: the first stage to run.
      batch_size: examples at a time; counts do not depend on it, sums of reals to rounding.

    Raises:
      CnnjaxError: targets that do not suit the task and the network, or a stream that cannot be
        read.
    """
    targets = targets_of(data)
    task.check((len(targets), network.num_classes), targets)
    return checked_totals(network, task, variables, data, start, batch_size)


def checked_totals(
    network: Network,
    task: Task,
    variables: Variables,
    data: Batch | StreamedDataset,
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
    if isinstance(data, StreamedDataset):
        return _streamed_totals(network, task, variables, data, start, batch_size, placement)
    indices, mask = padded_batches(len(data[1]), batch_size)
    if placement is not None:
        indices, mask = placement.divided(indices), placement.divided(mask)
    sums = evaluate_batches(
        variables, *data, indices, mask, network=network, task=task, start=start
    )
    return {name: np.asarray(total) for name, total in sums.items()}


def targets_of(data: Batch | StreamedDataset) -> jax.Array | np.ndarray:
    """The targets `[N, ...]` of a data set."""
    return data.labels if isinstance(data, StreamedDataset) else data[1]


def _streamed_totals(
    network: Network,
    task: Task,
    variables: Variables,
    data: StreamedDataset,
    start: str | None,
    batch_size: int,
    placement: Placement | None,
) -> dict[str, np.ndarray]:
    """Batch after batch, each in the order in which it is read; added up in double precision."""
    indices = np.arange(batch_size, dtype=np.int32)[None]
    totals: dict[str, np.ndarray] = {}
    for images, labels, mask in every_example_once(data, batch_size):
        rows, weights = indices, mask[None]
        if placement is not None:
            images, labels = placement.everywhere((images, labels))
            rows, weights = placement.divided(rows), placement.divided(weights)
        sums = evaluate_batches(
            variables, images, labels, rows, weights, network=network, task=task, start=start
        )
        for name, value in sums.items():
            totals[name] = totals.get(name, 0) + np.asarray(value, np.float64)
    return totals
