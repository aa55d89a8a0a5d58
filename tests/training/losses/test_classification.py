"""Losses of classification: the lectures' numbers, stability, and what their gradients say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from cnnjax import CnnjaxError
from cnnjax.training import losses

SCORES = jnp.array([[3.2, 5.1, -1.7]])  # lecture 4's example: cat, car, frog; it is a cat
RANDOM = np.random.RandomState(0)
LOGITS = RANDOM.normal(0, 3, (64, 5)).astype(np.float32)
LABELS = RANDOM.randint(0, 5, 64)
TRUTH = RANDOM.randint(0, 2, (64, 5))
EXTREME = jnp.array([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])


def one_hot(labels, classes):
    return np.eye(classes, dtype=np.float32)[labels]


def test_the_svm_loss_of_the_lecture():
    assert losses.hinge(SCORES, jnp.array([0]))[0] == pytest.approx(2.9, abs=1e-6)


def test_the_softmax_loss_of_the_same_scores():
    assert losses.softmax_cross_entropy(SCORES, jnp.array([0]))[0] == pytest.approx(
        2.0404, abs=5e-5
    )


def test_the_svm_loss_sums_over_all_other_classes():
    rows = [
        sum(max(0, f[j] - f[y] + 1) for j in range(5) if j != y)
        for f, y in zip(LOGITS.astype(float), LABELS, strict=True)
    ]
    np.testing.assert_allclose(losses.hinge(LOGITS, LABELS), rows, rtol=1e-5, atol=1e-6)


def test_the_svm_loss_is_0_from_a_lead_of_1_on_and_k_less_1_without_any():
    scores = jnp.array([[2.0, 1.0, 0.5], [0.3, 0.3, 0.3]])
    assert losses.hinge(scores, jnp.array([0, 1])).tolist() == [0.0, 2.0]


def test_the_svm_loss_pushes_the_offenders_apart_and_leaves_the_others_alone():
    gradient = jax.grad(lambda f: losses.hinge(f, jnp.array([0])).sum())(SCORES)
    assert gradient.tolist() == [[-1.0, 1.0, 0.0]]


def test_the_softmax_loss_is_minus_the_log_of_the_softmax():
    wide = LOGITS.astype(float)
    expected = logsumexp(wide, axis=1) - wide[np.arange(64), LABELS]
    sparse = losses.softmax_cross_entropy(LOGITS, LABELS)
    dense = losses.softmax_cross_entropy_dense(LOGITS, one_hot(LABELS, 5))
    np.testing.assert_allclose(sparse, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense, expected, rtol=1e-5, atol=1e-6)


def test_of_a_uniform_prediction_the_softmax_loss_is_the_log_of_the_number_of_classes():
    for classes in (2, 1000):
        loss = losses.softmax_cross_entropy(jnp.full((1, classes), 7.0), jnp.array([1]))
        assert loss[0] == pytest.approx(np.log(classes), rel=1e-6)


def test_a_dense_target_is_weighed_class_by_class():
    target = np.array([[0.25, 0.75, 0.0]], np.float32)
    own = [float(losses.softmax_cross_entropy(SCORES, jnp.array([y]))[0]) for y in range(3)]
    dense = losses.softmax_cross_entropy_dense(SCORES, target)
    assert dense[0] == pytest.approx(0.25 * own[0] + 0.75 * own[1], rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.99])
def test_label_smoothing_mixes_the_label_with_every_class_alike(alpha):
    log_p = LOGITS.astype(float) - logsumexp(LOGITS.astype(float), axis=1, keepdims=True)
    own = -log_p[np.arange(64), LABELS]
    expected = (1 - alpha) * own - alpha * log_p.mean(axis=1)
    sparse = losses.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=alpha)
    dense = losses.softmax_cross_entropy_dense(LOGITS, one_hot(LABELS, 5), label_smoothing=alpha)
    np.testing.assert_allclose(sparse, expected, rtol=1e-5)
    np.testing.assert_allclose(dense, expected, rtol=1e-5)


def test_the_binary_loss_is_the_slide_with_two_terms():
    s = 1 / (1 + np.exp(-LOGITS[:, 0].astype(float)))
    t = TRUTH[:, 0]
    slide = -t * np.log(s) - (1 - t) * np.log(1 - s)
    measured = losses.sigmoid_binary_cross_entropy(LOGITS[:, 0], t)
    np.testing.assert_allclose(measured, slide, rtol=1e-5, atol=1e-6)


def test_the_binary_loss_is_the_softmax_loss_of_the_logits_0_and_s():
    two = np.stack([np.zeros(64), LOGITS[:, 0]], axis=1).astype(np.float32)
    of_two = losses.softmax_cross_entropy(two, TRUTH[:, 0])
    of_one = losses.sigmoid_binary_cross_entropy(LOGITS[:, 0], TRUTH[:, 0])
    np.testing.assert_allclose(of_one, of_two, rtol=1e-5, atol=1e-6)


def test_the_binary_loss_of_several_labels_is_their_mean():
    each = [losses.sigmoid_binary_cross_entropy(LOGITS[:, k], TRUTH[:, k]) for k in range(5)]
    several = losses.sigmoid_binary_cross_entropy(LOGITS, TRUTH)
    np.testing.assert_allclose(several, np.mean(each, axis=0), rtol=1e-5)


def test_confident_and_wrong_is_penalised_without_bound_and_confident_and_right_not_at_all():
    logits = jnp.array([-1.0, -10.0, -100.0, 100.0])
    loss = losses.sigmoid_binary_cross_entropy(logits, jnp.ones(4))
    assert loss[1] / loss[0] > 7
    assert loss[2] == pytest.approx(100, rel=1e-6)
    assert loss[3] < 1e-30


def test_confident_and_wrong_is_learnt_from_where_the_squared_error_of_a_sigmoid_is_not():
    def squared(s):
        return losses.mean_squared_error(jax.nn.sigmoid(s), jnp.ones(1)).sum()

    def cross_entropy(s):
        return losses.sigmoid_binary_cross_entropy(s, jnp.ones(1)).sum()

    wrong = jnp.array([-20.0])
    assert jax.jit(jax.grad(cross_entropy))(wrong)[0] == pytest.approx(-1)
    assert abs(jax.jit(jax.grad(squared))(wrong)[0]) < 1e-8


def test_the_gradient_of_the_softmax_loss_is_prediction_less_target():
    gradient = jax.jit(jax.grad(lambda s: losses.softmax_cross_entropy(s, LABELS).sum()))(LOGITS)
    expected = jax.nn.softmax(LOGITS) - one_hot(LABELS, 5)
    np.testing.assert_allclose(gradient, expected, atol=2e-6)


def test_the_gradients_vanish_where_the_prediction_is_the_target():
    target = jnp.array([[0.2, 0.3, 0.5]])

    @jax.jit
    def dense(s):
        return jax.grad(lambda s: losses.softmax_cross_entropy_dense(s, target).sum())(s)

    @jax.jit
    def binary(s):
        return jax.grad(lambda s: losses.sigmoid_binary_cross_entropy(s, target).sum())(s)

    np.testing.assert_allclose(dense(jnp.log(target)), 0, atol=1e-6)
    np.testing.assert_allclose(binary(jnp.log(target / (1 - target))), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda s: losses.softmax_cross_entropy(s, jnp.array([0, 2, 1])), [0, 2e4, np.log(3)]),
        (
            lambda s: losses.softmax_cross_entropy_dense(s, jnp.eye(3)[jnp.array([0, 2, 1])]),
            [0, 2e4, np.log(3)],
        ),
        (lambda s: losses.softmax_cross_entropy(s, jnp.array([0, 2, 1]), 0.3), None),
        (lambda s: losses.sigmoid_binary_cross_entropy(s, jnp.zeros((3, 3))), None),
        (lambda s: losses.sigmoid_binary_cross_entropy(s, jnp.ones((3, 3))), None),
        (lambda s: losses.hinge(s, jnp.array([0, 2, 1])), [0, 30002, 2]),
    ],
    ids=["sparse", "dense", "smooth", "binary of 0", "binary of 1", "hinge"],
)
def test_at_extreme_logits_values_and_gradients_are_finite_and_right(loss, expected):
    @jax.jit
    def both(logits):
        values, pull = jax.vjp(loss, logits)
        return values, pull(jnp.ones_like(values))[0]

    for dtype in (jnp.float32, jnp.bfloat16):
        values, gradient = both(EXTREME.astype(dtype))
        assert values.dtype == jnp.float32
        assert gradient.dtype == dtype
        assert np.isfinite(values).all()
        assert np.isfinite(np.asarray(gradient, np.float32)).all()
        if expected is not None:  # bfloat16 has 9984 for 10000
            rounding = {"rtol": 1e-6, "atol": 1e-3} if dtype == jnp.float32 else {"rtol": 2e-3}
            np.testing.assert_allclose(values, expected, **rounding)


def test_half_precision_logits_lose_nothing_more():
    half = jnp.asarray(LOGITS, jnp.bfloat16)
    same = half.astype(jnp.float32)
    for loss, targets in (
        (losses.softmax_cross_entropy, LABELS),
        (losses.hinge, LABELS),
        (losses.sigmoid_binary_cross_entropy, TRUTH),
    ):
        assert jnp.array_equal(loss(half, targets), loss(same, targets))


@pytest.mark.parametrize(
    "loss",
    [
        lambda s: losses.softmax_cross_entropy(s, LABELS),
        lambda s: losses.softmax_cross_entropy(s, LABELS, 0.2),
        lambda s: losses.sigmoid_binary_cross_entropy(s, TRUTH),
        lambda s: losses.hinge(s, LABELS),
    ],
    ids=["softmax", "smooth", "binary", "hinge"],
)
def test_in_the_logits_the_losses_are_convex_and_never_negative(loss):
    there = RANDOM.normal(0, 5, LOGITS.shape).astype(np.float32)
    between = loss((LOGITS + there) / 2)
    assert bool((between >= 0).all())
    assert bool((between <= (loss(LOGITS) + loss(there)) / 2 + 1e-5).all())


@pytest.mark.parametrize("loss", [losses.softmax_cross_entropy, losses.hinge])
def test_labels_that_are_no_integers_are_refused(loss):
    with pytest.raises(CnnjaxError, match=r"labels of type float32; it takes integers"):
        loss(LOGITS, LABELS.astype(np.float32))


@pytest.mark.parametrize("loss", [losses.softmax_cross_entropy, losses.hinge])
@pytest.mark.parametrize(
    ("logits", "labels"),
    [(LOGITS, LABELS[:, None]), (LOGITS, LABELS[:9]), (LOGITS[:, 0], LABELS)],
    ids=["a column", "too few", "no classes"],
)
def test_labels_that_do_not_fit_the_logits_are_refused(loss, logits, labels):
    with pytest.raises(CnnjaxError, match=r"it takes logits \[N, K\] and labels \[N\]"):
        loss(jnp.asarray(logits), jnp.asarray(labels))


@pytest.mark.parametrize("loss", [losses.sigmoid_binary_cross_entropy, losses.binary_cross_entropy])
def test_a_row_is_not_broadcast_against_a_column(loss):
    column = jnp.full((4, 1), 0.5)
    assert loss(column, jnp.ones(4)).shape == (4,)
    for targets in (jnp.ones((1, 4)), jnp.ones((4, 2)), jnp.ones(3), jnp.ones(())):
        with pytest.raises(
            CnnjaxError, match=r"got predictions of shape .* one shape \[N, \.\.\.\]"
        ):
            loss(column, targets)


@pytest.mark.parametrize("alpha", [-0.1, 1.0, 1.5, float("nan")])
def test_a_smoothing_outside_0_to_1_is_refused(alpha):
    with pytest.raises(CnnjaxError, match=f"smoothing of {alpha} .* at least 0 and below 1"):
        losses.softmax_cross_entropy(SCORES, jnp.array([0]), alpha)
    with pytest.raises(CnnjaxError, match="at least 0 and below 1"):
        losses.softmax_cross_entropy_dense(SCORES, jnp.eye(3)[:1], alpha)
