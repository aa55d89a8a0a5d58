"""Initialisers: the distributions of the papers, measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.layers import constant, gaussian, he_normal, lecun_uniform

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("shape", "fan_in"), [((3, 3, 64, 128), 9 * 64), ((5, 5, 3, 800), 75), ((400, 300), 400)]
)
def test_he_normal_has_variance_two_over_fan_in(shape, fan_in):
    w = np.asarray(he_normal(KEY, shape, jnp.float32))
    assert w.var() == pytest.approx(2 / fan_in, rel=0.03)
    assert abs(w.mean()) < 0.02 * w.std()


def test_he_normal_is_not_truncated():
    w = np.asarray(he_normal(KEY, (300, 300), jnp.float32))
    outside = np.mean(np.abs(w) > 2 * np.sqrt(2 / 300))
    assert outside == pytest.approx(0.0455, rel=0.05)  # of a Gaussian; a truncated one has none


def test_gaussian_has_the_given_deviation():
    w = np.asarray(gaussian(0.01)(KEY, (11, 11, 3, 96), jnp.float32))
    assert w.std() == pytest.approx(0.01, rel=0.02)


def test_lecun_uniform_fills_plus_minus_2_4_over_fan_in():
    w = np.asarray(lecun_uniform(KEY, (5, 5, 6, 160), jnp.float32))
    bound = 2.4 / 150
    assert np.abs(w).max() <= bound
    assert np.abs(w).max() > 0.999 * bound
    assert w.var() == pytest.approx(bound**2 / 3, rel=0.03)


def test_constant_is_constant():
    np.testing.assert_array_equal(constant(1.0)(KEY, (3,), jnp.float32), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("initializer", [he_normal, gaussian(0.1), lecun_uniform, constant(0.0)])
def test_the_asked_dtype_is_given(initializer):
    assert initializer(KEY, (3, 3, 2, 4), jnp.bfloat16).dtype == jnp.bfloat16


def test_the_same_key_gives_the_same_weights():
    a, b = (he_normal(KEY, (4, 4), jnp.float32) for _ in range(2))
    np.testing.assert_array_equal(a, b)
