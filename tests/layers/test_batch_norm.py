"""Batch normalisation as a function: the four equations and their backward equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import CnnjaxError
from cnnjax.layers import batch_norm, batch_statistics
from cnnjax.layers.normalization import normalise_batch

EPSILON = 1e-3


def normalise(x, scale, bias, epsilon=EPSILON):
    return batch_norm(x, *batch_statistics(x), scale, bias, epsilon)


def lecture(x, gamma, beta, epsilon=EPSILON):
    """The four equations of lecture 1, on [m, C]."""
    m = len(x)
    mu = x.sum(0) / m
    variance = ((x - mu) ** 2).sum(0) / m
    x_hat = (x - mu) / np.sqrt(variance + epsilon)
    return gamma * x_hat + beta


def backward(x, gamma, dy, epsilon=EPSILON):
    """The six equations of Ioffe and Szegedy 2015, section 3, on [m, C]."""
    m = len(x)
    mu, variance = x.mean(0), x.var(0)
    x_hat = (x - mu) / np.sqrt(variance + epsilon)
    d_hat = dy * gamma
    d_variance = (d_hat * (x - mu)).sum(0) * -0.5 * (variance + epsilon) ** -1.5
    d_mu = (d_hat * -1 / np.sqrt(variance + epsilon)).sum(0)
    d_mu += d_variance * (-2 * (x - mu)).sum(0) / m
    dx = d_hat / np.sqrt(variance + epsilon) + d_variance * 2 * (x - mu) / m + d_mu / m
    return dx, (dy * x_hat).sum(0), dy.sum(0)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def single(*arrays):
    return tuple(jnp.asarray(a, jnp.float32) for a in arrays)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    mean=st.floats(-100, 100),
    deviation=st.floats(0.1, 100),
    epsilon=st.sampled_from([1e-5, 1e-3, 1.0]),
)
def test_values_are_those_of_the_four_equations(seed, mean, deviation, epsilon):
    x = (mean + deviation * draw(seed, 8, 3)).astype(np.float32)
    gamma, beta = draw(seed + 1, 2, 3)
    wanted = lecture(x.astype(np.float64), gamma, beta, epsilon)
    got = normalise(*single(x, gamma, beta), epsilon)
    # What float32 leaves of x - mu: an error of 6e-8 |mu| on a deviation.
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-5 + 1e-6 * abs(mean) / deviation)


def test_images_are_normalised_over_examples_and_places():
    x, gamma, beta = 3 + 2 * draw(0, 4, 5, 6, 3), draw(1, 3), draw(2, 3)
    wanted = lecture(x.reshape(-1, 3), gamma, beta).reshape(x.shape)
    np.testing.assert_allclose(normalise(*single(x, gamma, beta)), wanted, rtol=1e-5, atol=1e-5)


def test_the_variance_is_biased_and_the_axes_are_all_but_the_last():
    x = draw(0, 2, 3, 4, 5)
    mean, variance = batch_statistics(*single(x))
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, x.var((0, 1, 2), ddof=0), rtol=1e-5)


def test_gradients_are_those_of_the_paper_s_backward_equations():
    x, gamma, beta, dy = 3 + 2 * draw(0, 10, 4), draw(1, 4), draw(2, 4), draw(3, 10, 4)
    _, pull = jax.vjp(normalise, *single(x, gamma, beta))
    for got, wanted in zip(pull(*single(dy)), backward(x, gamma, dy), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_gradients_of_images_are_those_of_the_backward_equations():
    x, gamma, beta, dy = draw(0, 3, 2, 4, 2), draw(1, 2), draw(2, 2), draw(3, 3, 2, 4, 2)
    _, pull = jax.vjp(normalise, *single(x, gamma, beta))
    dx, dgamma, dbeta = backward(x.reshape(-1, 2), gamma, dy.reshape(-1, 2))
    got = pull(*single(dy))
    for ours, wanted in zip(got, (dx.reshape(x.shape), dgamma, dbeta), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_the_output_has_mean_beta_and_deviation_gamma():
    (x,) = single(7 + 5 * draw(0, 64, 4, 4, 3))
    gamma, beta = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, -3.0, 1.0])
    y = np.asarray(normalise(x, gamma, beta, epsilon=1e-7))
    np.testing.assert_allclose(y.mean((0, 1, 2)), beta, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), gamma, rtol=1e-5)


def test_it_has_the_power_to_learn_the_identity():
    (x,) = single(7 + 5 * draw(0, 16, 3))
    mean, variance = batch_statistics(x)
    y = batch_norm(x, mean, variance, jnp.sqrt(variance + EPSILON), mean, EPSILON)
    np.testing.assert_allclose(y, x, rtol=1e-6, atol=1e-5)


def test_the_scale_of_the_weights_in_front_does_not_matter():
    """BN(a W u) = BN(W u), section 3.3: a large learning rate does not blow the layer up."""
    u, w = single(draw(0, 32, 5), draw(1, 5, 3))
    plain, scaled = (normalise(a * u @ w, 1.0, 0.0, epsilon=1e-9) for a in (1.0, 100.0))
    np.testing.assert_allclose(scaled, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1.0), (-1e3, 0.01), (0.0, 1e-4)])
def test_a_mean_much_larger_than_the_deviation_costs_no_accuracy(mean, deviation):
    (x,) = single(mean + deviation * draw(0, 64, 16, 16, 4))
    exact = np.asarray(x, np.float64)
    got_mean, got_variance = jax.jit(batch_statistics)(x)
    # The nearest float32 to the mean, and all but one bit of the variance.
    np.testing.assert_allclose(got_mean, exact.mean((0, 1, 2)), rtol=1.2e-7, atol=1e-9)
    np.testing.assert_allclose(got_variance, exact.var((0, 1, 2)), rtol=1e-6)


def test_half_precision_is_kept_but_statistics_are_not_made_in_it():
    x = jnp.asarray(50 + draw(0, 512, 4), jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    mean, variance = batch_statistics(x)
    assert mean.dtype == variance.dtype == jnp.float32
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-5)
    y = normalise(x, 2.0, 1.0)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), lecture(exact, 2.0, 1.0), rtol=2**-8)


def test_a_constant_channel_and_a_single_example_give_beta_and_finite_gradients():
    for x in (jnp.full((5, 2), 3.0), jnp.array([[3.0, -1e4]])):
        y, pull = jax.vjp(lambda x: normalise(x, 2.0, 0.5, 1e-5), x)
        np.testing.assert_array_equal(y, 0.5 * jnp.ones_like(x))
        np.testing.assert_array_equal(pull(jnp.ones_like(x))[0], jnp.zeros_like(x))


# The backward rule of training

SHAPES = [(6, 3), (3, 5, 4, 3), (2, 1, 7, 3)]


def weighed(function, x, scale, bias):
    """A number that hangs on the output and on both statistics, each with weights of its own."""
    y, mean, variance = function(x, scale, bias)
    w = jnp.asarray(draw(7, *x.shape), jnp.float32)
    return jnp.sum(w * jnp.tanh(y)) + jnp.sum(jnp.sin(3 * mean)) + jnp.sum(variance**2 * bias)


def derived(x, scale, bias):
    """The same by automatic differentiation."""
    statistics = batch_statistics(x)
    return batch_norm(x, *statistics, scale, bias, EPSILON), *statistics


def ruled(x, scale, bias):
    return normalise_batch(x, scale, bias, EPSILON)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_backward_rule_gives_the_derivatives_of_the_four_equations(shape):
    arguments = single(3 + 2 * draw(0, *shape), draw(1, 3), draw(2, 3))
    for a, b in zip(ruled(*arguments), derived(*arguments), strict=True):
        np.testing.assert_array_equal(a, b)
    first = [jax.grad(lambda *a, f=f: weighed(f, *a), (0, 1, 2)) for f in (ruled, derived)]
    for a, b in zip(*(g(*arguments) for g in first), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_the_backward_rule_can_be_differentiated_again():
    arguments = single(3 + 2 * draw(0, 6, 3), draw(1, 3), draw(2, 3))
    along = single(draw(3, 6, 3), draw(4, 3), draw(5, 3))

    def curvature(function):
        def slope(*a):
            gradients = jax.grad(lambda *b: weighed(function, *b), (0, 1, 2))(*a)
            return sum(jnp.vdot(g, v) for g, v in zip(gradients, along, strict=True))

        return jax.grad(slope, (0, 1, 2))(*arguments)

    for a, b in zip(curvature(ruled), curvature(derived), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())


@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1.0), (-1e3, 0.01)])
def test_gradients_stay_accurate_where_the_mean_is_large(mean, deviation):
    (x,) = single(mean + deviation * draw(0, 8, 16, 16, 4))
    dy, (gamma, beta) = draw(1, *x.shape), draw(2, 2, 4)
    _, pull = jax.vjp(lambda *a: normalise_batch(*a, 1e-9)[0], x, *single(gamma, beta))
    dx, d_gamma, d_beta = pull(*single(dy))
    exact = np.asarray(x, np.float64).reshape(-1, 4)
    wanted = backward(exact, gamma, dy.reshape(-1, 4), 1e-9)
    assert np.abs(dx.reshape(-1, 4) - wanted[0]).max() <= 1e-3 * np.abs(wanted[0]).max()
    # What float32 leaves of the mean: an error of 6e-8 |mu|, the same in every x - mu.
    left = 6e-8 * abs(mean) / deviation * np.abs(dy.sum((0, 1, 2)))
    assert np.all(np.abs(d_gamma - wanted[1]) <= left + 1e-3 * np.abs(wanted[1]) + 1e-2)
    np.testing.assert_allclose(d_beta, wanted[2], rtol=1e-4, atol=1e-2)


def test_half_precision_gradients_are_summed_in_single_precision():
    x, dy = (jnp.asarray(draw(seed, 4096, 2), jnp.bfloat16) for seed in (0, 1))
    gamma, beta = single(*draw(2, 2, 2))
    _, pull = jax.vjp(lambda *a: normalise_batch(*a, EPSILON)[0], x, gamma, beta)
    dx, d_gamma, d_beta = pull(dy)
    assert (dx.dtype, d_gamma.dtype, d_beta.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    exact, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    wanted = backward(exact, np.asarray(gamma, np.float64), dy)
    np.testing.assert_allclose(dx.astype(jnp.float32), wanted[0], rtol=2**-7, atol=1e-3)
    np.testing.assert_allclose(d_gamma, wanted[1], rtol=1e-4)
    np.testing.assert_allclose(d_beta, wanted[2], rtol=1e-4)


def test_statistics_are_exact_where_the_first_rows_are_unlike_the_rest():
    """The worst case of the one pass: it starts from the mean of an eighth of the rows."""
    x = 1e4 + 1e-2 * draw(0, 4, 64, 8, 2)
    x[:, :8] += 1e3
    (x,) = single(x)
    exact = np.asarray(x, np.float64)
    mean, variance = batch_statistics(x)
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=2e-7)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=3e-6)


@pytest.mark.parametrize("shape", [(3,), (0, 3), ()])
def test_statistics_of_nothing_are_refused(shape):
    with pytest.raises(CnnjaxError, match=r"no batch statistics of an input of shape \("):
        batch_statistics(jnp.ones(shape))


@pytest.mark.parametrize("epsilon", [0.0, -1e-5])
def test_an_epsilon_that_is_not_positive_is_refused(epsilon):
    with pytest.raises(CnnjaxError, match=r"epsilon is .*; give a positive one"):
        normalise(jnp.ones((2, 3)), 1.0, 0.0, epsilon)


def test_integers_are_refused():
    with pytest.raises(CnnjaxError, match="input of type uint8; it takes floating point"):
        batch_norm(jnp.ones((2, 3), jnp.uint8), jnp.zeros(3), jnp.ones(3), 1.0, 0.0, 1e-5)


def test_statistics_of_other_channels_are_refused():
    with pytest.raises(CnnjaxError, match="one of each for each of the 3 channels"):
        batch_norm(jnp.ones((2, 3)), jnp.zeros(1), jnp.ones(3), 1.0, 0.0, 1e-5)
