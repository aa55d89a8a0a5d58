"""conv2d with groups, dilation and replicated edges: against NumPy, lax and Keras."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax import CnnjaxError
from cnnjax.layers import conv2d, same_padding
from cnnjax.layers.windows import dilated, resolve_padding

# (images, kernels, stride, padding, dilation, groups): each way in which the CPU computes it
CASES = {
    "dilated": ((3, 11, 10, 5), (3, 3, 5, 7), 1, 0, 2, 1),
    "dilated, few channels": ((2, 9, 12, 3), (3, 2, 3, 4), 1, 1, (2, 3), 1),
    "dilated, side by side": ((4, 9, 8, 24), (3, 5, 24, 64), 1, (2, 4), 2, 1),
    "dilated and strided": ((3, 14, 13, 12), (3, 3, 12, 20), (2, 3), ((0, 1), (2, 1)), (3, 2), 1),
    "two groups": ((3, 9, 10, 24), (5, 5, 12, 32), 1, 2, 1, 2),
    "two groups, strided": ((4, 11, 12, 10), (3, 3, 5, 6), 2, 1, 1, 2),
    "groups, dilated and strided": ((2, 12, 11, 12), (3, 2, 4, 9), (2, 1), "same", (1, 2), 3),
    "depthwise": ((5, 9, 8, 7), (3, 3, 1, 7), 1, 1, 1, 7),
    "depthwise, a batch in parts": ((8, 48, 48, 2), (3, 3, 1, 2), 1, "same", 1, 2),
    "depthwise, strided": ((3, 10, 9, 6), (3, 3, 1, 6), 2, "same", 1, 6),
    "depthwise, rows left over": ((2, 12, 13, 4), (2, 5, 1, 4), (3, 2), ((0, 3), (1, 0)), 1, 4),
    "depthwise, dilated": ((2, 10, 11, 3), (3, 3, 1, 3), 1, 2, 2, 3),
    "depthwise, dilated and strided": ((2, 13, 14, 3), (3, 2, 1, 3), (2, 3), 1, (2, 3), 3),
    "depthwise, padding beyond the window": ((1, 5, 6, 3), (3, 3, 1, 3), 1, (4, 3), 1, 3),
    "depthwise, three features per channel": ((2, 7, 8, 4), (3, 3, 1, 12), 2, 1, 1, 4),
    "depthwise, one image of one pixel": ((1, 1, 1, 5), (1, 1, 1, 5), 1, 0, 1, 5),
}


def numpy_convolution(x, w, dy, stride, padding, dilation, groups):
    """(y, dx, dw) in float64, straight from the definition, group by group."""
    x, w, dy = (np.asarray(a, np.float64) for a in (x, w, dy))
    sh, sw = (stride,) * 2 if isinstance(stride, int) else stride
    dh, dw_ = (dilation,) * 2 if isinstance(dilation, int) else dilation
    kh, kw, c, o = *w.shape[:3], w.shape[3] // groups
    pads = resolve_padding(padding, x.shape[1:3], dilated((kh, kw), (dh, dw_)), (sh, sw))
    xp = np.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = dy.shape[1:3]
    y, dxp, dw = np.zeros(dy.shape), np.zeros_like(xp), np.zeros_like(w)
    for g in range(groups):
        ins, outs = slice(g * c, g * c + c), slice(g * o, g * o + o)
        for i, j, u, v in np.ndindex(height, width, kh, kw):
            row, column = i * sh + u * dh, j * sw + v * dw_
            y[:, i, j, outs] += xp[:, row, column, ins] @ w[u, v, :, outs]
            dxp[:, row, column, ins] += dy[:, i, j, outs] @ w[u, v, :, outs].T
            dw[u, v, :, outs] += xp[:, row, column, ins].T @ dy[:, i, j, outs]
    top, left = pads[0][0], pads[1][0]
    return y, dxp[:, top : top + x.shape[1], left : left + x.shape[2]], dw


def stock(x, w, stride, padding, dilation, groups):
    strides, dilation = ((a, a) if isinstance(a, int) else a for a in (stride, dilation))
    pads = resolve_padding(padding, x.shape[1:3], dilated(w.shape[:2], dilation), strides)
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def ours(stride, padding, dilation, groups):
    return partial(conv2d, stride=stride, padding=padding, dilation=dilation, groups=groups)


def random(seed, *shapes, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def with_gradients(convolution, x, w, dy):
    y, back = jax.vjp(convolution, x, w)
    return (y, *back(dy))


def assert_close(got, wanted, tolerance=3e-6):
    for a, b in zip(got, wanted, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1.0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_and_both_gradients_are_those_of_numpy(case):
    images, kernels, *rule = case
    x, w = random(0, images, kernels)
    (dy,) = random(1, jax.eval_shape(partial(ours(*rule)), x, w).shape)
    got = jax.jit(partial(with_gradients, ours(*rule)))(x, w, dy)
    assert_close(got, numpy_convolution(x, w, dy, *rule))


@settings(max_examples=4, deadline=None, derandomize=True)
@given(data=st.data())
def test_values_and_both_gradients_are_those_of_lax(data):
    draw = data.draw
    groups = draw(st.integers(1, 4))
    n, c, o = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    window = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    spans = dilated(window, dilation)
    size = [draw(st.integers(k, k + 6)) for k in spans]
    sides = [st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in spans]
    padding = draw(st.sampled_from(["same", "valid"]) | st.tuples(*sides))
    rule = (stride, padding, dilation, groups)
    x, w = random(2, (n, *size, c * groups), (*window, c, o * groups))
    (dy,) = random(3, jax.eval_shape(ours(*rule), x, w).shape)
    got = jax.jit(partial(with_gradients, ours(*rule)))(x, w, dy)
    reference = lambda x, w: stock(x, w, *rule)  # noqa: E731
    assert_close(got, jax.jit(partial(with_gradients, reference))(x, w, dy))


@pytest.mark.parametrize("name", ["two groups", "depthwise", "depthwise, strided"])
def test_bfloat16_is_as_exact_as_lax_in_bfloat16(name):
    images, kernels, *rule = CASES[name]
    x, w = random(4, images, kernels, dtype=jnp.bfloat16)
    (dy,) = random(5, jax.eval_shape(ours(*rule), x, w).shape, dtype=jnp.bfloat16)
    got = jax.jit(partial(with_gradients, ours(*rule)))(x, w, dy)
    assert all(a.dtype == jnp.bfloat16 for a in got)
    assert_close(got, numpy_convolution(x, w, dy, *rule), tolerance=2**-8)


@pytest.mark.parametrize("name", ["two groups, strided", "depthwise, strided", "dilated"])
def test_vmap_over_images_and_kernels_is_a_loop(name):
    images, kernels, *rule = CASES[name]
    x, w = random(8, (3, *images), (3, *kernels))
    (dy,) = random(9, jax.eval_shape(ours(*rule), x[0], w[0]).shape)
    one = jax.jit(lambda x, w: with_gradients(ours(*rule), x, w, dy))
    loop = [jnp.stack(rows) for rows in zip(*map(one, x, w), strict=True)]
    assert_close(jax.jit(jax.vmap(one))(x, w), loop)


@pytest.mark.parametrize("name", ["two groups, strided", "depthwise, strided"])
def test_derivatives_of_derivatives_are_those_of_lax(name):
    images, kernels, *rule = CASES[name]
    (x, w), (vx, vw) = (random(seed, images, kernels) for seed in (12, 13))

    def curvature(convolution):
        loss = lambda x, w: jnp.sum(jnp.tanh(convolution(x, w)))  # noqa: E731

        def along(x, w):
            gx, gw = jax.grad(loss, (0, 1))(x, w)
            return jnp.vdot(gx, vx) + jnp.vdot(gw, vw)

        return jax.jit(jax.grad(along, (0, 1)))(x, w)

    reference = lambda x, w: stock(x, w, *rule)  # noqa: E731
    assert_close(curvature(ours(*rule)), curvature(reference), tolerance=1e-5)


def test_groups_dilation_and_depthwise_are_those_of_keras():
    import keras

    (x, w, d) = random(14, (2, 12, 11, 6), (3, 2, 3, 8), (3, 3, 6, 2))
    grouped = keras.ops.conv(x, w, strides=2, padding="same")
    assert_close([conv2d(x, w, stride=2, padding="same", groups=2)], [grouped])
    apart = keras.ops.conv(x, w[:, :, :, :4].repeat(2, 2), dilation_rate=2, padding="same")
    assert_close(
        [conv2d(x, w[:, :, :, :4].repeat(2, 2), dilation=2, padding="same")],
        [apart],
    )
    depthwise = keras.ops.depthwise_conv(x, d, strides=1, padding="same")
    assert_close([conv2d(x, d.reshape(3, 3, 1, 12), padding="same", groups=6)], [depthwise])


@pytest.mark.parametrize("padding", [2, ((0, 3), (1, 2)), "same", "valid"])
def test_replicated_edges_are_those_of_numpy(padding):
    (x, w), rule = random(15, (2, 6, 7, 4), (3, 3, 2, 6)), (2, 0, 1, 2)
    pads = resolve_padding(padding, (6, 7), (3, 3), (2, 2))

    def replicated(x, w):
        return conv2d(x, w, stride=2, padding=padding, pad_mode="edge", groups=2)

    xp = jnp.asarray(np.pad(x, ((0, 0), *pads, (0, 0)), mode="edge"))
    (dy,) = random(16, jax.eval_shape(replicated, x, w).shape)
    y, dx, dw = jax.jit(partial(with_gradients, replicated))(x, w, dy)
    wanted_y, dxp, wanted_dw = numpy_convolution(xp, w, dy, *rule)
    rows, columns = (
        np.clip(np.arange(-a, n + b), 0, n - 1) for n, (a, b) in zip((6, 7), pads, strict=True)
    )
    wanted_dx = np.zeros(x.shape)  # a pixel of the edge is also every pixel that repeats it
    np.add.at(wanted_dx, (slice(None), rows[:, None], columns[None]), dxp)
    assert_close((y, dx, dw), (wanted_y, wanted_dx, wanted_dw))


def test_symmetric_padding_keeps_the_size_of_an_image():
    for k in (1, 3, 5, 7, (3, 1), (1, 5)):
        kernel = (k, k) if isinstance(k, int) else k
        y = jax.eval_shape(
            partial(conv2d, padding=same_padding(k)),
            jnp.zeros((1, 9, 8, 1)),
            jnp.zeros((*kernel, 1, 1)),
        )
        assert y.shape == (1, 9, 8, 1)


X, W = jnp.zeros((2, 6, 6, 6)), jnp.zeros((3, 3, 3, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 0}, "groups is 0; give an integer of at least 1"),
        ({"groups": 2.0}, "groups is 2.0; give an integer"),
        ({"groups": 3}, "images have 6 channels and kernels take 3; with groups=3"),
        ({"kernels": jnp.zeros((3, 3, 3, 5)), "groups": 2}, "5 channels in 2 groups.*multiple"),
        ({"dilation": 0}, "dilation is 0; give an integer of at least 1"),
        ({"dilation": (1, -1)}, r"dilation is \(1, -1\)"),
        ({"dilation": 3}, "a window of 7 does not fit on 6 pixels"),
        ({"pad_mode": "reflect"}, 'pad_mode is \'reflect\'; the modes are "zero" and "edge"'),
        ({"pad_mode": "edge", "padding": -1}, "padding is -1"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(arguments, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        conv2d(**{"images": X, "kernels": W, "groups": 2} | arguments)
    assert "\n" not in str(error.value)
