"""Losses between probabilities: the slides' formulas, with their logarithms of zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import rel_entr

from cnnjax import CnnjaxError
from cnnjax.training import losses

RANDOM = np.random.RandomState(1)
P, Y = (RANDOM.dirichlet(np.ones(5), 64).astype(np.float32) for _ in range(2))


def test_the_cross_entropy_of_the_slide():
    expected = -(Y.astype(float) * np.log(P)).sum(axis=1)
    np.testing.assert_allclose(losses.cross_entropy(P, Y), expected, rtol=1e-5)


def test_a_one_hot_target_leaves_one_term():
    one_hot = np.eye(5)[[2] * 64]
    np.testing.assert_allclose(losses.cross_entropy(P, one_hot), -np.log(P[:, 2]), rtol=1e-6)


def test_the_binary_slide_keeps_one_half_for_each_label():
    s = P[:, 0]
    np.testing.assert_allclose(losses.binary_cross_entropy(s, np.ones(64)), -np.log(s), rtol=1e-6)
    np.testing.assert_allclose(
        losses.binary_cross_entropy(s, np.zeros(64)), -np.log1p(-s), rtol=1e-5, atol=1e-7
    )


def test_the_formulas_on_probabilities_are_those_on_logits_behind_their_activation():
    logits = jnp.asarray(RANDOM.normal(0, 2, (64, 5)), jnp.float32)
    np.testing.assert_allclose(
        losses.cross_entropy(jax.nn.softmax(logits), Y),
        losses.softmax_cross_entropy_dense(logits, Y),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        losses.binary_cross_entropy(jax.nn.sigmoid(logits), Y),
        losses.sigmoid_binary_cross_entropy(logits, Y),
        rtol=1e-4,
    )


def test_a_zero_that_does_not_count_is_nothing_and_one_that_does_is_bounded():
    certain = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    truth = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    for loss in (losses.cross_entropy, losses.kl_divergence):
        np.testing.assert_allclose(loss(certain, truth), [0, -np.log(1e-7)], rtol=1e-6)
        assert loss(certain, truth, epsilon=0.0).tolist() == [0, np.inf]
        gradient = jax.jit(jax.grad(lambda p, loss=loss: loss(p, truth)[0]))(certain)
        assert gradient[0].tolist() == [-1.0, 0.0]
    binary = losses.binary_cross_entropy(jnp.array([1.0, 0.0, 0.0, 1.0]), jnp.array([1, 0, 1, 0]))
    np.testing.assert_allclose(binary, [0, 0, -np.log(1e-7), -np.log(1e-7)], rtol=1e-6)
    assert losses.poisson(jnp.zeros(2), jnp.array([0, 2])).tolist() == pytest.approx(
        [0, -2 * np.log(1e-7)]
    )


def test_what_does_not_count_has_no_gradient_even_without_a_bound():
    gradient = jax.grad(lambda p: losses.cross_entropy(p, jnp.array([[1.0, 0.0]]), 0.0).sum())
    assert gradient(jnp.array([[1.0, 0.0]])).tolist() == [[-1.0, 0.0]]


def test_the_divergence_is_that_of_scipy_0_at_the_target_and_nowhere_below():
    np.testing.assert_allclose(
        losses.kl_divergence(P, Y), rel_entr(Y.astype(float), P).sum(axis=1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(losses.kl_divergence(Y, Y), 0, atol=1e-6)
    assert bool((losses.kl_divergence(P, Y) > 0).all())


def test_the_divergence_is_the_cross_entropy_less_the_entropy_of_the_target():
    entropy = losses.cross_entropy(Y, Y)
    np.testing.assert_allclose(
        losses.kl_divergence(P, Y), losses.cross_entropy(P, Y) - entropy, rtol=1e-4, atol=1e-5
    )


def test_the_poisson_loss_is_least_where_the_rate_is_the_count():
    counts = jnp.arange(1.0, 6.0)
    gradient = jax.jit(jax.grad(lambda rate: losses.poisson(rate, counts).sum()))
    np.testing.assert_allclose(gradient(counts), 0, atol=1e-6)
    assert bool((gradient(counts * 1.1) > 0).all() & (gradient(counts * 0.9) < 0).all())


def test_several_poisson_counts_are_averaged():
    rates, counts = jnp.array([[2.0, 3.0]]), jnp.array([[2, 2]])
    each = losses.poisson(rates[0], counts[0])
    assert losses.poisson(rates, counts)[0] == pytest.approx(float(each.mean()))


@pytest.mark.parametrize(
    "loss",
    [losses.cross_entropy, losses.binary_cross_entropy, losses.kl_divergence, losses.poisson],
)
def test_bad_input_is_refused(loss):
    with pytest.raises(CnnjaxError, match=f"{loss.__name__} got predictions of shape"):
        loss(jnp.ones((3, 2)), jnp.ones((3, 3)))
    with pytest.raises(CnnjaxError, match=r"epsilon of -1\.0 .* at least 0"):
        loss(jnp.ones((3, 2)), jnp.ones((3, 2)), epsilon=-1.0)
    if loss in (losses.cross_entropy, losses.kl_divergence):
        with pytest.raises(CnnjaxError, match=r"one shape \[N, K\]"):
            loss(jnp.ones(3), jnp.ones(3))
