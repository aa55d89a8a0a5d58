"""Padding, cropping and resizing against NumPy and Pillow."""

import jax
import numpy as np
import pytest
from PIL import Image

from cnnjax.data.augment import center_crop, pad, random_crop, resize

IMAGES = np.random.default_rng(2).integers(0, 256, (160, 7, 9, 3)).astype(np.uint8)
KEY = jax.random.key(0)


def test_padding_is_that_of_numpy():
    expected = np.pad(IMAGES, ((0, 0), (1, 1), (2, 2), (0, 0)), constant_values=9)
    np.testing.assert_array_equal(pad((1, 2), 9)(KEY, IMAGES), expected)


def test_the_lectures_picture_is_padded_by_one_and_by_five_pixels():
    # Lecture 5: (297, 169) -> (299, 179), width and height.
    assert jax.eval_shape(pad((5, 1)), KEY, np.zeros((1, 169, 297, 3), np.uint8)).shape == (
        1, 179, 299, 3,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "first"), [((3, 3), (2, 3)), ((4, 4), (1, 2)), ((7, 9), (0, 0))])
def test_the_center_is_in_the_middle_and_odd_rests_are_cut_behind(size, first):
    cropped = center_crop(size)(KEY, IMAGES)
    box = (first[1], first[0], first[1] + size[1], first[0] + size[0])
    expected = [np.asarray(Image.fromarray(image).crop(box)) for image in IMAGES]
    np.testing.assert_array_equal(cropped, expected)


def test_a_random_crop_is_a_window_of_the_padded_image_at_any_place():
    padded = np.pad(IMAGES, ((0, 0), (1, 1), (2, 2), (0, 0)), constant_values=5)
    cropped = np.asarray(random_crop((6, 9), (1, 2), 5)(KEY, IMAGES))
    found = set()
    for image, window in zip(padded, cropped, strict=True):
        views = np.lib.stride_tricks.sliding_window_view(image, (6, 9, 3))[:, :, 0]
        (place, *more) = np.argwhere((views == window).all(axis=(2, 3, 4)))
        assert not more
        found.add(tuple(place.tolist()))
    assert found == {(row, column) for row in range(4) for column in range(5)}  # 160 draws of 20


def test_the_places_of_a_crop_are_alike_likely():
    draw = jax.jit(jax.vmap(lambda key: random_crop(224).draw(key, (226, 227, 3))))
    rows, columns = np.asarray(draw(jax.random.split(KEY, 3000))).T
    for places, count in ((rows, 3), (columns, 4)):
        # Five standard deviations of a binomial count.
        deviation = np.sqrt(3000 / count * (1 - 1 / count))
        assert np.abs(np.bincount(places, minlength=count) - 3000 / count).max() < 5 * deviation
        assert len(np.bincount(places)) == count


@pytest.mark.parametrize("size", [(3, 4), (14, 20)])
def test_resizing_is_that_of_pillow(size):
    resized = np.asarray(resize(size)(KEY, IMAGES[:4]), int)
    for image, ours in zip(IMAGES, resized, strict=False):
        pillow = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(pillow, int) - ours).max() <= 1  # Pillow rounds twice


def test_the_lectures_picture_is_scaled_to_a_square():
    images = np.zeros((1, 169, 297, 3), np.uint8)
    assert jax.eval_shape(resize(140), KEY, images).shape == (1, 140, 140, 3)
