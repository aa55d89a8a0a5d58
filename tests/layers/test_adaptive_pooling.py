"""Average pooling to a given size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import CnnjaxError
from cnnjax.layers import adaptive_avg_pool


def by_hand(x, h, w):
    """The definition, window by window."""
    n, height, width, c = x.shape
    y = np.zeros((n, h, w, c))
    for i in range(h):
        for j in range(w):
            rows = slice(i * height // h, int(np.ceil((i + 1) * height / h)))
            columns = slice(j * width // w, int(np.ceil((j + 1) * width / w)))
            y[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
    return y


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 4))
def test_a_pixel_is_the_mean_of_its_window(sizes):
    height, width, h, w = sizes
    x = np.random.default_rng(0).standard_normal((2, height, width, 3)).astype(np.float32)
    # In one program: the slices differ from example to example, and each would be compiled.
    y = jax.jit(lambda x: adaptive_avg_pool(x, (h, w)))(x)
    np.testing.assert_allclose(y, by_hand(x, h, w), rtol=1e-5, atol=1e-6)


def test_torch_computes_the_same_numbers():
    # torch.nn.functional.adaptive_avg_pool2d of k^2 / 10, k = 0 ... 34, as 5 x 7 pixels, to 3 x 2
    x = (jnp.arange(35.0) ** 2 / 10).reshape(1, 5, 7, 1)
    torchs = [[3.85, 7.75], [27.4167, 37.6167], [68.95, 85.45]]
    np.testing.assert_allclose(adaptive_avg_pool(x, (3, 2))[0, :, :, 0], torchs, rtol=1e-5)


def test_maps_of_the_right_size_stay_as_they_are():
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
    np.testing.assert_array_equal(adaptive_avg_pool(x, 6), x)


def test_the_mean_of_bfloat16_is_taken_in_float32():
    x = jnp.full((1, 400, 1, 1), 1.0, jnp.bfloat16).at[0, 0].set(257.0)
    y = adaptive_avg_pool(x, 1)
    assert y.dtype == jnp.bfloat16
    assert float(y[0, 0, 0, 0]) == pytest.approx(1 + 255 / 400, rel=1e-2)


@pytest.mark.parametrize(
    ("x", "size", "message"),
    [
        (jnp.ones((3, 3, 1)), 6, r"the input is float32\[3, 3, 1\]; adaptive_avg_pool takes"),
        (jnp.ones((1, 3, 3, 1), int), 6, "takes floating"),
        (jnp.ones((1, 0, 3, 1)), 6, r"the input is \[1, 0, 3, 1\]; its images must have pixels"),
        (jnp.ones((1, 3, 3, 1)), 0, "size is 0; give an integer of at least 1, or two of them"),
    ],
)
def test_bad_inputs_are_refused(x, size, message):
    with pytest.raises(CnnjaxError, match=message):
        adaptive_avg_pool(x, size)
