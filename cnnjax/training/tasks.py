"""What a network is trained to do: the activation and loss of its last layer, the metrics it is
judged by, and the targets it takes."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.training import losses, metrics, targets
from cnnjax.training.metrics import Metric, PerExample

Activation = Callable[[jax.Array], jax.Array]
Total = float | np.ndarray | jax.Array


class Task(NamedTuple):
    """Last-layer activation, loss, metrics, and a check of the targets.

    Networks give logits: the loss takes logits, and the activation stands apart from it, for
    predictions. A task is hashable, as a static argument of `jax.jit` must be.

    Attributes:
      loss: (outputs `[N, K]`, targets) -> `[N]`.
      metrics: what else is measured.
      activation: outputs -> predictions, elementwise or over the last axis.
      check_targets: (shape of the outputs, targets on the host) -> None, or a `CnnjaxError`.
    """

    loss: PerExample
    metrics: tuple[Metric, ...]
    activation: Activation
    check_targets: Callable[[tuple[int, ...], np.ndarray], None]

    def sums(
        self, outputs: jax.Array, targets: jax.Array, mask: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        """Returns loss and metrics summed over the examples, and their count.

        The sums of two batches add up to those of both together, however uneven: exactly for
        counts, to rounding for real numbers.

        Args:
          outputs: what the network gave, `[N, K]`.
          targets: `[N, ...]`.
          mask: float `[N]`, 0 for the examples that only fill a batch up.
        """
        counted = jnp.ones(targets.shape[0], bool) if mask is None else mask > 0
        measured = {"loss": self.loss(outputs, targets)}
        measured |= {metric.name: metric.measure(outputs, targets) for metric in self.metrics}

        def total(values: jax.Array) -> jax.Array:
            here = counted.reshape(counted.shape + (1,) * (values.ndim - 1))
            # `where` and not a product: a filling example may be NaN, and 0 x NaN is NaN.
            return jnp.where(here, values, 0).sum(axis=0)

        return {name: total(v) for name, v in measured.items()} | {"count": counted.sum()}

    def report(self, sums: Mapping[str, Total]) -> dict[str, float]:
        """Turns sums over all examples into the numbers to report, e.g. means.

        Args:
          sums: what `sums` gave, of one batch or added up over many.

        Raises:
          CnnjaxError: no example was counted.

        >>> from cnnjax.training import classification
        >>> classification.report({"loss": 3.0, "accuracy": 1, "count": 2})
        {'loss': 1.5, 'accuracy': 0.5}
        """
        count = float(sums["count"])
        if count <= 0:
            raise CnnjaxError(
                "there is nothing to report: no example was counted; expected at least one; "
                "give data with examples"
            )
        reported = {"loss": metrics.mean(np.asarray(sums["loss"]), count)}
        for metric in self.metrics:
            total = np.asarray(sums[metric.name])
            reported |= {name: summary(total, count) for name, summary in metric.summaries}
        return reported

    def predict(self, outputs: jax.Array) -> jax.Array:
        """Applies the last layer's activation to what the network gave: same shape."""
        return self.activation(outputs)

    def check(self, outputs_shape: tuple[int, ...], targets: np.ndarray | jax.Array) -> None:
        """Makes sure, on the host and before any training, that these targets fit.

        Args:
          outputs_shape: `[N, K]` of the network's outputs, e.g. of `jax.eval_shape`; only K counts.
          targets: all of them, `[N, ...]`.

        Raises:
          CnnjaxError: their dtype, shape or range is wrong for this task and number of outputs.
        """
        if len(outputs_shape) != 2 or outputs_shape[1] < 1:
            raise CnnjaxError(
                f"the network's outputs have shape {list(outputs_shape)}; a task takes [N, K] "
                "with K of 1 or more; end the network with its head"
            )
        targets = np.asarray(targets)
        if targets.size == 0:
            raise CnnjaxError(
                f"targets have shape {list(targets.shape)}; expected at least one; give data "
                "with examples"
            )
        self.check_targets(outputs_shape, targets)

    def with_metrics(self, *more: Metric) -> "Task":
        """The same task, judged by more, e.g. `classification.with_metrics(metrics.top_k(5))`.

        Raises:
          CnnjaxError: two sums, or two numbers to report, would have one name.
        """
        task = self._replace(metrics=(*self.metrics, *more))
        sums = ["loss", "count", *(metric.name for metric in task.metrics)]
        numbers = ["loss", *(name for metric in task.metrics for name, _ in metric.summaries)]
        for names in (sums, numbers):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise CnnjaxError(
                    f"a task cannot measure {twice[0]!r} twice; expected every name once; leave "
                    "one of the two out, or rename it"
                )
        return task


def _squared_error_of_sigmoid(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return losses.mean_squared_error(jax.nn.sigmoid(outputs), targets)


def _absolute_error_of_sigmoid(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return losses.mean_absolute_error(jax.nn.sigmoid(outputs), targets)


def _identity(outputs: jax.Array) -> jax.Array:
    return outputs


binary_classification = Task(
    losses.sigmoid_binary_cross_entropy,
    (metrics.binary_scores,),
    jax.nn.sigmoid,
    targets.binary_labels,
)
"""One of two classes, one output, targets int `[N]` of 0 and 1: the logit is that of class 1."""

classification = Task(
    losses.softmax_cross_entropy, (metrics.accuracy,), jax.nn.softmax, targets.class_labels
)
"""One of K classes, K outputs, targets int `[N]`: softmax cross-entropy, judged by accuracy."""

multilabel_classification = Task(
    losses.sigmoid_binary_cross_entropy,
    (metrics.label_scores, metrics.exact_match),
    jax.nn.sigmoid,
    targets.label_sets,
)
"""Any of K labels, K outputs, targets int `[N, K]` of 0 and 1, each label decided by itself."""

regression = Task(
    losses.mean_squared_error, (metrics.mae, metrics.rmse), _identity, targets.real_values
)
"""K arbitrary values, K outputs, targets float `[N, K]`, or `[N]` for one."""

unit_regression = Task(
    _squared_error_of_sigmoid,
    (
        metrics.mae._replace(measure=_absolute_error_of_sigmoid),
        metrics.rmse._replace(measure=_squared_error_of_sigmoid),
    ),
    jax.nn.sigmoid,
    targets.unit_values,
)
"""K values in [0, 1]: as `regression`, behind a sigmoid, by the squared error."""

unit_regression_cross_entropy = unit_regression._replace(loss=losses.sigmoid_binary_cross_entropy)
"""K values in [0, 1], by the binary cross-entropy: its best prediction is the mean of the targets
too, and its gradient does not vanish where the sigmoid is flat."""


class LastLayer(NamedTuple):
    """A row of lecture 4's table "Last-layer activation & Loss", as printed, and its task."""

    problem: str
    activation: str | None
    loss: str
    task: Task


LAST_LAYERS = (
    LastLayer("Binary classification", "sigmoid", "binary_crossentropy", binary_classification),
    LastLayer(
        "Multiclass, single-label classification",
        "softmax",
        "categorical_crossentropy",
        classification,
    ),
    LastLayer(
        "Multiclass, multilabel classification",
        "sigmoid",
        "binary_crossentropy",
        multilabel_classification,
    ),
    LastLayer("Regression to arbitrary values", None, "mse", regression),
    LastLayer("Regression to values between 0 and 1", "sigmoid", "mse", unit_regression),
    LastLayer(
        "Regression to values between 0 and 1",
        "sigmoid",
        "binary_crossentropy",
        unit_regression_cross_entropy,
    ),
)
"""The lecture's table; its last row names two losses, and is two rows here."""
