"""What targets must look like: shapes and dtypes where a function is traced, values on the host."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import CnnjaxError

Shape = tuple[int, ...]


def paired(
    what: str, predictions: jax.Array, targets: jax.Array, rank: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Predictions and targets of one shape, in float32 or wider.

    A network with one output gives `[N, 1]` where the targets are `[N]`; left to broadcasting,
    their difference would be `[N, N]`. That one axis is dropped; any other difference is an error.

    Args:
      what: the name of the function that asks, for the error.
      predictions: `[N, ...]`.
      targets: of the same shape, or `[N]` where the predictions are `[N, 1]`.
      rank: the number of axes, where only one will do.

    Raises:
      CnnjaxError: the shapes differ otherwise, or have another rank.

    >>> predictions, targets = paired("mse", jnp.zeros((3, 1)), jnp.array([0, 1, 2]))
    >>> predictions.shape, targets.dtype
    ((3,), dtype('float32'))
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if targets.ndim == 1 and predictions.shape == (*targets.shape, 1):
        predictions = predictions[:, 0]
    fits = targets.ndim > 0 if rank is None else targets.ndim == rank
    if predictions.shape != targets.shape or not fits:
        form = "[N, K]" if rank == 2 else "[N, ...]"
        raise CnnjaxError(
            f"{what} got predictions of shape {predictions.shape} and targets of shape "
            f"{targets.shape}; it takes one shape {form} for both; reshape one of them"
        )
    predictions = wide(predictions)
    return predictions, targets.astype(predictions.dtype)


def wide(values: jax.Array) -> jax.Array:
    """In float32, or as they are where they are wider: half precision is for the network."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def require_labels(what: str, logits: jax.Array, labels: jax.Array) -> None:
    """Makes sure that logits are `[N, K]` and labels integers `[N]`; of values it knows nothing.

    Raises:
      CnnjaxError: they are not.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise CnnjaxError(
            f"{what} got labels of type {labels.dtype}; it takes integers, the number of the "
            "class; convert with .astype('int32'), or give one-hot rows to a dense loss"
        )
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise CnnjaxError(
            f"{what} got logits of shape {logits.shape} and labels of shape {labels.shape}; it "
            "takes logits [N, K] and labels [N]; reshape them"
        )


def class_labels(outputs: Shape, targets: np.ndarray) -> None:
    """Integer labels `[N]` in 0 ... K-1 for outputs `[N, K]`.

    Raises:
      CnnjaxError: they are not.
    """
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise CnnjaxError(
            f"targets are {_describe(targets)}; one of K classes takes integer labels [N], the "
            "number of the class; convert them, e.g. one-hot rows with .argmax(axis=1)"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= outputs[-1]:
        raise CnnjaxError(
            f"labels run from {low} to {high} but the network has {outputs[-1]} outputs; expected "
            f"labels from 0 to {outputs[-1] - 1}; mend the labels or the number of classes"
        )


def binary_labels(outputs: Shape, targets: np.ndarray) -> None:
    """Labels `[N]`, each 0 or 1, for one output.

    Raises:
      CnnjaxError: they are not.
    """
    if outputs[-1] != 1:
        raise CnnjaxError(
            f"the network has {outputs[-1]} outputs; binary classification takes one, the logit "
            "of class 1; create it with num_classes=1, or use `classification`"
        )
    _require_zeros_and_ones("binary classification", "[N]", targets.shape[:1], targets)


def label_sets(outputs: Shape, targets: np.ndarray) -> None:
    """Labels `[N, K]`, 1 where the example has the label and 0 where it has not.

    Raises:
      CnnjaxError: they are not.
    """
    shape = (*targets.shape[:1], outputs[-1])
    _require_zeros_and_ones("multilabel classification", "[N, K]", shape, targets)


def real_values(outputs: Shape, targets: np.ndarray) -> None:
    """Finite floating-point values: `[N, K]`, or `[N]` for one output.

    Raises:
      CnnjaxError: they are not.
    """
    # np.floating alone leaves out bfloat16, which is not NumPy's own.
    shapes = [(*targets.shape[:1], outputs[-1])] + [targets.shape[:1]] * (outputs[-1] == 1)
    if targets.shape not in shapes or not jnp.issubdtype(targets.dtype, jnp.floating):
        raise CnnjaxError(
            f"targets are {_describe(targets)} and the network has {outputs[-1]} outputs; "
            f"regression takes floating-point targets [N, {outputs[-1]}], or [N] for one output; "
            "convert with .astype('float32') or mend the number of outputs"
        )
    if not np.isfinite(targets.astype(np.float64)).all():
        raise CnnjaxError(
            "some targets are NaN or infinite; regression takes finite numbers; leave those "
            "examples out"
        )


def unit_values(outputs: Shape, targets: np.ndarray) -> None:
    """As `real_values`, each in [0, 1].

    Raises:
      CnnjaxError: they are not.
    """
    real_values(outputs, targets)
    low, high = float(targets.min()), float(targets.max())
    if low < 0 or high > 1:
        raise CnnjaxError(
            f"targets run from {low:g} to {high:g}; regression behind a sigmoid takes values in "
            "[0, 1]; scale them, or use `regression`"
        )


def _require_zeros_and_ones(task: str, form: str, shape: Shape, targets: np.ndarray) -> None:
    whole = np.issubdtype(targets.dtype, np.integer) or targets.dtype == np.bool_
    if not whole or targets.shape != shape:
        raise CnnjaxError(
            f"targets are {_describe(targets)}; {task} takes integers or booleans {form}, here "
            f"{list(shape)}, each 0 or 1; convert them with .astype('int32') or reshape them"
        )
    if odd := sorted(set(np.unique(targets).tolist()) - {0, 1}):
        raise CnnjaxError(
            f"the targets hold {odd[0]}; {task} takes 0 and 1 only; mend the labels, or use "
            "`classification` for more than two classes"
        )


def _describe(targets: np.ndarray) -> str:
    return f"{targets.dtype} of shape {list(targets.shape)}"
