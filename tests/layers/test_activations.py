"""The activation functions of lecture 4: values, derivatives, and which of them vanish."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import elu, leaky_relu, maxout, relu, relu6, sigmoid, silu, softmax, tanh

POINTS = np.array([-1e4, -50.0, -5.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0, 50.0, 1e4])


def logistic(x):
    """1 / (1 + e^-x), and its mirror image where e^-x would overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


FORMULAS = {  # of lecture 4, and two of later networks; derivatives with the value taken at 0
    "sigmoid": (sigmoid, logistic, lambda x: logistic(x) * logistic(-x)),
    "tanh": (tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (relu, lambda x: np.maximum(0, x), lambda x: x > 0),
    "leaky_relu": (
        leaky_relu,
        lambda x: np.maximum(0.1 * x, x),
        lambda x: np.where(x >= 0, 1, 0.1),
    ),
    "leaky_relu_0.3": (
        partial(leaky_relu, slope=0.3),
        lambda x: np.maximum(0.3 * x, x),
        lambda x: np.where(x >= 0, 1, 0.3),
    ),
    "elu": (
        elu,
        lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x >= 0, 1, np.exp(np.minimum(x, 0))),
    ),
    "elu_2": (
        partial(elu, alpha=2.0),
        lambda x: np.where(x >= 0, x, 2 * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, 2 * np.exp(np.minimum(x, 0))),
    ),
    "relu6": (relu6, lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6)),
    "silu": (
        silu,
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
    ),
}


def in_one_program(compute, x):
    """{name: compute(function, x)}: compiling them one by one is what takes time."""
    compute_all = lambda x: {name: compute(f, x) for name, (f, *_) in FORMULAS.items()}  # noqa: E731
    return jax.jit(compute_all)(x)


def test_values_are_those_of_the_lecture_s_formulas():
    values = in_one_program(lambda f, x: f(x), jnp.asarray(POINTS, jnp.float32))
    for name, (_, formula, _) in FORMULAS.items():
        np.testing.assert_allclose(
            values[name], formula(POINTS), rtol=1e-6, atol=1e-7, err_msg=name
        )


def test_derivatives_are_those_of_the_formulas_at_0_and_far_away_too():
    slopes = in_one_program(lambda f, x: jax.vmap(jax.grad(f))(x), jnp.asarray(POINTS, jnp.float32))
    for name, (_, _, derivative) in FORMULAS.items():
        np.testing.assert_allclose(
            slopes[name], derivative(POINTS), rtol=1e-5, atol=1e-7, err_msg=name
        )


def test_the_derivative_of_the_sigmoid_is_a_quarter_at_0_and_less_elsewhere():
    x = jnp.arange(-2000.0, 2001.0) / 100
    slopes = jax.vmap(jax.grad(sigmoid))(x)
    assert float(slopes.max()) == 0.25
    assert float(x[slopes.argmax()]) == 0.0


def test_tanh_is_a_sigmoid_stretched_and_shifted():
    x = jnp.linspace(-5.0, 5.0, 101)
    np.testing.assert_allclose(tanh(x), 2 * sigmoid(2 * x) - 1, atol=1e-6)


def value_and_derivatives(function, x):
    """f(x), the gradient of sum f^2, and the gradient of the squares of that."""
    squares = lambda y: jnp.square(y.astype(jnp.float32)).sum()  # noqa: E731
    first = jax.grad(lambda x: squares(function(x)))
    second = jax.grad(lambda x: squares(first(x)))
    return function(x), first(x), second(x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_and_derivatives_of_first_and_second_order_are_finite(dtype):
    x = jnp.asarray([-1e4, -88.0, -1.0, 0.0, 1.0, 88.0, 1e4], dtype)
    found = in_one_program(value_and_derivatives, x)
    found["softmax"] = jax.jit(partial(value_and_derivatives, softmax))(x)
    for name, arrays in found.items():
        for array in arrays:
            assert array.dtype == dtype, name
            assert np.isfinite(np.asarray(array, np.float32)).all(), name


# The lecture: "avoid using activation functions which produce 0 gradients".


def slope_through(function, layers, start):
    """|d x_L / d x_0| of x_l = function(x_{l-1})."""

    def chain(x):
        for _ in range(layers):
            x = function(x)
        return x

    return abs(float(jax.jit(jax.grad(chain))(start)))


def test_gradients_vanish_through_sigmoids_by_a_factor_of_four_at_least_at_each():
    assert 0.0 < slope_through(sigmoid, 10, 0.0) <= 0.25**10


def test_gradients_vanish_where_sigmoid_and_tanh_saturate():
    assert 0 < float(jax.grad(sigmoid)(-10.0)) < 1e-4
    assert 0 < float(jax.grad(tanh)(5.0)) < 1e-3
    assert float(jax.grad(sigmoid)(-200.0)) == float(jax.grad(tanh)(200.0)) == 0.0


def test_relu_passes_a_gradient_whole_or_not_at_all():
    assert slope_through(relu, 50, 3.0) == 1.0
    assert slope_through(relu, 1, -3.0) == 0.0


@pytest.mark.parametrize("function", [leaky_relu, elu])
def test_leaky_relu_and_elu_do_not_die_on_the_negative_half(function):
    assert slope_through(function, 50, 3.0) == 1.0
    assert slope_through(function, 1, -3.0) > 0.04  # e^-3 = 0.0498


def test_a_leaky_relu_without_slope_is_a_relu():
    x = jnp.asarray(POINTS, jnp.float32)
    np.testing.assert_array_equal(leaky_relu(x, slope=0.0), relu(x))


def test_relu6_lets_no_gradient_through_at_its_bound_either():
    assert float(relu6(6.0)) == float(relu6(6.5)) == 6.0
    assert [float(jax.grad(relu6)(x)) for x in (0.0, 1e-6, 5.999, 6.0)] == [0.0, 1.0, 1.0, 0.0]


def test_silu_is_smallest_where_its_paper_says():
    x = jnp.arange(-3000, 1) / 1000
    y = silu(x)
    assert float(x[y.argmin()]) == pytest.approx(-1.278, abs=5e-3)
    assert float(y.min()) == pytest.approx(-0.2785, abs=1e-4)


# Softmax


def test_softmax_is_a_ratio_of_exponentials_along_the_axis():
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    for axis in (-1, 0, 1):
        exponentials = np.exp(x)
        wanted = exponentials / exponentials.sum(axis, keepdims=True)
        np.testing.assert_allclose(softmax(jnp.asarray(x), axis), wanted, rtol=1e-5)


def test_softmax_does_not_see_what_is_added_to_all():
    x = jnp.array([[1.0, -2.0, 0.5]])
    np.testing.assert_allclose(softmax(x + 4096.0), softmax(x), rtol=1e-6)


def test_the_derivative_of_softmax_is_p_times_delta_minus_p():
    x = jnp.array([0.3, -1.0, 2.0, 0.0])
    p = np.asarray(softmax(x))
    np.testing.assert_allclose(
        jax.jit(jax.jacobian(softmax))(x), np.diag(p) - np.outer(p, p), atol=1e-6
    )


def test_softmax_of_two_is_a_sigmoid_of_the_difference():
    x = jnp.array([0.3, -1.2])
    np.testing.assert_allclose(softmax(x)[0], sigmoid(x[0] - x[1]), rtol=1e-6)


def test_keras_computes_the_same():
    import keras

    x = jnp.asarray(POINTS[1:-1], jnp.float32)
    pairs = [
        (sigmoid(x), keras.activations.sigmoid(x)),
        (tanh(x), keras.activations.tanh(x)),
        (relu(x), keras.activations.relu(x)),
        (leaky_relu(x), keras.activations.leaky_relu(x, negative_slope=0.1)),
        (leaky_relu(x, slope=0.3), keras.layers.LeakyReLU()(x)),  # what Keras takes unless told
        (elu(x, alpha=1.5), keras.activations.elu(x, alpha=1.5)),
        (relu6(x), keras.activations.relu6(x)),
        (silu(x), keras.activations.silu(x)),
        (softmax(x[None]), keras.activations.softmax(x[None])),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "function",
    [sigmoid, tanh, relu, relu6, silu, leaky_relu, elu, softmax, partial(maxout, pieces=2)],
)
def test_integers_are_refused(function):
    with pytest.raises(CnnjaxError, match="input of type uint8; it takes floating point"):
        function(jnp.zeros((2, 4), jnp.uint8))


@pytest.mark.parametrize("slope", [-0.1, 1.0, float("nan")])
def test_a_slope_that_leaks_all_or_backwards_is_refused(slope):
    with pytest.raises(CnnjaxError, match=r"slope of leaky_relu is .*; give one in \[0, 1\)"):
        leaky_relu(jnp.ones(3), slope)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_that_is_not_positive_is_refused(alpha):
    with pytest.raises(CnnjaxError, match=r"alpha of elu is .*; give a positive one"):
        elu(jnp.ones(3), alpha)


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_is_not_there_is_refused(axis):
    with pytest.raises(CnnjaxError, match=rf"axis {axis} of an input of shape \(2, 3\)"):
        softmax(jnp.ones((2, 3)), axis)
