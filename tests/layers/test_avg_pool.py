"""avg_pool and global_avg_pool against NumPy, lax, Keras, and under the transformations of JAX."""

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
from cnnjax.layers import avg_pool, global_avg_pool
from cnnjax.layers.windows import resolve_padding


def numpy_pool(x, dy, window, stride, pads, count_padding):
    """(y, dx) in float64, window by window."""
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for i, j in np.ndindex(dy.shape[1:3]):
        top, left = i * stride[0] - pads[0][0], j * stride[1] - pads[1][0]
        rows = slice(max(top, 0), max(top + window[0], 0))
        columns = slice(max(left, 0), max(left + window[1], 0))
        seen = x[:, rows, columns]
        m = window[0] * window[1] if count_padding else max(seen.shape[1] * seen.shape[2], 1)
        y[:, i, j] = seen.sum((1, 2)) / m
        dx[:, rows, columns] += dy[:, i : i + 1, j : j + 1] / m
    return y, dx


def with_gradient(pool, x, dy):
    y, back = jax.vjp(pool, x)
    return y, back(dy)[0]


def random(seed, shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


CASES = {
    "disjoint": ((3, 8, 6, 5), (2, 2), (2, 2), 0),
    "rows left over": ((2, 9, 8, 3), (2, 3), (2, 3), 0),
    "windows apart": ((2, 10, 11, 2), (1, 2), (3, 4), 0),
    "overlapping": ((2, 9, 10, 4), (3, 3), (2, 2), 1),
    "inception": ((2, 7, 6, 3), (3, 3), (1, 1), 1),
    "same, uneven": ((2, 8, 9, 3), (3, 4), (2, 3), "same"),
    "rectangular": ((1, 7, 9, 2), (5, 2), (1, 3), ((2, 0), (0, 1))),
    "padding beyond the window": ((1, 4, 5, 2), (2, 3), (1, 2), (3, 4)),
    "the whole image": ((2, 6, 5, 3), (6, 5), (1, 1), 0),
}


@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_and_gradients_are_those_of_numpy(case, count_padding):
    shape, window, stride, padding = case
    pads = resolve_padding(padding, shape[1:3], window, stride)
    pool = partial(
        avg_pool, window=window, stride=stride, padding=padding, count_padding=count_padding
    )
    x = random(0, shape)
    dy = random(1, jax.eval_shape(pool, x).shape)
    wanted = numpy_pool(x, dy, window, stride, pads, count_padding)
    for a, b in zip(jax.jit(partial(with_gradient, pool))(x, dy), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(data=st.data())
def test_values_and_gradients_are_those_of_flax(data):
    draw = data.draw
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = [draw(st.integers(k, k + 6)) for k in window]
    padding = tuple(draw(st.tuples(*[st.integers(0, k - 1)] * 2)) for k in window)
    count = draw(st.booleans())
    x = random(2, (2, *size, 3))
    pool = partial(avg_pool, window=window, stride=stride, padding=padding, count_padding=count)
    dy = random(3, jax.eval_shape(pool, x).shape)
    flax = partial(
        nn.avg_pool, window_shape=window, strides=stride, padding=padding, count_include_pad=count
    )
    got = jax.jit(partial(with_gradient, pool))(x, dy)
    for a, b in zip(got, jax.jit(partial(with_gradient, flax))(x, dy), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_padding_left_out_of_the_count_is_keras():
    import keras

    x = random(4, (2, 7, 8, 3))
    layer = keras.layers.AveragePooling2D(3, 2, padding="same")
    ours = avg_pool(x, 3, 2, "same", count_padding=False)
    np.testing.assert_allclose(ours, layer(x), rtol=1e-5, atol=1e-6)
    globally = keras.layers.GlobalAveragePooling2D()(x)
    np.testing.assert_allclose(global_avg_pool(x), globally, rtol=1e-5, atol=1e-6)


def test_padding_in_the_count_is_pytorch():
    # torch.nn.functional.avg_pool2d(arange(1, 10) as 3x3, 3, stride=1, padding=1), torch 2.13
    x = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    wanted = np.array([[12, 21, 16], [27, 45, 33], [24, 39, 28]]) / 9
    y = avg_pool(x, 3, 1, padding=1, count_padding=True)
    np.testing.assert_allclose(y[0, :, :, 0], wanted, rtol=1e-6)


def test_a_window_of_padding_only_is_0():
    y = avg_pool(jnp.ones((1, 2, 2, 1)), 1, 1, padding=1, count_padding=False)
    np.testing.assert_array_equal(y[0, :, :, 0], np.pad(np.ones((2, 2)), 1))


def test_every_pixel_of_a_mean_gets_one_m_th_of_the_gradient():
    dx = jax.grad(lambda x: avg_pool(x, 2, 2).sum())(random(5, (1, 4, 4, 1)))
    np.testing.assert_array_equal(dx, np.full((1, 4, 4, 1), 0.25))


def test_many_bfloat16_pixels_are_summed_in_float32():
    x = jnp.full((1, 20, 20, 1), 1.0 + 2**-7, jnp.bfloat16)
    y = avg_pool(x, 20, 1)
    assert y.dtype == jnp.bfloat16
    assert y.item() == 1.0 + 2**-7
    assert global_avg_pool(x).dtype == jnp.bfloat16
    assert global_avg_pool(x).item() == 1.0 + 2**-7


def test_a_vmap_and_a_scan_are_a_loop():
    x = random(6, (3, 2, 7, 7, 2))
    one = jax.jit(jax.grad(lambda x: jnp.sum(avg_pool(x, window=3, stride=2) ** 2)))
    loop = jnp.stack([one(a) for a in x])
    np.testing.assert_allclose(jax.vmap(one)(x), loop, rtol=1e-6)
    np.testing.assert_allclose(lax.scan(lambda _, a: (None, one(a)), None, x)[1], loop, rtol=1e-6)


def test_derivatives_of_derivatives_are_those_of_flax():
    x, v = random(7, (1, 5, 5, 2)), random(8, (1, 5, 5, 2))

    def curvature(pool):
        slope = jax.grad(lambda x: jnp.sum(jnp.tanh(pool(x))))
        return jax.jit(jax.grad(lambda x: jnp.vdot(slope(x), v)))(x)

    ours = curvature(partial(avg_pool, window=3, stride=2))
    flax = curvature(partial(nn.avg_pool, window_shape=(3, 3), strides=(2, 2)))
    np.testing.assert_allclose(ours, flax, rtol=1e-5, atol=1e-6)


X = jnp.zeros((1, 4, 4, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], 2, 2), r"avg_pool takes floating \[N, H, W, C\]"),
        ((X.astype(jnp.int32), 2, 2), r"int32\[1, 4, 4, 3\]"),
        ((X, 0, 2), "window is 0"),
        ((X, 2, -1), "stride is -1"),
        ((X, 5, 1), "a window of 5 does not fit on 4 pixels"),
        ((X, 3, 1, 1), "count_padding is not given and padding is 1; give True .* False"),
        ((X, 2, 2, "same"), "count_padding is not given"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(arguments, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        avg_pool(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(4, 4), (1, 0, 4, 2)])
def test_global_pooling_wants_images_with_pixels(shape):
    with pytest.raises(CnnjaxError, match="the input is"):
        global_avg_pool(jnp.zeros(shape))
