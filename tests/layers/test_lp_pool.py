"""lp_pool and subsample: the norms, their derivatives, and pooling as lecture 3 defines it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import avg_pool, lp_pool, max_pool, subsample


def random(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def numpy_pool(x, p, window, stride):
    """(y, dy/dx summed over y) in float64 by lecture 3's formula, with the sign it leaves out."""
    x = np.asarray(x, np.float64)
    height, width = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], window, stride, strict=True))
    y, dx = np.zeros((len(x), height, width, x.shape[3])), np.zeros(x.shape)
    for i, j in np.ndindex(height, width):
        at = np.s_[:, i * stride[0] :, j * stride[1] :]
        seen = x[at][:, : window[0], : window[1]]
        total = (np.abs(seen) ** p).sum((1, 2), keepdims=True)
        y[:, i, j] = total[:, 0, 0] ** (1 / p)
        slope = np.sign(seen) * np.abs(seen) ** (p - 1) * total ** (1 / p - 1)
        dx[at][:, : window[0], : window[1]] += slope
    return y, dx


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7])
@pytest.mark.parametrize(
    ("window", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 2))], ids=["disjoint", "overlapping"]
)
def test_values_and_gradients_are_those_of_the_formula(p, window, stride):
    x = random(0, (2, 7, 6, 3))
    pool = partial(lp_pool, p=p, window=window, stride=stride)
    y, dx = jax.jit(lambda x: (pool(x), jax.grad(lambda x: pool(x).sum())(x)))(x)
    wanted_y, wanted_dx = numpy_pool(x, p, window, stride)
    np.testing.assert_allclose(y, wanted_y, rtol=1e-5)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-4, atol=1e-6)


def test_the_slides_derivative_without_the_sign_is_wrong_for_negative_inputs():
    x = jnp.array([1.0, -2.0, 3.0])
    dx = jax.jit(jax.grad(lambda x: lp_pool(x.reshape(1, 1, 3, 1), 3, (1, 3), 1).sum()))(x)
    printed = np.array([1.0, 4.0, 9.0]) * 36 ** (1 / 3 - 1)
    np.testing.assert_allclose(dx, printed * [1, -1, 1], rtol=1e-5)


def test_the_derivative_is_that_of_finite_differences():
    x, direction = np.asarray(random(1, (1, 5, 5, 2)), np.float64), random(2, (1, 5, 5, 2))
    step = 1e-6 * np.asarray(direction, np.float64)
    y = partial(numpy_pool, p=3, window=(3, 3), stride=(2, 2))
    along = (y(x + step)[0].sum() - y(x - step)[0].sum()) / 2e-6
    dx = jax.jit(jax.grad(lambda x: lp_pool(x, 3, 3, 2).sum()))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(jnp.vdot(dx, direction), along, rtol=1e-4)


@pytest.mark.parametrize("p", [1, 1.5, 2, 10])
def test_a_window_of_zeros_has_value_and_derivative_0(p):
    x = jnp.zeros((1, 2, 4, 1)).at[0, 0, 0, 0].set(-2.0)
    y, dx = jax.jit(
        lambda x: (lp_pool(x, p, 2, 2), jax.grad(lambda x: lp_pool(x, p, 2, 2).sum())(x))
    )(x)
    np.testing.assert_allclose(y[0, 0, :, 0], [2, 0], rtol=1e-6)
    np.testing.assert_allclose(dx[0, :, :, 0], [[-1, 0, 0, 0], [0, 0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_no_power_overflows_or_vanishes(scale):
    x = scale * jnp.array([3.0, -4.0]).reshape(1, 1, 2, 1)
    y, dx = jax.jit(jax.value_and_grad(lambda x: lp_pool(x, 2, (1, 2), 1).sum()))(x)
    np.testing.assert_allclose(y, 5 * scale, rtol=1e-6)
    np.testing.assert_allclose(dx.ravel(), [0.6, -0.8], rtol=1e-6)


def test_between_the_mean_and_the_maximum_of_absolute_values():
    x = random(3, (2, 6, 6, 3))
    sums, largest = jax.jit(lambda x: (lp_pool(x, 1, 2, 2), lp_pool(x, 200, 2, 2)))(x)
    np.testing.assert_allclose(sums, 4 * avg_pool(jnp.abs(x), 2, 2), rtol=1e-5)
    np.testing.assert_allclose(largest, max_pool(jnp.abs(x), 2, 2), rtol=0.01)


def test_padding_adds_nothing_to_a_norm():
    x = random(4, (1, 3, 3, 2))
    padded = jnp.pad(x, ((0, 0), (1, 0), (2, 1), (0, 0)))
    np.testing.assert_array_equal(
        lp_pool(x, 3, 2, 1, ((1, 0), (2, 1))), lp_pool(padded, 3, 2, 1, 0)
    )


def test_forward_and_reverse_mode_agree():
    x, v = random(5, (1, 4, 5, 2)), random(6, (1, 4, 5, 2))
    pool = jax.jit(lambda x: lp_pool(x, 3, 2, 1))
    y, forward = jax.jvp(pool, (x,), (v,))
    backward = jax.vjp(pool, x)[1](y)[0]
    np.testing.assert_allclose(jnp.vdot(forward, y), jnp.vdot(backward, v), rtol=1e-5)


@pytest.mark.parametrize("m", [(2, 2), (3, 4)])
def test_pooling_of_disjoint_windows_is_the_lectures_subsample(m):
    x = random(7, (1, 7, 9, 2))
    pairs = [
        (partial(max_pool, window=m, stride=m), lambda r: r.max(-1)),
        (partial(avg_pool, window=m, stride=m), lambda r: r.mean(-1)),
        (
            partial(lp_pool, p=3, window=m, stride=m),
            lambda r: (jnp.abs(r) ** 3).sum(-1) ** (1 / 3),
        ),
    ]
    both = jax.jit(lambda x: [(pool(x), subsample(x, g, m)) for pool, g in pairs])
    for pooled, subsampled in both(x):
        np.testing.assert_allclose(pooled, subsampled, rtol=1e-5, atol=1e-6)


def test_subsample_takes_any_function_of_a_vector_by_the_lectures_indices():
    x = np.arange(12.0) ** 2
    n, m = 2, 4  # y_n = g(x_{(n-1)m+1 : nm}), counted from 1
    g = lambda r: jnp.log(jnp.exp(-r).sum(-1))  # noqa: E731
    y = subsample(jnp.asarray(x, jnp.float32).reshape(1, 1, 12, 1), g, (1, m)).ravel()
    np.testing.assert_allclose(y[n - 1], g(x[(n - 1) * m : n * m]), rtol=1e-5)


def test_subsample_reads_a_region_row_by_row():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    first_row = subsample(x, lambda r: 10 * r[..., 0] + r[..., 1], 2)
    np.testing.assert_array_equal(first_row[0, :, :, 0], [[1, 23], [89, 111]])


X = jnp.zeros((1, 4, 4, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lp_pool(X[0], 2, 2, 2), "lp_pool takes floating"),
        (lambda: lp_pool(X, 0.5, 2, 2), "p is 0.5; give a finite number of at least 1"),
        (lambda: lp_pool(X, float("inf"), 2, 2), r"p is inf.*max_pool"),
        (lambda: lp_pool(X, float("nan"), 2, 2), "p is nan"),
        (lambda: lp_pool(X, 2, 5, 2), "a window of 5 does not fit"),
        (lambda: lp_pool(X, 2, 2, 0), "stride is 0"),
        (lambda: subsample(X, jnp.max, 0), "m is 0"),
        (lambda: subsample(X, jnp.max, 5), "a window of 5 does not fit on 4"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(call, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
