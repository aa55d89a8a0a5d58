"""Metrics as sums and counts, so that uneven batches merge exactly."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """1 where the largest logit is the label's and 0 elsewhere: float `[N]`.

    Ties go to the class that comes first, as in NumPy's argmax.
    """
    return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Divides every sum by the number of examples, which stands under "count".

    >>> means({"loss": 3.0, "accuracy": 1.0, "count": 2.0})
    {'loss': 1.5, 'accuracy': 0.5}
    """
    count = float(sums["count"])
    return {name: float(value) / count for name, value in sums.items() if name != "count"}
