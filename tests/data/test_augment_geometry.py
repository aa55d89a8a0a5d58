"""Flip, shift, rotate, shear, zoom and the warps against SciPy, scikit-image and Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import transform

from cnnjax.data.augment import (
    compose,
    elastic,
    flip,
    lens_distortion,
    rotate,
    shear,
    shift,
    zoom,
)
from cnnjax.data.augment.sampling import sample

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(0, 256, (13, 17, 3)).astype(np.float32)  # [H, W, C]
FILLS = ("nearest", "constant", "reflect", "wrap")
SIN, COS = np.sin(np.deg2rad(25)), np.cos(np.deg2rad(25))
# (augmentation, drawn, the matrix in (x, y), the offset in (x, y)): the place that is looked up.
MAPS = {
    "flip": (flip, [True, False], [[-1, 0], [0, 1]], [0, 0]),
    "flip vertically": (flip, [False, True], [[1, 0], [0, -1]], [0, 0]),
    "shift": (
        lambda fill, cval: shift(1, fill=fill, cval=cval),
        [2.3, -3.6],
        np.eye(2),
        [-2.3, 3.6],
    ),
    "rotate": (
        lambda fill, cval: rotate(180, fill=fill, cval=cval),
        25.0,
        [[COS, -SIN], [SIN, COS]],
        [0, 0],
    ),
    "shear": (
        lambda fill, cval: shear(89, fill=fill, cval=cval),
        25.0,
        [[1, -SIN], [0, COS]],
        [0, 0],
    ),
    "zoom": (
        lambda fill, cval: zoom((0.1, 4), fill=fill, cval=cval),
        [0.7, 1.6],
        [[0.7, 0], [0, 1.6]],
        [0, 0],
    ),
}


def scipy_affine(image, matrix, offset, fill, cval):
    """The map p -> matrix p + offset about the centre, in (x, y), as SciPy does it."""
    matrix, offset = np.asarray(matrix, float)[::-1, ::-1], np.asarray(offset, float)[::-1]
    center = (np.array(image.shape[:2]) - 1) / 2
    offset = center + offset - matrix @ center
    planes = [
        ndimage.affine_transform(image[..., c], matrix, offset, order=1, mode=fill, cval=cval)
        for c in range(image.shape[2])
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_the_plane_is_that_of_scipy_for_every_fill(name, fill):
    make, drawn, matrix, offset = MAPS[name]
    augment = make() if make is flip else make(fill, 9.0)
    got = jax.jit(augment.apply)(IMAGE, jnp.asarray(drawn))
    # Places in single precision, against SciPy's double: 255 grey levels times some 1e-6 pixels.
    np.testing.assert_allclose(got, scipy_affine(IMAGE, matrix, offset, fill, 9.0), atol=2e-3)


@pytest.mark.parametrize("fill", FILLS)
def test_any_place_near_or_far_has_the_value_that_scipy_gives_it(fill):
    rows, columns = RNG.uniform(-40, 50, (2, 500)).astype(np.float32)
    got = jax.jit(sample, static_argnums=(3, 4))(IMAGE, rows, columns, fill, 9.0)
    for c in range(3):
        expected = ndimage.map_coordinates(
            IMAGE[..., c], [rows, columns], order=1, mode=fill, cval=9.0
        )
        np.testing.assert_allclose(got[:, c], expected, atol=5e-3)


@pytest.mark.parametrize("fill", FILLS)
def test_an_image_of_one_pixel_has_that_pixel_everywhere(fill):
    image = jnp.full((1, 1, 1), 7.0)
    places = jnp.array([0.0, 2.5]), jnp.array([0.0, -1.2])
    got = jax.jit(sample, static_argnums=(3, 4))(image, *places, fill, 7.0)
    assert got.ravel().tolist() == [7, 7]


def test_what_is_rotated_by_a_positive_angle_turns_counter_clockwise_as_in_pillow():
    square = RNG.integers(0, 256, (16, 16)).astype(np.uint8)
    pixels = jnp.asarray(square, jnp.float32)[..., None]
    turn = jax.jit(rotate(180, fill="constant").apply)
    right = turn(pixels, jnp.float32(90.0))
    np.testing.assert_allclose(right[..., 0], np.rot90(square), atol=1e-3)
    half = turn(pixels, jnp.float32(180.0))
    np.testing.assert_allclose(half[..., 0], square[::-1, ::-1], atol=1e-3)
    turned = Image.fromarray(square).rotate(25, Image.Resampling.BILINEAR)
    ours = turn(pixels, jnp.float32(25.0))[..., 0]
    # Inside only: Pillow blends the border with black.
    assert np.abs(np.asarray(turned, float) - ours)[3:-3, 3:-3].max() <= 1


def test_a_positive_shift_is_to_the_right_and_down():
    moved = jax.jit(shift(1, fill="constant").apply)(IMAGE, jnp.array([2.0, 3.0]))
    np.testing.assert_array_equal(moved[3:, 2:], IMAGE[:-3, :-2])
    assert not np.any(moved[:3])
    assert not np.any(moved[:, :2])


def test_a_zoom_factor_is_the_part_of_the_picture_that_is_seen():
    image = jnp.zeros((21, 21, 1)).at[8:13, 8:13].set(255.0)  # a square of side 5
    twice = jax.jit(zoom((0.5, 0.5)).apply)(image, jnp.array([0.5, 0.5]))
    assert float(twice.sum()) == pytest.approx(4 * float(image.sum()), rel=1e-5)


def test_the_fused_map_is_one_after_the_other_within_the_picture():
    y, x = np.mgrid[:40, :40]
    smooth = (128 + 60 * np.sin(x / 6) + 60 * np.cos(y / 7)).astype(np.float32)[None, ..., None]
    key = jax.random.key(0)
    stages = [rotate(15), flip(), zoom(0.2, independent=True)]
    fused = compose(*stages)(key, smooth)[0]
    apart, own = jnp.asarray(smooth[0]), jax.random.fold_in(key, 0)
    for i, stage in enumerate(stages):
        apart = jax.jit(stage.augment_one)(jax.random.fold_in(own, i), apart)
    assert np.abs(fused - apart)[10:-10, 10:-10].max() < 2.5  # two interpolations against one
    assert np.abs(fused - smooth[0]).max() > 20


def test_neighbours_that_fill_alike_are_one_map_and_others_are_not():
    from cnnjax.data.augment.composition import _runs

    recipe = (flip(), rotate(15), shift(0.1), flip(), zoom(0.1))
    assert _runs(recipe) == [5]
    assert _runs((flip(), flip(0, 1))) == [1, 1]
    assert _runs((rotate(15), elastic(1, 1), rotate(15), flip())) == [1, 1, 2]
    assert _runs((rotate(15), shift(0.1, fill="wrap"), flip())) == [1, 2]
    assert _runs((rotate(15, fill="constant"), shift(0.1, fill="constant", cval=1))) == [1, 1]


def test_the_lens_is_that_of_scikit_image():
    def looked_up(places):  # (column, row)
        center = np.array([8.0, 6.0])
        apart = places - center
        return center + apart * (1 + 0.4 * (apart**2).sum(1, keepdims=True) / (center**2).sum())

    expected = transform.warp(IMAGE, looked_up, order=1, mode="edge", preserve_range=True)
    got = jax.jit(lens_distortion(1).apply)(IMAGE, jnp.float32(0.4))
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_the_elastic_field_is_smoothed_as_by_scipy():
    augment = elastic(34, 4, fill="reflect")
    rough = augment.draw(jax.random.key(0), IMAGE.shape)
    assert rough.shape == (2, 13, 17)
    assert -1 <= float(rough.min()) < -0.9 < 0.9 < float(rough.max()) < 1
    assert not np.any(rough == augment.draw(jax.random.key(1), IMAGE.shape))
    field = [34 * ndimage.gaussian_filter(plane, 4, mode="constant") for plane in np.asarray(rough)]
    places = np.mgrid[:13, :17] + np.stack(field)
    got = jax.jit(augment.apply)(IMAGE, rough)
    for c in range(3):
        expected = ndimage.map_coordinates(IMAGE[..., c], places, order=1, mode="reflect")
        np.testing.assert_allclose(got[..., c], expected, atol=1e-2)


def test_elastic_displacements_have_the_size_that_the_docstring_says():
    from cnnjax.data.augment.warps import gaussian_matrix

    rough = np.random.default_rng(0).uniform(-1, 1, (200, 200))
    smooth = gaussian_matrix(200, 4.0) @ rough @ gaussian_matrix(200, 4.0).T
    assert smooth[16:-16, 16:-16].std() == pytest.approx(0.163 / 4, rel=0.08)


def draws(augment, shape=(100, 200, 3), count=4000):
    return np.asarray(draw_all(augment, shape)(jax.random.split(KEY, count)))


def draw_all(augment, shape):
    return jax.jit(jax.vmap(lambda key: augment.draw(key, shape)))


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("augment", "low", "high"),
    [
        (shift(0.1), [-20, -10], [20, 10]),  # lecture 2: 0.1 of 200 pixels are 20, either way
        (shift(0, 0.25), [0, -25], [0, 25]),
        (rotate(30), -30, 30),
        (shear(20), -20, 20),
        (zoom(0.2), [0.8, 0.8], [1.2, 1.2]),
        (zoom((0.5, 3), independent=True), [0.5, 0.5], [3, 3]),
        (lens_distortion(0.3), -0.3, 0.3),
    ],
    ids=str,
)
def test_draws_are_uniform_over_the_whole_range(augment, low, high):
    found = draws(augment)
    low, high = np.array(low, float), np.array(high, float)
    span = np.where(high > low, high - low, 1)
    share = (found - low) / span
    moving = np.broadcast_to(high > low, share.shape)
    assert share.min() >= -1e-6
    assert share.max() <= 1 + 1e-6
    assert share[moving].min() < 0.01
    assert share[moving].max() > 0.99
    # Five standard errors of 4000 draws.
    assert abs(share[moving].mean() - 0.5) < 5 * 0.2887 / np.sqrt(4000)
    assert abs(share[moving].std() - 0.2887) < 0.02
    assert not np.any(found[~np.broadcast_to(moving, found.shape)])


def test_the_axes_of_a_shift_are_independent_and_those_of_a_zoom_if_asked():
    assert abs(np.corrcoef(draws(shift(0.1)).T)[0, 1]) < 0.1
    together, apart = draws(zoom(0.2)), draws(zoom(0.2, independent=True))
    np.testing.assert_array_equal(together[:, 0], together[:, 1])
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.1


def test_flips_come_with_their_probabilities_and_independently():
    both = draws(flip(0.5, 0.25))
    assert np.abs(both.mean(axis=0) - [0.5, 0.25]).max() < 0.04
    assert abs((both[:, 0] & both[:, 1]).mean() - 0.125) < 0.03
    assert draws(flip(1, 0)).tolist() == [[True, False]] * 4000
