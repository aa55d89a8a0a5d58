"""Losses, one value per example: reducing them is the caller's choice."""

import jax
import optax


def softmax_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label], stable at extreme logits.

    Args:
      logits: float `[N, K]`.
      labels: int `[N]`, each in 0 ... K-1.

    Returns:
      float `[N]`, in nats; ln K for a uniform prediction.

    >>> import jax.numpy as jnp
    >>> round(float(softmax_cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))[0]), 4)
    2.3026
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
