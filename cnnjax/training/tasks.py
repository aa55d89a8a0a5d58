"""What a network is trained to do: the loss of its last layer and the metrics it is judged by."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cnnjax.training.losses import softmax_cross_entropy
from cnnjax.training.metrics import correct

PerExample = Callable[[jax.Array, jax.Array], jax.Array]


class Task(NamedTuple):
    """A loss and metrics, each a function (outputs `[N, K]`, targets `[N]`) -> `[N]`."""

    loss: PerExample
    metrics: tuple[tuple[str, PerExample], ...]

    def sums(
        self, outputs: jax.Array, targets: jax.Array, mask: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        """Returns the loss and the metrics summed over the examples, and their count.

        Args:
          outputs: what the network gave, `[N, K]`.
          targets: `[N]`.
          mask: float `[N]`, 0 for the examples that only fill a batch up.
        """
        weights = jnp.ones(targets.shape[0], jnp.float32) if mask is None else mask
        measured = {"loss": self.loss(outputs, targets)}
        measured |= {name: metric(outputs, targets) for name, metric in self.metrics}
        # `where` and not a product: a filling example may be NaN, and 0 x NaN is NaN.
        sums = {name: jnp.where(weights > 0, v, 0).sum() for name, v in measured.items()}
        return sums | {"count": weights.sum()}


classification = Task(softmax_cross_entropy, (("accuracy", correct),))
"""One of K classes: softmax cross-entropy on logits, judged by accuracy."""
