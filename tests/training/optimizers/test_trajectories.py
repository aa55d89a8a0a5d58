"""The optimizers against Keras and against the papers' formulas in NumPy, step by step."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.training import OPTIMIZERS, adam, create_optimizer, ftrl, momentum, nadam, nesterov

STEPS = 15
RANDOM = np.random.RandomState(0)
_ROOT = RANDOM.randn(6, 6)
CURVATURE = (_ROOT @ _ROOT.T / 6 + np.eye(6)).astype(np.float32)
MINIMUM = RANDOM.randn(6).astype(np.float32)
START = RANDOM.randn(2, 3).astype(np.float32)
# Most of it is zero: a weight that never has a gradient, one that has its first late, whole steps
# without any.
SPARSE = (RANDOM.randn(STEPS, 2, 3) * (RANDOM.rand(STEPS, 2, 3) < 0.3)).astype(np.float32)
SPARSE[:, 0, 0], SPARSE[:9, 0, 1], SPARSE[4:6] = 0, 0, 0
SPARSE[9, 0, 1] = 0.7


def quadratic(t, theta):
    return (CURVATURE @ (theta.reshape(6) - MINIMUM)).reshape(2, 3).astype(np.float32)


def sparse(t, theta):
    return SPARSE[t]


def ours(optimizer, gradient, theta):
    params = {"kernel": jnp.asarray(theta)}
    state, places = optimizer.init(params), []
    for t in range(STEPS):
        g = {"kernel": jnp.asarray(gradient(t, np.asarray(params["kernel"])))}
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
        places.append(np.asarray(params["kernel"]))
    return np.stack(places)


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


def theirs(keras, optimizer, gradient, theta, rates=None):
    variable, places = keras.Variable(theta), []
    for t in range(STEPS):
        if rates is not None:
            optimizer.learning_rate = rates(t)
        g = gradient(t, np.asarray(variable.value))
        optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
        places.append(np.asarray(variable.value))
    return np.stack(places)


# name: (our settings, Keras' class, its settings). An epsilon of 0.1, where it is at the same place
# in both, tells inside the root from outside.
_ADAM = ({"epsilon": 1e-8}, {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8})
SAME_AS_KERAS = {
    "sgd": ({}, "SGD", {}),
    "momentum": ({"gamma": 0.8}, "SGD", {"momentum": 0.8}),
    "nesterov": ({"gamma": 0.8}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "adagrad": (
        {"epsilon": 0.1},
        "Adagrad",
        {"epsilon": 0.1, "initial_accumulator_value": 0.0},
    ),
    "rmsprop": ({"gamma": 0.8, "epsilon": 0.1}, "RMSprop", {"rho": 0.8, "epsilon": 0.1}),
    "adam": (_ADAM[0], "Adam", _ADAM[1]),
    "adamw": (_ADAM[0] | {"weight_decay": 0.3}, "AdamW", _ADAM[1] | {"weight_decay": 0.3}),
    "adamax": (_ADAM[0], "Adamax", _ADAM[1]),
    "adadelta": ({"rho": 0.8, "epsilon": 0.1}, "Adadelta", {"rho": 0.8, "epsilon": 0.1}),
    "ftrl": (
        {"beta": 0.5, "l1": 0.2, "l2": 0.6},
        "Ftrl",
        {
            "beta": 0.5,
            "l1_regularization_strength": 0.2,
            "l2_regularization_strength": 0.3,  # Keras' penalty is l2 w², the paper's l2 w² / 2
            "initial_accumulator_value": 0.0,
        },
    ),
}


@pytest.mark.parametrize("gradient", [quadratic, sparse])
@pytest.mark.parametrize("name", SAME_AS_KERAS)
def test_the_trajectory_is_that_of_keras(keras, name, gradient):
    own, kind, settings = SAME_AS_KERAS[name]
    start = np.zeros_like(START) if name == "ftrl" else START
    reference = getattr(keras.optimizers, kind)(0.2, **settings)
    np.testing.assert_allclose(
        ours(create_optimizer(name, 0.2, **own), gradient, start),
        theirs(keras, reference, gradient, start),
        rtol=2e-5,
        atol=2e-6,
    )


def test_every_optimizer_that_keras_has_is_compared_with_it():
    # nadam differs, see below; Keras has no simplified Adam.
    assert SAME_AS_KERAS.keys() | {"nadam", "adam_simplified"} == OPTIMIZERS.keys()


def test_with_a_falling_rate_momentum_is_that_of_keras_too(keras):
    rates = [0.2 * 0.7**t for t in range(STEPS)]
    optimizer = momentum(lambda t: 0.2 * 0.7**t, gamma=0.9)
    reference = theirs(keras, keras.optimizers.SGD(0.2, 0.9), quadratic, START, rates.__getitem__)
    np.testing.assert_allclose(ours(optimizer, quadratic, START), reference, rtol=2e-5, atol=2e-6)


def test_the_epsilon_of_keras_adam_counts_more_by_the_bias_correction_of_the_root(keras):
    reference = theirs(keras, keras.optimizers.Adam(0.2, epsilon=0.1), sparse, START)
    first = ours(adam(0.2, epsilon=0.1 / np.sqrt(1 - 0.999).item()), sparse, START)
    np.testing.assert_allclose(first[0], reference[0], rtol=1e-5)
    assert np.abs(ours(adam(0.2, epsilon=0.1), sparse, START)[0] - reference[0]).max() > 0.05


def dozat(mu, beta2=0.999, epsilon=1e-8, rate=0.2):
    """Dozat 2016, algorithm 2 for any schedule mu(t), on the quadratic."""
    theta, m, v, product = START.astype(np.float64), 0.0, 0.0, 1.0
    places = []
    for t in range(1, STEPS + 1):
        g = quadratic(t, theta).astype(np.float64)
        product *= mu(t)
        m = 0.9 * m + 0.1 * g
        v = beta2 * v + (1 - beta2) * g**2
        bar = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
        theta = theta - rate * bar / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        places.append(theta)
    return np.stack(places)


def test_nadam_is_dozats_with_a_constant_momentum_and_keras_warms_it_up(keras):
    np.testing.assert_allclose(
        ours(nadam(0.2), quadratic, START), dozat(lambda t: 0.9), rtol=1e-4, atol=1e-5
    )
    reference = theirs(keras, keras.optimizers.Nadam(0.2, epsilon=1e-8), quadratic, START)
    warmed = dozat(lambda t: 0.9 * (1 - 0.5 * 0.96**t))
    np.testing.assert_allclose(reference, warmed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, lambda t: 0.1 * 0.9**t])
def test_nesterov_takes_the_gradient_where_the_velocity_leads(rate):
    phi, v, looked_ahead = START.astype(np.float64), np.zeros((2, 3)), []
    for t in range(STEPS):
        eta = rate(t) if callable(rate) else rate
        v = 0.9 * v + eta * quadratic(t, phi - 0.9 * v)
        phi = phi - v
        looked_ahead.append(phi - 0.9 * v)
    places = ours(nesterov(rate, gamma=0.9), quadratic, START)
    np.testing.assert_allclose(places, looked_ahead, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", [quadratic, sparse])
@pytest.mark.parametrize("start", [START, np.zeros_like(START)], ids=["start", "zero"])
@pytest.mark.parametrize("alpha", [0.3, lambda t: 0.3 * 0.9**t], ids=["constant", "falling"])
def test_ftrl_minimises_all_gradients_so_far_plus_the_pulls_to_all_earlier_weights(
    gradient, start, alpha
):
    beta, l1, l2 = 0.5, 0.2, 0.4
    w, gradients, inverse_etas, weights = start.astype(np.float64), [], [0.0], []
    places = []
    for t in range(STEPS):
        gradients.append(gradient(t, w).astype(np.float64))
        weights.append(w)
        rate = alpha(t) if callable(alpha) else alpha
        inverse_etas.append((beta + np.sqrt((np.stack(gradients) ** 2).sum(0))) / rate)
        sigmas = [after - before for before, after in pairwise(inverse_etas)]
        # d/dw of sum g w + sum sigma (w - w_s)² / 2 + l2 w² / 2 + l1 |w| is 0:
        slope = sum(s * past for s, past in zip(sigmas, weights, strict=True)) - sum(gradients)
        w = np.sign(slope) * np.maximum(np.abs(slope) - l1, 0) / (sum(sigmas) + l2)
        places.append(w)
    found = ours(ftrl(alpha, beta=beta, l1=l1, l2=l2), gradient, start)
    np.testing.assert_allclose(found, places, rtol=1e-4, atol=1e-5)
    assert ((np.stack(places) == 0) == (found == 0)).all()


@pytest.mark.parametrize("rate", [0.3, lambda t: 0.3 * 0.9**t])
def test_ftrl_without_penalties_is_adagrad_with_beta_outside_the_root(rate):
    w, n, places = START.astype(np.float64), 0.0, []
    for t in range(STEPS):
        g = quadratic(t, w).astype(np.float64)
        n = n + g**2
        w = w - (rate(t) if callable(rate) else rate) * g / (0.5 + np.sqrt(n))
        places.append(w)
    found = ours(ftrl(rate, beta=0.5), quadratic, START)
    np.testing.assert_allclose(found, places, rtol=1e-4, atol=1e-5)


def test_a_rate_of_zero_is_the_limit_of_small_ones_for_ftrl_too():
    def pausing(low):
        return lambda t: low if t % 4 == 0 else 0.3

    start = START * [[0, 1, 1], [1, 1, 1]]  # a weight of 0 among them
    found, limit = (
        ours(ftrl(pausing(low), l1=0.2, l2=0.4), quadratic, start.astype(np.float32))
        for low in (0.0, 1e-12)
    )
    np.testing.assert_array_equal(found[0], start)
    np.testing.assert_allclose(found, limit, rtol=1e-4, atol=1e-5)


def test_keras_ftrl_draws_initial_weights_to_zero_and_ours_does_not(keras):
    still = lambda t, theta: np.zeros_like(theta)  # noqa: E731
    assert np.abs(theirs(keras, keras.optimizers.Ftrl(0.2), still, START)[0]).max() == 0
    np.testing.assert_allclose(ours(ftrl(0.2), still, START)[-1], START, rtol=1e-6)
