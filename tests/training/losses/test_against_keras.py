"""Every loss against the one of Keras that the lecture names, on its JAX backend."""

import jax
import numpy as np
import pytest

from cnnjax.training import losses

keras = pytest.importorskip("keras")

RANDOM = np.random.RandomState(3)
LOGITS, REAL, OTHER = (RANDOM.normal(0, 2, (64, 5)).astype(np.float32) for _ in range(3))
P, Q = (RANDOM.dirichlet(np.ones(5), 64).astype(np.float32) for _ in range(2))
RATES = RANDOM.uniform(0.5, 9, (64, 5)).astype(np.float32)
COUNTS = RANDOM.poisson(3, (64, 5)).astype(np.float32)
LABELS = RANDOM.randint(0, 5, 64)
ONE_HOT = np.eye(5, dtype=np.float32)[LABELS]
BITS = RANDOM.randint(0, 2, (64, 5)).astype(np.float32)

PAIRS = [
    ("sparse_categorical_crossentropy", losses.softmax_cross_entropy, LOGITS, LABELS, "logits"),
    ("categorical_crossentropy", losses.softmax_cross_entropy_dense, LOGITS, ONE_HOT, "logits"),
    ("binary_crossentropy", losses.sigmoid_binary_cross_entropy, LOGITS, BITS, "logits"),
    ("categorical_crossentropy", losses.cross_entropy, P, Q, ""),
    ("binary_crossentropy", losses.binary_cross_entropy, P, BITS, ""),
    ("kl_divergence", losses.kl_divergence, P, Q, ""),
    ("poisson", losses.poisson, RATES, COUNTS, ""),
    ("mean_squared_error", losses.mean_squared_error, REAL, OTHER, ""),
    ("mean_absolute_error", losses.mean_absolute_error, REAL, OTHER, ""),
    ("mean_absolute_percentage_error", losses.mean_absolute_percentage_error, REAL, OTHER, ""),
    ("mean_squared_logarithmic_error", losses.mean_squared_logarithmic_error, RATES, COUNTS, ""),
    ("cosine_similarity", losses.cosine_similarity, REAL, OTHER, ""),
    ("huber", losses.huber, REAL, OTHER, ""),
    ("log_cosh", losses.log_cosh, REAL, OTHER, ""),
]


@pytest.mark.parametrize(
    ("name", "ours", "predictions", "targets", "form"),
    PAIRS,
    ids=[f"{name} {form}".strip() for name, *_, form in PAIRS],
)
def test_a_loss_is_the_one_of_keras(name, ours, predictions, targets, form):
    theirs = getattr(keras.losses, name)
    options = {"from_logits": True} if form else {}
    expected = theirs(targets, predictions, **options)
    np.testing.assert_allclose(ours(predictions, targets), expected, rtol=2e-5, atol=2e-6)


def test_label_smoothing_is_the_one_of_keras():
    expected = keras.losses.categorical_crossentropy(
        ONE_HOT, LOGITS, from_logits=True, label_smoothing=0.2
    )
    ours = losses.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=0.2)
    np.testing.assert_allclose(ours, expected, rtol=2e-5)


def test_huber_with_another_delta_is_the_one_of_keras():
    expected = keras.losses.huber(OTHER, REAL, delta=2.5)
    np.testing.assert_allclose(losses.huber(REAL, OTHER, delta=2.5), expected, rtol=2e-5)


def test_the_sums_are_k_times_the_means_of_keras():
    squares, values = keras.losses.mean_squared_error, keras.losses.mean_absolute_error
    for ours, theirs in ((losses.sum_squared_error, squares), (losses.sum_absolute_error, values)):
        np.testing.assert_allclose(ours(REAL, OTHER), 5 * theirs(OTHER, REAL), rtol=2e-5)


def test_the_hinge_is_not_the_categorical_hinge_of_keras_which_takes_the_worst_rival_alone():
    theirs = np.asarray(keras.losses.categorical_hinge(ONE_HOT, LOGITS))
    ours = np.asarray(losses.hinge(LOGITS, LABELS))
    assert (ours >= theirs - 1e-5).all()
    own = LOGITS[np.arange(64), LABELS][:, None]
    offenders = ((LOGITS - own + 1 > 0) & (ONE_HOT == 0)).sum(axis=1)
    one = offenders == 1
    assert 5 < one.sum() < 60
    np.testing.assert_allclose(ours[one], np.maximum(theirs, 0)[one], rtol=1e-4)
    assert (ours[offenders > 1] > theirs[offenders > 1]).all()


def test_the_gradients_are_those_of_keras_too():
    @jax.jit
    @jax.grad
    def theirs(s):
        return keras.losses.sparse_categorical_crossentropy(LABELS, s, from_logits=True).sum()

    @jax.jit
    @jax.grad
    def ours(s):
        return losses.softmax_cross_entropy(s, LABELS).sum()

    np.testing.assert_allclose(ours(LOGITS), theirs(LOGITS), atol=2e-6)
