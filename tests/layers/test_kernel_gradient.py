"""The two forms in which the CPU computes the gradient of a convolution's kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.layers import convolution_cpu
from cnnjax.layers import kernel_gradient_cpu as on_cpu

GEOMETRIES = {  # window, strides, pads, dilation
    "3 x 3": ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "strides that differ": ((3, 5), (2, 3), ((1, 2), (2, 2)), (1, 1)),
    "a stride beyond the window": ((2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    "dilated": ((3, 2), (1, 1), ((2, 2), (1, 2)), (2, 3)),
    "dilated by the stride": ((3, 3), (2, 2), ((2, 1), (0, 3)), (2, 2)),
    "rows of windows in the padding": ((3, 3), (2, 1), ((6, 5), (1, 1)), (1, 1)),
    "rows that no window reaches": ((3, 3), (4, 1), ((9, 0), (0, 1)), (1, 1)),
    "one row": ((1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1)),
}


def textbook(x, dy, window, strides, pads, dilation):
    """dw[u, v, c, o] = sum_{n,i,j} x[n, i s + u d, j s + v d, c] dy[n, i, j, o], in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)))
    height, width = dy.shape[1:3]
    dw = np.zeros((*window, x.shape[3], dy.shape[3]))
    for u, v in np.ndindex(*window):
        rows = u * dilation[0] + strides[0] * np.arange(height)
        columns = v * dilation[1] + strides[1] * np.arange(width)
        dw[u, v] = np.einsum("nijc,nijo->co", x[:, rows][:, :, columns], dy)
    return dw


def example(window, strides, pads, dilation, images=7, channels=6, filters=5):
    """Images and a gradient of 9 x 8 pixels; a prime number of images has no divisor."""
    size = [
        (count - 1) * stride + (k - 1) * d + 1 - sum(pad) + (stride > 1)
        for count, stride, k, d, pad in zip((9, 8), strides, window, dilation, pads, strict=True)
    ]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, *size, channels), np.float32)
    return x, rng.standard_normal((images, 9, 8, filters), np.float32)


@pytest.mark.parametrize("form", [on_cpu._by_products, on_cpu._by_convolution])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_both_forms_are_the_textbooks_sum(name, form):
    x, dy = example(*GEOMETRIES[name])
    dw = form(jnp.asarray(x), jnp.asarray(dy), *GEOMETRIES[name])
    np.testing.assert_allclose(dw, textbook(x, dy, *GEOMETRIES[name]), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "filters", "at_a_time"),
    [(96, 5, 96), (11, 5, 11), (48, 60, 24), (48, 600, 16), (34, 600, 17)],
)
def test_a_product_keeps_the_cores_at_work_and_its_numbers_in_the_cache(
    monkeypatch, images, filters, at_a_time
):
    geometry = GEOMETRIES["3 x 3"]
    x, dy = example(*geometry, filters=filters, images=images)  # 72 pixels an image
    taken = []
    monkeypatch.setattr(
        on_cpu, "over_batches", lambda *a: taken.append(a[2]) or convolution_cpu.over_batches(*a)
    )
    dw = on_cpu._by_products(jnp.asarray(x), jnp.asarray(dy), *geometry)
    assert taken == [at_a_time]
    np.testing.assert_allclose(dw, textbook(x, dy, *geometry), rtol=1e-5, atol=1e-4)


def test_sums_of_bfloat16_are_made_in_float32():
    geometry = GEOMETRIES["3 x 3"]
    x, dy = (jnp.asarray(a, jnp.bfloat16) for a in example(*geometry, images=96))
    dw = on_cpu.kernel_gradient(x, dy, *geometry)
    assert dw.dtype == jnp.bfloat16
    exact = textbook(*(np.asarray(a, np.float32) for a in (x, dy)), *geometry)
    np.testing.assert_allclose(np.asarray(dw, np.float32), exact, rtol=2**-8, atol=0.05)


def dots(geometry, channels, filters, rows):
    x = jax.ShapeDtypeStruct((4, 2 * rows, 24, channels), jnp.float32)
    dy = jax.ShapeDtypeStruct((4, rows, 8, filters), jnp.float32)
    program = jax.make_jaxpr(lambda x, dy: on_cpu.kernel_gradient(x, dy, *GEOMETRIES[geometry]))
    return str(program(x, dy)).count("dot_general")


@pytest.mark.parametrize(("channels", "filters", "rows"), [(6, 32, 9), (3, 5, 9), (6, 5, 4)])
def test_enough_outputs_few_channels_and_small_maps_are_left_to_the_convolution(
    channels, filters, rows
):
    assert not dots("3 x 3", channels, filters, rows)


@pytest.mark.parametrize(("geometry", "filters"), [("3 x 3", 16), ("dilated", 32)])
def test_few_outputs_and_dilated_windows_are_matrix_products(geometry, filters):
    assert dots(geometry, 6, filters, 9)


def test_strided_windows_are_a_matrix_product_for_each_row_within_a_stride():
    assert dots("strides that differ", 6, 32, 4) == 2
