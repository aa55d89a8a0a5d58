"""Colours, noise and cutout against Pillow, scikit-image, colorsys and Keras' formula."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import color
from skimage.util import random_noise

from cnnjax.data.augment import (
    brightness,
    channel_shift,
    color_cast,
    contrast,
    cutout,
    gaussian_noise,
    hue,
    saturation,
)

IMAGE = np.random.default_rng(3).integers(0, 256, (16, 12, 3)).astype(np.uint8)
IMAGE[0] = IMAGE[0, :, :1]  # greys, black and white among the colours
IMAGE[1, :2] = [[0], [255]]
PIXELS = jnp.asarray(IMAGE, jnp.float32)
KEY = jax.random.key(0)
TURN = jax.jit(hue(0.5).apply)


def draws(augment, shape=(9, 13, 3), count=3000):
    draw = jax.jit(jax.vmap(lambda key: augment.draw(key, shape)))
    return np.asarray(draw(jax.random.split(KEY, count)))


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("augment", "pillow"),
    [
        (brightness(0), ImageEnhance.Brightness),
        (contrast(0), ImageEnhance.Contrast),
        (saturation(0), ImageEnhance.Color),
    ],
    ids=["brightness", "contrast", "saturation"],
)
def test_brightness_contrast_and_saturation_are_those_of_pillow(augment, pillow, factor):
    expected = np.asarray(pillow(Image.fromarray(IMAGE)).enhance(factor), float)
    # Pillow rounds the grey that it blends with (times |1 - f|), and cuts what is after the point.
    difference = np.asarray(augment.apply(PIXELS, factor)) - expected
    assert difference.min() > -0.6
    assert difference.max() < 1.6


def test_contrast_of_a_grey_image_is_about_its_own_mean():
    grey = PIXELS[..., :1]
    expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(IMAGE[..., 0])).enhance(0.5), float)
    assert np.abs(contrast(0).apply(grey, 0.5)[..., 0] - expected).max() < 1.6


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.0, 1 / 3, 0.45])
def test_hue_is_turned_as_by_scikit_image(turns):
    hsv = color.rgb2hsv(IMAGE)
    hsv[..., 0] = (hsv[..., 0] + turns) % 1
    got = TURN(PIXELS, jnp.float32(turns))
    np.testing.assert_allclose(got, 255 * color.hsv2rgb(hsv), atol=2e-3)


def test_a_third_of_a_turn_makes_red_green_and_half_a_turn_makes_it_cyan():
    red = jnp.array([[[200.0, 0.0, 0.0]]])
    np.testing.assert_allclose(TURN(red, 1 / 3)[0, 0], [0, 200, 0], atol=1e-3)
    np.testing.assert_allclose(TURN(red, 0.5)[0, 0], [0, 200, 200], atol=1e-3)
    h, s, v = colorsys.rgb_to_hsv(0.2, 0.5, 0.9)
    got = TURN(255 * jnp.array([[[0.2, 0.5, 0.9]]]), -0.2)[0, 0] / 255
    np.testing.assert_allclose(got, colorsys.hsv_to_rgb((h - 0.2) % 1, s, v), atol=1e-5)


def test_a_channel_shift_moves_all_channels_within_the_range_of_the_image():
    dim = PIXELS * 0.5 + 20
    for amount in (-60.0, 0.0, 35.0):
        expected = np.clip(np.asarray(dim) + amount, 20, 147.5)
        np.testing.assert_allclose(channel_shift(100).apply(dim, amount), expected, atol=1e-4)


def test_a_color_cast_adds_to_each_channel_and_clips():
    got = color_cast(50).apply(PIXELS, jnp.array([50.0, 0.0, -50.0]))
    expected = np.clip(IMAGE + np.array([50, 0, -50]), 0, 255)
    np.testing.assert_array_equal(got, expected)


def test_a_color_cast_draws_whole_numbers_and_a_switch_for_each_channel():
    casts = draws(color_cast(20))
    assert set(np.unique(casts)) == set(range(-20, 21))
    # Off, or a cast of 0 by chance.
    assert abs((casts == 0).mean() - (0.5 + 0.5 / 41)) < 0.03
    assert abs(casts[casts != 0].mean()) < 1
    assert abs(casts[casts != 0].std() - np.sqrt(np.mean(np.arange(1, 21) ** 2))) < 0.5
    assert np.abs(np.corrcoef(casts.T) - np.eye(3)).max() < 0.1
    assert not draws(color_cast(20, p=0)).any()


@pytest.mark.parametrize(
    ("augment", "low", "high"),
    [
        (brightness(0.3), 0.7, 1.3),
        (contrast((0.5, 2)), 0.5, 2),
        (saturation(1), 0, 2),
        (hue(0.1), -0.1, 0.1),
        (channel_shift(30), -30, 30),
    ],
    ids=str,
)
def test_draws_are_uniform_over_the_whole_range(augment, low, high):
    share = (draws(augment) - low) / (high - low)
    assert -1e-6 <= share.min() < 0.01
    assert 0.99 < share.max() <= 1 + 1e-6
    assert abs(share.mean() - 0.5) < 5 * 0.2887 / np.sqrt(3000)
    assert abs(share.std() - 0.2887) < 0.02


def test_noise_is_as_strong_as_that_of_scikit_image_and_clipped_alike():
    for level in (128, 5):
        flat = np.full((1, 100, 100, 1), level, np.float32)
        ours = np.asarray(gaussian_noise(20)(KEY, flat))
        theirs = 255 * random_noise(flat / 255, var=(20 / 255) ** 2, rng=0)
        assert abs(ours.mean() - theirs.mean()) < 5 * 2**0.5 * 20 / 100
        assert abs(ours.std() - theirs.std()) < 1
        assert ours.min() >= 0
    assert abs(np.corrcoef(ours[0, :-1].ravel(), ours[0, 1:].ravel())[0, 1]) < 0.05


def test_noise_differs_between_channels():
    noise = draws(gaussian_noise(1), (3, 3, 2), 1000)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("size", "middle", "rows", "columns"),
    [
        (3, (5, 5), (4, 7), (4, 7)),
        (4, (5, 6), (3, 7), (4, 8)),
        (5, (0, 11), (0, 3), (9, 12)),  # reaches over the border
        (40, (8, 6), (0, 16), (0, 12)),
    ],
)
def test_cutout_covers_a_square_about_the_middle(size, middle, rows, columns):
    expected = IMAGE.astype(float)
    expected[slice(*rows), slice(*columns)] = 7
    np.testing.assert_array_equal(cutout(size, 7).apply(PIXELS, jnp.array(middle)), expected)


def test_the_middle_of_a_cutout_is_any_pixel():
    middles = draws(cutout(3), (4, 5, 1))
    counts = np.histogram2d(*middles.T, bins=(range(5), range(6)))[0]
    assert np.abs(counts - 150).max() < 5 * np.sqrt(150)
