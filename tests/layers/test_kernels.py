"""The traditional kernels against scipy and scikit-image, and what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage as ndi

from cnnjax import CnnjaxError
from cnnjax.layers import kernels

CONSTANTS = {
    "sobel_x": (kernels.SOBEL_X, 0),
    "sobel_y": (kernels.SOBEL_Y, 0),
    "laplacian": (kernels.LAPLACIAN, 0),
    "edge": (kernels.EDGE, 0),
    "sharpen": (kernels.SHARPEN, 1),
    "emboss": (kernels.EMBOSS, 1),
    "loopy pattern": (kernels.LOOPY_PATTERN, 7 / 9),
    "box": (kernels.box_kernel(4), 1),
    "gaussian": (kernels.gaussian_kernel(5, 0.7), 1),
}


def random(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape), jnp.float32)


X = random(0, (2, 8, 7, 3))


@pytest.mark.parametrize(("kernel", "total"), CONSTANTS.values(), ids=CONSTANTS.keys())
def test_a_flat_image_stays_flat_at_the_sum_of_the_weights(kernel, total):
    y = kernels.filter2d(jnp.full((1, 6, 6, 2), 3.0), kernel, padding="same", pad_mode="edge")
    assert y.shape == (1, 6, 6, 2)
    np.testing.assert_allclose(y, 3 * total, atol=1e-5)


@pytest.mark.parametrize("name", ["sobel_x", "emboss", "loopy pattern", "gaussian"])
@pytest.mark.parametrize(("pad_mode", "mode"), [("edge", "nearest"), ("zero", "constant")])
def test_a_filter_over_every_channel_is_scipys_correlation(name, pad_mode, mode):
    kernel = CONSTANTS[name][0]
    y = kernels.filter2d(X, kernel, padding=len(kernel) // 2, pad_mode=pad_mode)
    wanted = [
        [ndi.correlate(i[..., c], kernel, mode=mode) for c in range(3)] for i in np.asarray(X)
    ]
    np.testing.assert_allclose(y, np.moveaxis(wanted, 1, -1), rtol=1e-4, atol=1e-5)


def test_the_sobel_derivatives_and_the_laplacian_are_those_of_scipy():
    image = np.asarray(X[0, :, :, 0])
    for kernel, wanted in (
        (kernels.SOBEL_X, ndi.sobel(image, axis=1, mode="nearest")),
        (kernels.SOBEL_Y, ndi.sobel(image, axis=0, mode="nearest")),
        (kernels.LAPLACIAN, ndi.laplace(image, mode="nearest")),
    ):
        y = kernels.filter2d(X[:1, :, :, :1], kernel, padding=1, pad_mode="edge")
        np.testing.assert_allclose(y[0, :, :, 0], wanted, rtol=1e-4, atol=1e-5)


def test_the_magnitude_is_that_of_scikit_image_up_to_its_scale():
    from skimage.filters import sobel

    y = kernels.gradient_magnitude(X, padding=1, pad_mode="edge")
    # scikit-image divides each kernel by 4 and the root by sqrt(2)
    wanted = np.stack([[sobel(i[..., c]) for c in range(3)] for i in np.asarray(X)])
    inner = np.s_[:, 1:-1, 1:-1]  # its borders are reflected
    np.testing.assert_allclose(
        y[inner], 4 * np.sqrt(2) * np.moveaxis(wanted, 1, -1)[inner], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("degrees", [0, 45, 90, 135, -45, -90, -150])
def test_the_direction_is_that_in_which_a_ramp_rises_with_y_downwards(degrees):
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:6, :6]
    ramp = jnp.asarray(np.cos(angle) * x + np.sin(angle) * y, jnp.float32)[None, :, :, None]
    np.testing.assert_allclose(kernels.gradient_direction(ramp), angle, atol=1e-5)
    np.testing.assert_allclose(kernels.gradient_magnitude(ramp), 8, rtol=1e-5)


def test_brighter_below_is_half_pi_and_brighter_left_is_pi():
    below = jnp.arange(3.0)[None, :, None, None] * jnp.ones((1, 1, 3, 1))
    left = -jnp.arange(3.0)[None, None, :, None] * jnp.ones((1, 3, 1, 1))
    np.testing.assert_allclose(kernels.gradient_direction(below).item(), np.pi / 2, rtol=1e-6)
    np.testing.assert_allclose(abs(kernels.gradient_direction(left).item()), np.pi, rtol=1e-6)


@pytest.mark.parametrize("gradient", [kernels.gradient_magnitude, kernels.gradient_direction])
def test_where_nothing_changes_a_gradient_is_0_and_so_is_its_derivative(gradient):
    y, back = jax.vjp(gradient, jnp.ones((1, 4, 4, 1)))
    np.testing.assert_array_equal(y, jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(back(jnp.ones_like(y))[0], jnp.zeros((1, 4, 4, 1)))


@pytest.mark.parametrize("gradient", [kernels.gradient_magnitude, kernels.gradient_direction])
def test_gradients_are_differentiable_elsewhere(gradient):
    x, v = np.asarray(X, np.float64), np.asarray(random(1, X.shape), np.float64)

    def total(x):
        gx, gy = (
            np.stack([ndi.correlate(i, k[:, :, None], mode="constant") for i in x])[:, 1:-1, 1:-1]
            for k in (kernels.SOBEL_X.astype(float), kernels.SOBEL_Y.astype(float))
        )
        return (
            np.hypot(gx, gy).sum() if "magnitude" in gradient.__name__ else np.arctan2(gy, gx).sum()
        )

    along = (total(x + 1e-6 * v) - total(x - 1e-6 * v)) / 2e-6
    dx = jax.grad(lambda x: gradient(x).sum())(X)
    np.testing.assert_allclose(np.vdot(dx, v), along, rtol=1e-3)


def test_sharpening_subtracts_the_laplacian_and_the_outline_leaves_out_the_image():
    identity = np.zeros((3, 3))
    identity[1, 1] = 1
    np.testing.assert_array_equal(kernels.SHARPEN, identity - kernels.LAPLACIAN)
    np.testing.assert_allclose(kernels.EDGE, 9 * (identity - kernels.box_kernel(3)), atol=1e-6)


def test_emboss_lights_from_the_top_left():
    np.testing.assert_array_equal(kernels.EMBOSS, kernels.EMBOSS.T)
    ramp = jnp.asarray(np.add.outer(np.arange(4.0), np.arange(4.0)), jnp.float32)[None, :, :, None]
    assert (kernels.filter2d(ramp, kernels.EMBOSS) > ramp[:, 1:-1, 1:-1]).all()


@pytest.mark.parametrize(("size", "sigma"), [(7, 1.0), (9, 1.3)])
def test_the_gaussian_blur_is_scipys(size, sigma):
    image = np.asarray(X[0, :, :, 0], np.float64)
    y = kernels.filter2d(
        X[:1, :, :, :1], kernels.gaussian_kernel(size, sigma), padding=size // 2, pad_mode="edge"
    )
    wanted = ndi.gaussian_filter(image, sigma, mode="nearest", radius=size // 2)
    np.testing.assert_allclose(y[0, :, :, 0], wanted, rtol=1e-5)


def test_a_box_blur_is_scipys_uniform_filter():
    image = np.asarray(X[0, :, :, 0], np.float64)
    y = kernels.filter2d(X[:1, :, :, :1], kernels.box_kernel(3), padding=1, pad_mode="edge")
    wanted = ndi.uniform_filter(image, 3, mode="nearest")
    np.testing.assert_allclose(y[0, :, :, 0], wanted, rtol=1e-5)


def test_min_max_normalisation_is_per_image_over_all_channels():
    y = kernels.min_max_normalise(X, low=-1.0, high=3.0)
    for image, scaled in zip(np.asarray(X), np.asarray(y), strict=True):
        wanted = np.interp(image, [image.min(), image.max()], [-1, 3])
        np.testing.assert_allclose(scaled, wanted, atol=1e-5)


def test_an_image_of_one_value_becomes_the_lowest_and_has_a_finite_derivative():
    flat = jnp.full((2, 3, 3, 1), 7.0).at[1, 0, 0, 0].set(9.0)
    y = kernels.min_max_normalise(flat, low=5.0, high=6.0)
    np.testing.assert_array_equal(y[0], jnp.full((3, 3, 1), 5.0))
    np.testing.assert_array_equal(y[1, 0, 0], [6.0])
    dx = jax.grad(lambda x: (kernels.min_max_normalise(x) ** 2).sum())(flat)
    assert jnp.isfinite(dx).all()


def test_the_constants_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        kernels.SOBEL_X[0, 0] = 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.filter2d(X[0], kernels.EDGE), "filter2d takes floating"),
        (lambda: kernels.filter2d(X, np.ones((3, 3, 3))), r"shape \(3, 3, 3\).*one \[kh, kw\]"),
        (lambda: kernels.filter2d(X, kernels.EDGE, pad_mode="wrap"), "pad_mode is 'wrap'"),
        (lambda: kernels.gradient_magnitude(X.astype(jnp.uint8)), "uint8"),
        (lambda: kernels.box_kernel(0), "size is 0; give an integer of at least 1"),
        (lambda: kernels.gaussian_kernel(2.5, 1.0), "size is 2.5"),
        (lambda: kernels.gaussian_kernel(3, 0.0), "sigma is 0.0; give a positive"),
        (lambda: kernels.gaussian_kernel(3, float("nan")), "sigma is nan"),
        (lambda: kernels.min_max_normalise(X, 1.0, 1.0), "low is 1.0 and high 1.0"),
        (lambda: kernels.min_max_normalise(X[0]), "min_max_normalise takes floating"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_expected(call, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
