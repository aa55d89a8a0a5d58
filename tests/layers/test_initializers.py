"""Initialisers: the distributions of the papers, measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import (
    constant,
    gaussian,
    glorot_truncated,
    glorot_uniform,
    he_normal,
    he_truncated,
    lecun_uniform,
    truncated_normal,
)
from cnnjax.layers.initializers import fans

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


# The lecture's TruncNormal(0, sqrt(2 / n)), with that deviation after the cut

CUT_DEVIATION = 0.8796256610342398  # of a standard Gaussian cut at ±2 (scipy's truncnorm.std())
KURTOSIS = {"truncated": 3 - 0.6344632828703505, "uniform": 1.8, "normal": 3.0}

DENSE, CONVOLUTION = (1000, 200), (5, 5, 40, 200)


def assert_variance(w, variance, kurtosis):
    """Within four standard errors: Var[w^2] = (kurtosis - 1) variance^2."""
    w = np.asarray(w, np.float64)
    assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)
    assert (w**2).mean() == pytest.approx(variance, rel=4 * np.sqrt((kurtosis - 1) / w.size))


@pytest.mark.parametrize(
    ("shape", "n_in", "n_out"), [(DENSE, 1000, 200), (CONVOLUTION, 1000, 5000)]
)
def test_variances_are_those_of_the_lecture_after_the_cut(shape, n_in, n_out):
    assert fans(shape) == (n_in, n_out)
    cut = KURTOSIS["truncated"]
    assert_variance(glorot_truncated(KEY, shape), 2 / (n_in + n_out), cut)
    assert_variance(he_truncated(KEY, shape), 2 / n_in, cut)
    assert_variance(glorot_uniform(KEY, shape), 2 / (n_in + n_out), KURTOSIS["uniform"])
    assert_variance(he_normal(KEY, shape), 2 / n_in, KURTOSIS["normal"])


def test_a_truncated_normal_has_the_deviation_that_is_asked_and_ends_at_two_of_the_uncut_one():
    w = np.asarray(truncated_normal(0.01)(KEY, DENSE))
    assert_variance(w, 0.01**2, KURTOSIS["truncated"])
    end = 2 * 0.01 / CUT_DEVIATION
    assert np.abs(w).max() <= end * (1 + 1e-6)
    assert np.abs(w).max() > 0.999 * end


def test_its_shape_is_that_of_a_cut_gaussian():
    from scipy.stats import kstest, truncnorm

    w = np.asarray(truncated_normal(1.0)(KEY, DENSE), np.float64).ravel()
    cut = truncnorm(-2, 2, scale=1 / CUT_DEVIATION)
    assert kstest(w, cut.cdf).pvalue > 0.01
    assert (w**4).mean() / (w**2).mean() ** 2 == pytest.approx(KURTOSIS["truncated"], abs=0.03)
    # The same test tells it from the uncut Gaussian of the same variance.
    assert kstest(w, "norm").pvalue < 1e-6


def test_glorot_uniform_fills_plus_minus_the_root_of_6_over_n():
    w = np.asarray(glorot_uniform(KEY, DENSE))
    bound = np.sqrt(6 / 1200)
    assert 0.999 * bound < np.abs(w).max() <= bound


def test_keras_has_the_same_variances_but_for_its_plain_truncated_normal():
    import keras

    theirs = keras.initializers
    cut = KURTOSIS["truncated"]
    assert_variance(theirs.GlorotNormal(seed=1)(CONVOLUTION), 2 / 6000, cut)
    assert_variance(theirs.HeNormal(seed=1)(CONVOLUTION), 2 / 1000, cut)
    assert_variance(theirs.GlorotUniform(seed=1)(CONVOLUTION), 2 / 6000, KURTOSIS["uniform"])
    plain = theirs.TruncatedNormal(stddev=0.01, seed=1)(CONVOLUTION)
    assert_variance(plain, (CUT_DEVIATION * 0.01) ** 2, cut)  # 0.77 of ours


def test_jax_draws_the_same_numbers():
    for ours, theirs in (
        (glorot_truncated, jax.nn.initializers.glorot_normal()),
        (he_truncated, jax.nn.initializers.he_normal()),
        (glorot_uniform, jax.nn.initializers.glorot_uniform()),
        (truncated_normal(0.1), jax.nn.initializers.truncated_normal(0.1 / CUT_DEVIATION)),
    ):
        drawn, expected = ours(KEY, CONVOLUTION), theirs(KEY, CONVOLUTION)
        np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-8)


def test_half_precision_is_drawn_in_full_and_rounded():
    for initializer in (truncated_normal(0.1), glorot_uniform, glorot_truncated, he_truncated):
        w = initializer(KEY, DENSE, jnp.bfloat16)
        np.testing.assert_array_equal(w, initializer(KEY, DENSE).astype(jnp.bfloat16))


@pytest.mark.parametrize("shape", [(5,), (), (0, 3), (4, 0)])
def test_what_is_no_kernel_has_no_fans(shape):
    for initializer in (glorot_truncated, glorot_uniform, he_truncated):
        with pytest.raises(CnnjaxError, match="have no fan-in and fan-out; give a kernel"):
            initializer(KEY, shape)


@pytest.mark.parametrize("std", [0.0, -0.1, float("nan")])
def test_a_deviation_that_is_not_positive_is_refused(std):
    with pytest.raises(CnnjaxError, match=r"std is .*; give a positive standard deviation"):
        truncated_normal(std)


# Of every initialiser


@pytest.mark.parametrize(
    "initializer",
    [
        *(he_normal, gaussian(0.1), lecun_uniform, constant(0.0)),
        *(truncated_normal(0.1), glorot_truncated, glorot_uniform, he_truncated),
    ],
)
def test_the_asked_dtype_is_given(initializer):
    assert initializer(KEY, (3, 3, 2, 4), jnp.bfloat16).dtype == jnp.bfloat16


def test_the_same_key_gives_the_same_weights():
    a, b = (he_normal(KEY, (4, 4), jnp.float32) for _ in range(2))
    np.testing.assert_array_equal(a, b)
