"""Losses of regression. With e = yhat - y, over the components of one example.

The lectures call two things MSE: lecture 4 sums over the components, ||f - y||^2, and lecture 5
divides by their number. Both are here, by name; for one output they are the same. All but the
sums take the mean over the components, as Keras does.
"""

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training.targets import paired


def sum_squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """||f - y||_2^2 = sum_k e_k^2: lecture 4, "L2 Loss/MSE".

    Args:
      predictions: f, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> sum_squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
    [5.0]
    """
    return _flat(_error("sum_squared_error", predictions, targets) ** 2).sum(axis=1)


def mean_squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """1/K sum_k e_k^2: lecture 5, "Mean Squared Error"; Keras's `mean_squared_error`.

    Squaring penalises what is far away heavily: an outlier of error e has gradient 2 e.

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.

    Returns:
      float `[N]`; least, over the data, at their mean.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> mean_squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
    [2.5]
    """
    return _mean(_error("mean_squared_error", predictions, targets) ** 2)


def sum_absolute_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """||f - y||_1 = sum_k |e_k|: lecture 4, "L1 Loss/MAE".

    Args:
      predictions: f, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> sum_absolute_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
    [3.0]
    """
    return _flat(_absolute(_error("sum_absolute_error", predictions, targets))).sum(axis=1)


def mean_absolute_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """1/K sum_k |e_k|: lecture 5, "Mean Absolute Error"; Keras's `mean_absolute_error`.

    More robust to outliers than the square: whatever e, its (sub-)gradient is sign(e), and 0 at 0.
    The slide says that it "needs more complicated tools such as linear programming to compute the
    gradients"; it does not, gradient descent takes the sub-gradient.

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.

    Returns:
      float `[N]`; least, over the data, at their median.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> mean_absolute_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
    [1.5]
    """
    return _mean(_absolute(_error("mean_absolute_error", predictions, targets)))


def mean_absolute_percentage_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """100/K sum_k |e_k| / max(|y_k|, 1e-7), in percent.

    Lecture 4, list of Keras losses: `mean_absolute_percentage_error`.

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape; near 0 the loss is huge.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> mean_absolute_percentage_error(jnp.array([[3.0, 3.0]]), jnp.array([[4.0, 2.0]])).tolist()
    [37.5]
    """
    predictions, targets = paired("mean_absolute_percentage_error", predictions, targets)
    return 100 * _mean(_absolute(predictions - targets) / jnp.maximum(jnp.abs(targets), 1e-7))


def mean_squared_logarithmic_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """1/K sum_k (log(1 + yhat_k) - log(1 + y_k))^2; what is negative counts as 0.

    Lecture 4, list of Keras losses: `mean_squared_logarithmic_error` (there, what lies below 1e-7
    counts as 1e-7).

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y >= 0, `[N]` or of the same shape.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> loss = mean_squared_logarithmic_error(jnp.array([3.0]), jnp.array([1.0]))
    >>> round(float(loss[0]), 4)  # (log 4 - log 2)^2
    0.4805
    """
    predictions, targets = paired("mean_squared_logarithmic_error", predictions, targets)
    logs = [jnp.log1p(jnp.maximum(values, 0)) for values in (predictions, targets)]
    return _mean((logs[0] - logs[1]) ** 2)


def cosine_similarity(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """-<yhat, y> / (|yhat| |y|), with the sign of a loss: -1 for one direction, 1 for opposite.

    Lecture 4, list of Keras losses: `cosine_similarity`, over the last axis as there. A vector of
    length 0 has no direction, and gives 0.

    Args:
      predictions: yhat, `[N, K]`.
      targets: y, `[N, K]`.

    Returns:
      float `[N]`, in [-1, 1].

    Raises:
      CnnjaxError: shapes other than `[N, K]`.

    >>> loss = cosine_similarity(jnp.array([[2.0, 0.0]]), jnp.array([[3.0, 4.0]]))
    >>> round(float(loss[0]), 4)
    -0.6
    """
    predictions, targets = paired("cosine_similarity", predictions, targets, rank=2)
    # The bound is on the squared lengths, and keeps the gradient finite where one is 0.
    return -optax.losses.cosine_similarity(predictions, targets, epsilon=1e-14)


def huber(predictions: jax.Array, targets: jax.Array, delta: float = 1.0) -> jax.Array:
    """e^2 / 2 where |e| <= delta, else delta |e| - delta^2 / 2; the mean over the components.

    The square near 0 and the absolute value far away, joined smoothly. Lecture 4, list of Keras
    losses: `huber`.

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.
      delta: where the one passes into the other, > 0.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match, a delta that is not positive.

    >>> huber(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0])).tolist()
    [0.125, 2.5]
    """
    if not delta > 0:
        raise CnnjaxError(
            f"a delta of {delta} leaves huber no square part; it is positive; Keras's is 1"
        )
    return _mean(optax.losses.huber_loss(*paired("huber", predictions, targets), delta=delta))


def log_cosh(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """log cosh(e), the mean over the components: about e^2 / 2 near 0, |e| - log 2 far away.

    Lecture 4, list of Keras losses: `log_cosh`. Its gradient is tanh(e).

    Args:
      predictions: yhat, `[N]`, `[N, 1]` or `[N, ...]`.
      targets: y, `[N]` or of the same shape.

    Returns:
      float `[N]`.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> round(float(log_cosh(jnp.array([1.0]), jnp.array([0.0]))[0]), 4)
    0.4338
    """
    return _mean(optax.losses.log_cosh(*paired("log_cosh", predictions, targets)))


def _error(what: str, predictions: jax.Array, targets: jax.Array) -> jax.Array:
    predictions, targets = paired(what, predictions, targets)
    return predictions - targets


def _absolute(errors: jax.Array) -> jax.Array:
    """|e| with the gradient sign(e), which is 0 at 0; that of `jnp.abs` is 1 there."""
    return errors * jnp.sign(errors)


def _flat(values: jax.Array) -> jax.Array:
    return values.reshape(values.shape[0], -1)


def _mean(values: jax.Array) -> jax.Array:
    return _flat(values).mean(axis=1)
