"""max_pool against NumPy, against flax, and under the transformations of JAX."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax import CnnjaxError
from cnnjax.layers import max_pool
from cnnjax.layers.windows import resolve_padding


def numpy_pool(x, dy, window, stride, padding):
    """(y, dx): the first maximum of each window, in reading order, gets its gradient."""
    n, height, width, channels = x.shape
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for i, j in np.ndindex(dy.shape[1:3]):
        top, left = i * stride[0] - padding[0][0], j * stride[1] - padding[1][0]
        rows = slice(max(top, 0), min(top + window[0], height))
        columns = slice(max(left, 0), min(left + window[1], width))
        for a, c in np.ndindex(n, channels):
            seen = x[a, rows, columns, c]
            u, v = np.unravel_index(np.argmax(seen), seen.shape)
            y[a, i, j, c] = seen[u, v]
            dx[a, rows.start + u, columns.start + v, c] += dy[a, i, j, c]
    return y, dx


def with_gradient(pool, x, dy):
    y, back = jax.vjp(pool, x)
    return y, back(dy)[0]


def flax_pool(x, window, stride, padding):
    return nn.max_pool(x, window, strides=stride, padding=padding)


def random(seed, shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_values_and_gradients_are_those_of_numpy_and_flax_ties_included(data):
    draw = data.draw
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = [draw(st.integers(k, k + 6)) for k in window]
    low, high = zip(*[draw(st.tuples(*[st.integers(0, k - 1)] * 2)) for k in window], strict=True)
    named = draw(st.sampled_from(["same", "valid", None]))
    padding = named or tuple(zip(low, high, strict=True))
    pads = resolve_padding(padding, size, window, stride)
    levels = draw(st.sampled_from([1, 2, 3, 1000]))  # few levels: many ties
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = jnp.asarray(rng.integers(-levels, levels, size=(2, *size, 3)), jnp.float32)
    pool = partial(max_pool, window=window, stride=stride, padding=padding)
    dy = random(0, pool(x).shape)
    y, dx = jax.jit(partial(with_gradient, pool))(x, dy)
    reference = partial(flax_pool, window=window, stride=stride, padding=pads)
    for wanted_y, wanted_dx in (
        numpy_pool(np.asarray(x), np.asarray(dy), window, stride, pads),
        jax.jit(partial(with_gradient, reference))(x, dy),
    ):
        np.testing.assert_array_equal(y, wanted_y)
        np.testing.assert_allclose(dx, wanted_dx, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_pools_of_alexnet_and_lenet_are_those_of_flax(dtype):
    for window, stride, size in ((3, 2, 13), (2, 2, 28)):
        x = random(1, (2, size, size, 5), dtype)
        pool = partial(max_pool, window=window, stride=stride)
        dy = random(2, pool(x).shape, dtype)
        reference = partial(
            flax_pool, window=(window,) * 2, stride=(stride,) * 2, padding=((0, 0), (0, 0))
        )
        got = jax.jit(partial(with_gradient, pool))(x, dy)
        wanted = jax.jit(partial(with_gradient, reference))(x, dy)
        for a, b in zip(got, wanted, strict=True):
            assert a.dtype == dtype
            tolerance = 1e-6 if dtype == jnp.float32 else 2**-6
            np.testing.assert_allclose(
                a.astype(jnp.float32), b.astype(jnp.float32), rtol=tolerance, atol=tolerance
            )


def test_padding_never_wins_even_over_negative_numbers():
    y = max_pool(jnp.full((1, 3, 3, 1), -5.0), window=3, stride=1, padding=1)
    assert (y == -5.0).all()


def test_an_infinite_pixel_still_wins_over_the_padding():
    y = max_pool(jnp.full((1, 3, 3, 1), -jnp.inf), window=3, stride=2, padding=1)
    assert (y == -jnp.inf).all()


def test_a_nan_is_passed_on_so_that_training_can_stop_on_it():
    x = jnp.zeros((1, 4, 4, 1)).at[0, 0, 1, 0].set(jnp.nan)
    y = max_pool(x, window=2, stride=2)[0, :, :, 0]
    np.testing.assert_array_equal(jnp.isnan(y), [[True, False], [False, False]])


def test_of_equal_pixels_the_first_in_reading_order_gets_the_gradient():
    x = jnp.array([[1.0, 7.0], [7.0, 7.0]]).reshape(1, 2, 2, 1)
    dx = jax.grad(lambda x: max_pool(x, window=2, stride=2).sum())(x)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0.0, 1.0], [0.0, 0.0]])


def test_vmap_is_a_loop():
    x = random(3, (4, 2, 7, 7, 3))
    one = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, window=3, stride=2) ** 2)))
    np.testing.assert_allclose(jax.vmap(one)(x), jnp.stack([one(a) for a in x]), rtol=1e-6)


def test_a_scan_is_a_loop():
    x = random(4, (3, 2, 8, 8, 3))
    one = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, window=2, stride=2) ** 2)))
    scanned = lax.scan(lambda _, a: (None, one(a)), None, x)[1]
    np.testing.assert_allclose(scanned, jnp.stack([one(a) for a in x]), rtol=1e-6)


def test_derivatives_of_derivatives_are_those_of_flax():
    x, v = random(5, (1, 5, 5, 2)), random(6, (1, 5, 5, 2))

    def curvature(pool):
        slope = jax.grad(lambda x: jnp.sum(jnp.tanh(pool(x))))
        return jax.jit(jax.grad(lambda x: jnp.vdot(slope(x), v)))(x)

    ours = curvature(partial(max_pool, window=3, stride=2))
    flax = curvature(partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2)))
    np.testing.assert_allclose(ours, flax, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((jnp.zeros((4, 4, 3)), 2, 2), r"takes floating \[N, H, W, C\]"),
        ((jnp.zeros((1, 4, 4, 3), jnp.int32), 2, 2), r"int32\[1, 4, 4, 3\]"),
        ((jnp.zeros((1, 4, 4, 3)), 0, 2), "window is 0"),
        ((jnp.zeros((1, 4, 4, 3)), 2, 0), "stride is 0"),
        ((jnp.zeros((1, 4, 4, 3)), 5, 1), "a window of 5 does not fit on 4 pixels"),
        ((jnp.zeros((1, 4, 4, 3)), 2, 2, -1), "padding is -1"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(arguments, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        max_pool(*arguments)
    assert "\n" not in str(error.value)
