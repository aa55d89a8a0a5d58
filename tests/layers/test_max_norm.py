"""The max-norm constraint: ||w||_2 <= c for the incoming weights of every unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import CnnjaxError
from cnnjax.layers import max_norm

SHAPES = [(7, 5), (3, 2, 4, 5)]


def kernel_of(shape, seed=0, scale=1.0):
    """Units of increasing norm, so that some are within a limit and some are not."""
    w = np.random.default_rng(seed).normal(size=shape) * np.linspace(0.1, 2.0, shape[-1])
    return (scale * w).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 1000),
    limit=st.floats(0.5, 10),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_a_unit_beyond_the_limit_is_scaled_to_it_and_the_others_stay(shape, seed, limit, scale):
    w = kernel_of(shape, seed, scale)
    got = np.asarray(max_norm(jnp.asarray(w), limit))
    for unit in range(shape[-1]):
        norm = np.sqrt(np.sum(w[..., unit].astype(np.float64) ** 2))
        if norm <= limit * (1 - 1e-6):
            np.testing.assert_array_equal(got[..., unit], w[..., unit])
        else:
            np.testing.assert_allclose(got[..., unit], w[..., unit] * (limit / norm), rtol=1e-5)
            assert np.linalg.norm(got[..., unit].ravel()) == pytest.approx(limit, rel=1e-6)


@pytest.mark.parametrize(("shape", "axis"), [((7, 5), 0), ((3, 2, 4, 5), [0, 1, 2])])
def test_keras_constrains_to_the_same(shape, axis):
    import keras

    w = jnp.asarray(kernel_of(shape))
    theirs = keras.constraints.MaxNorm(max_value=2.0, axis=axis)(w)
    np.testing.assert_allclose(max_norm(w, 2.0), theirs, rtol=1e-5)


def test_constraining_twice_is_constraining_once():
    once = max_norm(jnp.asarray(kernel_of((3, 2, 4, 5))), 1.5)
    np.testing.assert_allclose(max_norm(once, 1.5), once, rtol=3e-7)


def test_the_direction_of_the_weights_is_kept():
    w = jnp.array([[30.0], [-40.0]])
    np.testing.assert_allclose(max_norm(w, 5.0), [[3.0], [-4.0]], rtol=1e-6)


def test_weights_that_are_zero_stay_zero_and_have_a_gradient():
    w = jnp.zeros((4, 2))
    np.testing.assert_array_equal(max_norm(w, 1.0), w)
    np.testing.assert_array_equal(jax.grad(lambda w: max_norm(w, 1.0).sum())(w), jnp.ones((4, 2)))


def test_the_gradient_beyond_the_limit_is_that_of_a_projection_on_the_sphere():
    """d(c w / ||w||) = c / ||w|| (I - w w^T / ||w||^2)."""
    w = np.array([3.0, -4.0, 12.0])  # of norm 13
    got = jax.jacobian(lambda w: max_norm(w[:, None], 2.0)[:, 0])(jnp.asarray(w, jnp.float32))
    np.testing.assert_allclose(got, 2 / 13 * (np.eye(3) - np.outer(w, w) / 169), atol=1e-6)


def test_half_precision_is_kept_but_norms_are_not_made_in_it():
    w = jnp.asarray(kernel_of((256, 8), scale=10.0), jnp.bfloat16)
    exact = np.asarray(w, np.float64)
    shrink = np.minimum(1, 3.0 / np.linalg.norm(exact, axis=0))
    got = max_norm(w, 3.0)
    assert got.dtype == jnp.bfloat16
    # Rounded once, at the end: the nearest number of bfloat16 nearly everywhere.
    assert (got == jnp.asarray(exact * shrink, jnp.bfloat16)).mean() > 0.99


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(limit):
    with pytest.raises(CnnjaxError, match=r"limit of max_norm is .*; give a positive norm"):
        max_norm(jnp.ones((2, 2)), limit)


def test_a_bias_is_refused():
    with pytest.raises(CnnjaxError, match=r"weights of shape \(3,\); it takes kernels"):
        max_norm(jnp.ones(3), 1.0)
