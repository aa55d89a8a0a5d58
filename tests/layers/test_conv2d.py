"""conv2d against NumPy, against lax, and under the transformations of JAX."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax import CnnjaxError
from cnnjax.layers import conv2d
from cnnjax.layers.windows import resolve_padding

# (images, kernels, stride, padding): one or more for each way in which the CPU computes it
CASES = {
    "one channel, four columns as one": ((4, 12, 11, 1), (5, 5, 1, 6), 1, 0),
    "three channels": ((3, 9, 10, 3), (5, 5, 3, 24), 1, 2),
    "two columns as one": ((3, 9, 10, 3), (5, 5, 3, 12), 1, 2),
    "two columns as one, uneven padding": ((4, 8, 7, 4), (4, 3, 4, 9), 1, ((0, 3), (1, 2))),
    "few channels, strided": ((2, 15, 14, 3), (7, 7, 3, 8), 4, 0),
    "columns of a stride as one": ((4, 15, 14, 3), (7, 7, 3, 24), 2, 3),
    "columns of a stride as one, some beyond": ((2, 16, 18, 3), (3, 2, 3, 17), (2, 5), 0),
    "columns of two strides as one": ((3, 11, 12, 4), (3, 3, 4, 9), 2, ((0, 1), (1, 0))),
    "columns of four strides as one": ((3, 9, 21, 3), (3, 5, 3, 5), (1, 3), "same"),
    "a patch for each window": ((2, 8, 12, 3), (4, 4, 3, 20), 4, 0),
    "outputs that fill no vector": ((4, 9, 8, 20), (5, 5, 20, 12), 1, 2),
    "a batch laid side by side": ((4, 9, 8, 24), (5, 5, 24, 64), 1, 2),
    "side by side, odd channels": ((3, 7, 9, 33), (3, 3, 33, 31), 1, 1),
    "side by side, uneven padding": ((4, 8, 7, 32), (5, 5, 32, 32), 1, ((0, 3), (1, 2))),
    "more outputs than inputs": ((2, 6, 5, 32), (5, 5, 32, 32), 1, 4),
    "padding beyond the window": ((2, 6, 5, 32), (3, 3, 32, 48), 1, ((4, 3), (5, 2))),
    "window as large as the image": ((2, 5, 6, 40), (5, 6, 40, 20), 1, 0),
    "one by one": ((2, 5, 6, 64), (1, 1, 64, 32), 1, 0),
    "one by one, strided": ((2, 6, 7, 10), (1, 1, 10, 12), 2, 0),
    "strided": ((5, 10, 9, 16), (3, 3, 16, 20), 2, 1),
    "strides that leave rows over": ((2, 11, 12, 9), (3, 2, 9, 20), (3, 2), ((1, 0), (0, 1))),
    "a window of one row": ((2, 6, 12, 12), (1, 4, 12, 6), 1, "same"),
    "few outputs, even width": ((3, 7, 10, 5), (3, 4, 5, 10), 1, ((0, 2), (1, 2))),
    "few outputs, odd width": ((3, 7, 9, 5), (3, 3, 5, 10), 1, 1),
    "few outputs, 40 images": ((40, 4, 4, 5), (3, 3, 5, 9), 1, 1),
    "one by one, padded": ((2, 5, 6, 8), (1, 1, 8, 20), 2, ((1, 0), (0, 2))),
    "one image": ((1, 8, 8, 16), (3, 3, 16, 16), 1, "same"),
    "a batch in five parts": ((65, 14, 14, 2), (3, 3, 2, 20), 1, "same"),
    "a batch of 17": ((17, 6, 6, 4), (3, 3, 4, 5), (1, 2), "same"),
}


def numpy_convolution(x, w, dy, stride, padding):
    """(y, dx, dw) in float64, straight from the definition."""
    x, w, dy = (np.asarray(a, np.float64) for a in (x, w, dy))
    kh, kw = w.shape[:2]
    sh, sw = (stride, stride) if isinstance(stride, int) else stride
    (top, bottom), (left, right) = resolve_padding(padding, x.shape[1:3], (kh, kw), (sh, sw))
    xp = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height, width = (xp.shape[1] - kh) // sh + 1, (xp.shape[2] - kw) // sw + 1
    y, dxp, dw = np.zeros((len(x), height, width, w.shape[3])), np.zeros_like(xp), np.zeros_like(w)
    for u in range(kh):
        for v in range(kw):
            at = np.s_[:, u : u + sh * height : sh, v : v + sw * width : sw]
            y += xp[at][:, :height, :width] @ w[u, v]
            dxp[at][:, :height, :width] += dy @ w[u, v].T
            dw[u, v] = np.einsum("nijc,nijo->co", xp[at][:, :height, :width], dy)
    return y, dxp[:, top : top + x.shape[1], left : left + x.shape[2]], dw


def stock(x, w, stride, padding):
    strides = (stride, stride) if isinstance(stride, int) else stride
    pads = resolve_padding(padding, x.shape[1:3], w.shape[:2], strides)
    return lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


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
    images, kernels, stride, padding = case
    x, w = random(0, images, kernels)
    (dy,) = random(1, stock(x, w, stride, padding).shape)
    ours = jax.jit(partial(with_gradients, partial(conv2d, stride=stride, padding=padding)))
    assert_close(ours(x, w, dy), numpy_convolution(x, w, dy, stride, padding))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_values_and_both_gradients_are_those_of_lax(data):
    draw = data.draw
    n, c, o = draw(st.integers(1, 5)), draw(st.integers(1, 34)), draw(st.integers(1, 34))
    window = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = [draw(st.integers(k, k + 7)) for k in window]
    # Below the window only: beyond it, lax itself gives garbage for dx on the CPU (jaxlib 0.10.2);
    # the case "padding beyond the window" compares with NumPy instead.
    sides = [st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in window]
    padding = draw(st.sampled_from(["same", "valid"]) | st.tuples(*sides))
    x, w = random(2, (n, *size, c), (*window, c, o))
    reference = partial(stock, stride=stride, padding=padding)
    (dy,) = random(3, reference(x, w).shape)
    ours = partial(conv2d, stride=stride, padding=padding)
    got = jax.jit(partial(with_gradients, ours))(x, w, dy)
    assert_close(got, jax.jit(partial(with_gradients, reference))(x, w, dy))


@pytest.mark.parametrize("name", ["a batch in five parts", "a batch laid side by side"])
def test_bfloat16_is_as_exact_as_lax_in_bfloat16(name):
    images, kernels, stride, padding = CASES[name]
    x, w = random(4, images, kernels, dtype=jnp.bfloat16)
    (dy,) = random(5, stock(x, w, stride, padding).shape, dtype=jnp.bfloat16)
    got = with_gradients(partial(conv2d, stride=stride, padding=padding), x, w, dy)
    assert all(a.dtype == jnp.bfloat16 for a in got)
    assert_close(got, numpy_convolution(x, w, dy, stride, padding), tolerance=2**-8)


@pytest.mark.parametrize("name", ["a batch laid side by side", "one by one, strided"])
def test_it_computes_the_same_without_jit(name):
    images, kernels, stride, padding = CASES[name]
    x, w = random(6, images, kernels)
    ours = partial(with_gradients, partial(conv2d, stride=stride, padding=padding))
    (dy,) = random(7, stock(x, w, stride, padding).shape)
    assert_close(ours(x, w, dy), jax.jit(ours)(x, w, dy))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("name", ["one by one, strided", "a batch laid side by side"])
def test_vmap_is_a_loop(name, axes):
    images, kernels, stride, padding = CASES[name]
    x, w = random(8, (3, *images), (3, *kernels))
    x, w = (a if axis == 0 else a[0] for a, axis in zip((x, w), axes, strict=True))
    at = [(x if axes[0] is None else x[i], w if axes[1] is None else w[i]) for i in range(3)]
    ours = partial(conv2d, stride=stride, padding=padding)
    (dy,) = random(9, ours(*at[0]).shape)
    one = jax.jit(lambda x, w: with_gradients(ours, x, w, dy))
    loop = [jnp.stack(rows) for rows in zip(*(one(*a) for a in at), strict=True)]
    assert_close(jax.jit(jax.vmap(one, axes))(x, w), loop)


@pytest.mark.parametrize("name", ["a batch of 17", "a batch laid side by side"])
def test_training_in_a_scan_is_training_in_a_loop(name):
    images, kernels, stride, padding = CASES[name]
    batches, (w,) = random(10, (3, *images))[0], random(11, kernels)

    def step(w, x):
        loss = lambda w: jnp.mean(conv2d(x, w, stride, padding) ** 2)  # noqa: E731
        return w - 0.01 * jax.grad(loss)(w), None

    looped = w
    for x in batches:
        looped, _ = step(looped, x)
    scanned, _ = jax.jit(lambda w: lax.scan(step, w, batches))(w)
    assert_close([scanned], [looped])


def test_derivatives_of_derivatives_are_those_of_lax():
    (x, w), (vx, vw) = (random(seed, (2, 6, 6, 3), (3, 3, 3, 4)) for seed in (12, 13))

    def curvature(convolution):
        loss = lambda x, w: jnp.sum(jnp.tanh(convolution(x, w, 1, 1)))  # noqa: E731

        def along(x, w):
            gx, gw = jax.grad(loss, (0, 1))(x, w)
            return jnp.vdot(gx, vx) + jnp.vdot(gw, vw)

        return jax.jit(jax.grad(along, (0, 1)))(x, w)

    assert_close(curvature(conv2d), curvature(stock), tolerance=1e-5)


def test_forward_mode_is_refused_and_never_wrong():
    x, w = random(14, (1, 4, 4, 2), (3, 3, 2, 2))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(conv2d, (x, w), (x, w))


X, W = jnp.zeros((2, 6, 6, 3)), jnp.zeros((3, 3, 3, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], W), r"images have shape \(6, 6, 3\).*\[N, H, W, C\]"),
        ((X, W[0]), r"kernels \(3, 3, 4\).*\[kh, kw, C, O\]"),
        ((X[..., :2], W), "images have 2 channels and kernels take 3"),
        ((X.astype(jnp.bfloat16), W), "bfloat16 and kernels float32"),
        ((X.astype(jnp.uint8), W.astype(jnp.uint8)), "floating"),
        ((X, W, 0), "stride is 0; give an integer of at least 1"),
        ((X, W, (1, -2)), r"stride is \(1, -2\)"),
        ((X, W, 1.5), "stride is 1.5"),
        ((X, W, 1, -1), "padding is -1; give an integer of at least 0"),
        ((X, W, 1, "full"), "padding is 'full'.*same.*valid"),
        ((X[:, :2], W), "a window of 3 does not fit on 2 pixels"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(arguments, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        conv2d(*arguments)
    assert "\n" not in str(error.value)
