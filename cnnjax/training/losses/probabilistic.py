"""Losses between probabilities, and of counts.

The slides' formulas have a logarithm of a prediction that may be 0. As in Keras, what lies below
`epsilon` counts as `epsilon` there: the loss of the impossible is large and finite (16.1 nats for
1e-7), but has no gradient. To train, take the losses on logits, which need no such care.
"""

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training.targets import paired


def cross_entropy(probabilities: jax.Array, targets: jax.Array, epsilon: float = 1e-7) -> jax.Array:
    """-sum_i y_i log(yhat_i), with 0 log 0 = 0.

    Lecture 4, "Cross Entropy Loss"; Keras's `categorical_crossentropy`, which also divides the
    predictions by their sum.

    Args:
      probabilities: yhat, `[N, K]`.
      targets: y, `[N, K]`, e.g. one-hot.
      epsilon: what a smaller prediction counts as; 0 makes the loss of the impossible infinite.

    Returns:
      float `[N]`, in nats.

    Raises:
      CnnjaxError: shapes other than `[N, K]`, a negative epsilon.

    >>> yhat, y = jnp.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]]), jnp.array([[1, 0, 0], [1, 0, 0]])
    >>> [round(float(loss), 4) for loss in cross_entropy(yhat, y)]  # -log 0.7, -log 1e-7
    [0.3567, 16.1181]
    """
    probabilities, targets = paired("cross_entropy", probabilities, targets, rank=2)
    return -(targets * _log(probabilities, targets, epsilon)).sum(axis=1)


def binary_cross_entropy(
    probabilities: jax.Array, targets: jax.Array, epsilon: float = 1e-7
) -> jax.Array:
    """-t log(s) - (1 - t) log(1 - s), with 0 log 0 = 0; the mean over several outputs.

    Lecture 5, "Binary Cross Entropy"; Keras's `binary_crossentropy`.

    Args:
      probabilities: s, `[N]`, `[N, 1]` or `[N, K]`.
      targets: t, `[N]` or `[N, K]`, each in [0, 1].
      epsilon: as in `cross_entropy`.

    Returns:
      float `[N]`, in nats.

    Raises:
      CnnjaxError: shapes that do not match, a negative epsilon.

    >>> losses = binary_cross_entropy(jnp.array([0.9, 0.9]), jnp.array([1, 0]))
    >>> [round(float(loss), 4) for loss in losses]  # -log 0.9, -log 0.1
    [0.1054, 2.3026]
    """
    s, t = paired("binary_cross_entropy", probabilities, targets)
    losses = -t * _log(s, t, epsilon) - (1 - t) * _log(1 - s, 1 - t, epsilon)
    return losses.reshape(losses.shape[0], -1).mean(axis=1)


def kl_divergence(probabilities: jax.Array, targets: jax.Array, epsilon: float = 1e-7) -> jax.Array:
    """D(y || yhat) = sum_i y_i log(y_i / yhat_i), with 0 log 0 = 0.

    The cross-entropy less the entropy of the target: 0 where they agree, and never below. Lecture
    4, list of Keras losses: `kl_divergence`.

    Args:
      probabilities: yhat, `[N, K]`.
      targets: y, `[N, K]`.
      epsilon: as in `cross_entropy`.

    Returns:
      float `[N]`, in nats.

    Raises:
      CnnjaxError: shapes other than `[N, K]`, a negative epsilon.

    >>> yhat, y = jnp.array([[0.25, 0.75]]), jnp.array([[0.5, 0.5]])
    >>> round(float(kl_divergence(yhat, y)[0]), 4)  # 0.5 log 2 + 0.5 log(2 / 3)
    0.1438
    """
    probabilities, targets = paired("kl_divergence", probabilities, targets, rank=2)
    return optax.losses.kl_divergence(_log(probabilities, targets, epsilon), targets)


def poisson(rates: jax.Array, counts: jax.Array, epsilon: float = 1e-7) -> jax.Array:
    """yhat - y log(yhat): the negative log-likelihood of a Poisson count, less log(y!).

    Least where the rate is the count. Lecture 4, list of Keras losses: `poisson`; the mean over
    several outputs, as there.

    Args:
      rates: yhat > 0, `[N]`, `[N, 1]` or `[N, K]`.
      counts: y >= 0, `[N]` or `[N, K]`.
      epsilon: as in `cross_entropy`; Keras adds it to the rate instead.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match, a negative epsilon.

    >>> [round(float(loss), 4) for loss in poisson(jnp.array([2.0, 3.0]), jnp.array([2, 2]))]
    [0.6137, 0.8028]
    """
    rates, counts = paired("poisson", rates, counts)
    losses = rates - counts * _log(rates, counts, epsilon)
    return losses.reshape(losses.shape[0], -1).mean(axis=1)


def _log(values: jax.Array, weights: jax.Array, epsilon: float) -> jax.Array:
    """log(max(value, epsilon)) where the weight is not 0, and 0 elsewhere.

    The inner `where` keeps the gradient of what does not count from being 0 x infinity.
    """
    if epsilon < 0:
        raise CnnjaxError(
            f"an epsilon of {epsilon} is no bound for probabilities; it is at least 0; "
            "Keras's is 1e-7"
        )
    return jnp.log(jnp.where(weights == 0, 1, jnp.maximum(values, epsilon)))
