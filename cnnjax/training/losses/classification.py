"""Losses of classification, on logits."""

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training.targets import paired, require_labels, wide


def softmax_cross_entropy(
    logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
    """-log softmax(s)_y = -log(e^{s_y} / sum_j e^{s_j}), stable at extreme logits.

    Lecture 5, "Categorical Cross Entropy", also called softmax loss; Keras's
    `sparse_categorical_crossentropy(..., from_logits=True)`. Computed as log sum_j e^{s_j} - s_y,
    so it is right to the rounding of the largest logit: to 1e-3 where that is 1e4. A label out of
    range gives NaN or the loss of another class: `Task.check` finds it before a training.

    Args:
      logits: s, float `[N, K]`.
      labels: y, int `[N]`, each in 0 ... K-1.
      label_smoothing: alpha in [0, 1); the target is (1 - alpha) of the label's and alpha / K of
        every class.

    Returns:
      float `[N]`, in nats; ln K for a uniform prediction.

    Raises:
      CnnjaxError: labels that are no integers `[N]`, logits that are not `[N, K]`, a smoothing
        outside [0, 1).

    >>> round(float(softmax_cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))[0]), 4)
    2.3026
    >>> scores = jnp.array([[3.2, 5.1, -1.7]])
    >>> round(float(softmax_cross_entropy(scores, jnp.array([0]))[0]), 4)
    2.0404
    """
    require_labels("softmax_cross_entropy", logits, labels)
    _require_smoothing(label_smoothing)
    logits = wide(logits)
    if label_smoothing == 0:
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    one_hot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return softmax_cross_entropy_dense(logits, one_hot, label_smoothing)


def softmax_cross_entropy_dense(
    logits: jax.Array, targets: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
    """-sum_i t_i log softmax(s)_i: the target is a distribution, e.g. one-hot.

    Lecture 5, "Categorical Cross Entropy"; Keras's `categorical_crossentropy(...,
    from_logits=True)`.

    Args:
      logits: s, float `[N, K]`.
      targets: t, `[N, K]`, each row of sum 1.
      label_smoothing: alpha in [0, 1): (1 - alpha) t + alpha / K in place of t.

    Returns:
      float `[N]`, in nats.

    Raises:
      CnnjaxError: shapes other than `[N, K]`, a smoothing outside [0, 1).

    >>> scores, one_hot = jnp.array([[3.2, 5.1, -1.7]]), jnp.array([[1.0, 0.0, 0.0]])
    >>> round(float(softmax_cross_entropy_dense(scores, one_hot)[0]), 4)
    2.0404
    """
    logits, targets = paired("softmax_cross_entropy_dense", logits, targets, rank=2)
    _require_smoothing(label_smoothing)
    if label_smoothing:
        targets = optax.losses.smooth_labels(targets, label_smoothing)
    return optax.losses.softmax_cross_entropy(logits, targets)


def sigmoid_binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)), stable at extreme logits.

    Lecture 5, "Binary Cross Entropy"; Keras's `binary_crossentropy(..., from_logits=True)`. Where
    an example has several independent outputs (multilabel classification), it is the mean over
    them, as in Keras, and not the sum.

    Args:
      logits: s, float `[N]`, `[N, 1]` or `[N, K]`.
      targets: t, `[N]` or `[N, K]`, each in [0, 1]; between the two for a regression, whose best
        prediction is then the mean of t.

    Returns:
      float `[N]`, in nats; ln 2 for a prediction of one half.

    Raises:
      CnnjaxError: shapes that do not match.

    >>> losses = sigmoid_binary_cross_entropy(jnp.array([0.0, 9.0, -9.0]), jnp.array([1, 1, 1]))
    >>> [round(float(loss), 4) for loss in losses]  # unsure; right; confident and wrong
    [0.6931, 0.0001, 9.0001]
    """
    logits, targets = paired("sigmoid_binary_cross_entropy", logits, targets)
    losses = optax.losses.sigmoid_binary_cross_entropy(logits, targets)
    return losses.reshape(losses.shape[0], -1).mean(axis=1)


def hinge(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """The multiclass SVM loss, sum_{j != y} max(0, f_j - f_y + 1).

    Lecture 4, "SVM Loss" (Weston and Watkins 1999: the sum over the other classes, where optax and
    Crammer and Singer take the largest alone). Keras's `categorical_hinge` is the latter too.

    Args:
      scores: f, float `[N, K]`.
      labels: y, int `[N]`, each in 0 ... K-1.

    Returns:
      float `[N]`; 0 where the label's score leads all others by 1 or more, K - 1 where all scores
      are equal.

    Raises:
      CnnjaxError: labels that are no integers `[N]`, scores that are not `[N, K]`.

    >>> round(float(hinge(jnp.array([[3.2, 5.1, -1.7]]), jnp.array([0]))[0]), 4)
    2.9
    """
    require_labels("hinge", scores, labels)
    scores = wide(scores)
    own = jnp.take_along_axis(scores, labels[:, None], axis=1)
    margins = jnp.maximum(0, scores - own + 1)
    others = jnp.arange(scores.shape[1]) != labels[:, None]
    return jnp.where(others, margins, 0).sum(axis=1)


def _require_smoothing(alpha: float) -> None:
    if not 0 <= alpha < 1:
        raise CnnjaxError(
            f"a label smoothing of {alpha} leaves nothing of the label; it is at least 0 and "
            "below 1; 0.1 is usual"
        )
