"""Lecture 3 says that pooling makes a network "invariant to location, scale and rotation". It holds
for shifts smaller than the window, roughly, and for nothing else: these are the numbers."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from cnnjax.layers import max_pool


@pytest.fixture(scope="module")
def pictures():
    """Sparse blobs, as a rectified feature map has; 40 x 40, the tests look at the middle."""
    noise = np.random.default_rng(0).standard_normal((64, 40, 40))
    blobs = gaussian_filter(noise, sigma=(0, 0.7, 0.7))
    return np.maximum(blobs / blobs.std() - 1, 0)


def middle(pictures):
    return jnp.asarray(pictures[:, 12:28, 12:28, None], jnp.float32)


def shifted(pictures, by):
    return np.roll(pictures, by, axis=2)


def change(before, after):
    """|after - before| as a share of |two unrelated pictures' difference|: 0 is invariance, 1 is
    no relation at all."""
    unrelated = jnp.linalg.norm(jnp.roll(before, 1, axis=0) - before)
    return float(jnp.linalg.norm(after - before) / unrelated)


def change_after_pooling(before, after, window=4):
    return change(*(max_pool(middle(x), window, stride=window) for x in (before, after)))


def test_pooling_makes_a_shift_by_one_pixel_matter_less(pictures):
    raw = change(middle(pictures), middle(shifted(pictures, 1)))
    assert change_after_pooling(pictures, shifted(pictures, 1)) < 0.8 * raw


def test_the_larger_the_window_the_less_a_small_shift_matters(pictures):
    changes = [change_after_pooling(pictures, shifted(pictures, 1), k) for k in (1, 2, 4, 8)]
    assert changes == sorted(changes, reverse=True)


def test_a_shift_beyond_the_window_is_a_different_picture(pictures):
    assert change_after_pooling(pictures, shifted(pictures, 8)) > 0.8


def test_a_quarter_turn_is_a_different_picture(pictures):
    assert change_after_pooling(pictures, np.rot90(pictures, axes=(1, 2))) > 0.8


def test_twice_the_size_is_a_different_picture(pictures):
    twice = zoom(pictures[:, 10:30, 10:30], (1, 2, 2), order=1)
    assert change_after_pooling(pictures, twice) > 0.7
