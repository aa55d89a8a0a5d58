"""Centring, std normalisation and whitening against NumPy and Keras; the options of Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.data.augment import (
    Standardization,
    compose,
    fit_standardization,
    flip,
    image_data_generator,
    rotate,
    shear,
    shift,
    zoom,
)
from cnnjax.data.augment.color import Brightness, ChannelShift
from cnnjax.errors import CnnjaxError

RNG = np.random.default_rng(4)
# Correlated channels and pixels, as in pictures; more images than the 48 dimensions of one.
MIX = RNG.normal(0, 1, (48, 48)) / 7 + np.eye(48)
TRAIN = np.clip(128 + 40 * RNG.normal(0, 1, (400, 48)) @ MIX, 0, 255).astype(np.uint8)
TRAIN = TRAIN.reshape(400, 4, 4, 3)
TEST = RNG.integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def keras_generator():
    """Keras' ImageDataGenerator, the code itself."""
    return pytest.importorskip("keras.src.legacy.preprocessing.image").ImageDataGenerator


def test_featurewise_statistics_are_those_of_each_channel_of_the_training_set():
    pixels = TRAIN.astype(np.float64)
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    center = fit_standardization(TRAIN, featurewise_center=True)
    both = fit_standardization(TRAIN, featurewise_std_normalization=True, epsilon=0.5)
    np.testing.assert_allclose(center(TEST), TEST - mean, atol=1e-4)
    np.testing.assert_allclose(both(TEST), (TEST - mean) / (std + 0.5), atol=1e-5)
    done = np.asarray(fit_standardization(TRAIN, featurewise_std_normalization=True)(TRAIN))
    np.testing.assert_allclose(done.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(done.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_samplewise_statistics_are_those_of_each_image():
    pixels = TEST.astype(np.float64)
    axes = {"axis": (1, 2, 3), "keepdims": True}
    expected = (pixels - pixels.mean(**axes)) / (pixels.std(**axes) + 1e-6)
    one = fit_standardization(TRAIN, samplewise_std_normalization=True)
    np.testing.assert_allclose(one(TEST), expected, atol=1e-5)
    np.testing.assert_allclose(one(TEST[2:3]), expected[2:3], atol=1e-5)
    center = fit_standardization(TRAIN, samplewise_center=True)
    np.testing.assert_allclose(center(TEST), pixels - pixels.mean(**axes), atol=1e-4)


def test_an_image_of_one_grey_is_standardised_to_zero():
    flat = np.full((1, 4, 4, 3), 77, np.uint8)
    assert not np.any(fit_standardization(TRAIN, samplewise_std_normalization=True)(flat))


def test_whitening_is_that_of_numpys_singular_values():
    fitted = fit_standardization(TRAIN, zca_whitening=True, zca_epsilon=3.0)
    flat = (TRAIN - TRAIN.mean(axis=(0, 1, 2), dtype=np.float64)).reshape(400, 48)
    _, singular, directions = np.linalg.svd(flat, full_matrices=False)
    scales = 1 / np.sqrt(singular**2 / 400 + 3.0)
    matrix = directions.T @ np.diag(scales) @ directions
    np.testing.assert_allclose(fitted.whitening, matrix, atol=1e-6)
    np.testing.assert_allclose(np.asarray(fitted(TRAIN)).reshape(400, 48), flat @ matrix, atol=2e-4)


def test_whitened_pixels_are_uncorrelated_of_variance_one_and_near_to_what_they_were():
    white = np.asarray(fit_standardization(TRAIN, zca_whitening=True)(TRAIN)).reshape(400, 48)
    np.testing.assert_allclose(white.T @ white / 400, np.eye(48), atol=1e-3)
    own = np.corrcoef(white.T, TRAIN.reshape(400, 48).T)[:48, 48:]
    assert np.diag(own).min() > 0.5  # ZCA; principal components would be anywhere
    assert np.array_equal(own.argmax(axis=1), np.arange(48))


def test_what_is_fitted_does_not_depend_on_how_many_images_are_held_at_a_time(monkeypatch):
    whole = fit_standardization(TRAIN, zca_whitening=True, zca_epsilon=1.0)
    monkeypatch.setattr("cnnjax.data.augment.standardize._CHUNK", 150)
    parts = fit_standardization(TRAIN, zca_whitening=True, zca_epsilon=1.0)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(parts.whitening, whole.whitening, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"featurewise_center": True},
        {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 1 / 255},
        {"samplewise_center": True, "samplewise_std_normalization": True},
        {"samplewise_center": True, "rescale": 2.0},
        {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 1e-6},
        {"rescale": 1 / 255, "preprocessing_function": lambda x: 255 - x},
    ],
    ids=lambda options: "+".join(options),
)
def test_the_generator_standardises_as_that_of_keras(keras_generator, options):
    theirs = keras_generator(**options)
    theirs.fit(TRAIN)
    expected = np.stack([theirs.standardize(image) for image in TEST.astype(np.float32)])
    standardize = image_data_generator(TRAIN, **options).standardize
    np.testing.assert_allclose(standardize(TEST), expected, rtol=1e-4, atol=5e-4)
    np.testing.assert_allclose(jax.jit(standardize)(TEST), expected, rtol=1e-4, atol=5e-4)


@pytest.mark.filterwarnings("ignore:Please import `affine_transform`")
@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
def test_the_generators_map_is_that_of_keras_for_the_same_draws(keras_generator, fill):
    # Square: Keras 3.15 mixes up height and width, of the image and of the shifts.
    image = RNG.integers(0, 256, (15, 15, 3)).astype(np.float32)
    augment = image_data_generator(
        rotation_range=40,
        width_shift_range=0.3,
        height_shift_range=0.2,
        shear_range=20,
        zoom_range=0.4,
        channel_shift_range=60,
        fill_mode=fill,
        cval=33,
        horizontal_flip=True,
        vertical_flip=True,
    ).augment
    theirs = keras_generator(fill_mode=fill, cval=33)
    for seed in range(3):
        key = jax.random.key(seed)
        keys = [jax.random.fold_in(key, i) for i in range(6)]
        drawn = [
            np.asarray(stage.draw(own, image.shape), float)
            for stage, own in zip(augment.stages, keys, strict=True)
        ]
        angle, moved, slant, zoomed, mirrored, intensity = drawn
        expected = theirs.apply_transform(
            image,
            {
                "theta": angle,
                "tx": -moved[0],
                "ty": -moved[1],
                "shear": slant,
                "zx": zoomed[0],
                "zy": zoomed[1],
                "flip_horizontal": mirrored[0],
                "flip_vertical": mirrored[1],
                "channel_shift_intensity": intensity,
            },
        )
        got = augment.augment_one(key, jnp.asarray(image))
        np.testing.assert_allclose(got, expected, atol=5e-3)


@pytest.mark.filterwarnings("ignore:Please import `affine_transform`")
def test_keras_mixes_up_the_height_and_width_shift_which_this_does_not(keras_generator):
    dot = np.zeros((9, 9, 1), np.float32)
    dot[4, 4] = 255
    down = keras_generator().apply_transform(dot, {"tx": -2})  # Keras draws tx for the height
    right = keras_generator().apply_transform(dot, {"ty": -2})
    assert np.argwhere(down[..., 0]).tolist() == [[4, 6]]
    assert np.argwhere(right[..., 0]).tolist() == [[6, 4]]
    (ours,) = image_data_generator(width_shift_range=0.9).augment.stages
    assert ours == shift(0.9, 0)


def test_the_generator_composes_what_is_asked_for_and_nothing_else():
    def stages(**options):
        return image_data_generator(**options).augment

    assert stages() == compose()
    assert stages(rotation_range=30) == compose(rotate(30))
    assert stages(horizontal_flip=True) == compose(flip(0.5, 0.0))
    assert stages(vertical_flip=True, shear_range=5, fill_mode="wrap") == compose(
        shear(5, fill="wrap"), flip(0.0, 0.5)
    )
    assert stages(zoom_range=(0.5, 2)) == compose(zoom((0.5, 2), independent=True))
    assert stages(zoom_range=(1, 1)) == compose()
    assert stages(height_shift_range=0.1) == compose(shift(0, 0.1))
    both = stages(brightness_range=(0.5, 1.5), channel_shift_range=9)
    assert both == compose(ChannelShift(9), Brightness((0.5, 1.5)))


def test_a_standardisation_passes_through_jax_as_a_tree():
    fitted = fit_standardization(TRAIN, featurewise_center=True, rescale=0.5)
    assert len(jax.tree.leaves(fitted)) == 1
    doubled = jax.tree.map(lambda a: 2 * a, fitted)
    np.testing.assert_allclose(doubled(TEST), TEST * 0.5 - 2 * fitted.mean, atol=1e-4)
    assert isinstance(doubled, Standardization)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fit_standardization(TRAIN[0]), r"are uint8\[4, 4, 3\]; expected uint8 or float32"),
        (lambda: fit_standardization(TRAIN.astype(int)), r"are int64\[400, 4, 4, 3\]; expected"),
        (lambda: fit_standardization(TRAIN[:0]), "there are no images to fit"),
        (lambda: fit_standardization(TRAIN, zca_epsilon=0), "has zca_epsilon=0; expected a number"),
        (lambda: fit_standardization(TRAIN, epsilon=-1), "has epsilon=-1; expected a number of at"),
        (lambda: fit_standardization(TRAIN, rescale=np.nan), "rescale=nan; expected a number that"),
        (
            lambda: fit_standardization(
                TRAIN, zca_whitening=True, featurewise_std_normalization=True
            ),
            "leave one out",
        ),
        (lambda: Standardization()(TEST[0]), r"\[N, H, W, C\]"),
        (
            lambda: fit_standardization(TRAIN, featurewise_center=True)(TEST[..., :1]),
            "the images have 1 channels, the standardisation was fitted on images of 3",
        ),
        (
            lambda: fit_standardization(TRAIN, zca_whitening=True)(TEST[:, :2]),
            "have 24 pixels and channels, the whitening was fitted on 48",
        ),
        (lambda: image_data_generator(featurewise_center=True), "featurewise_center is fitted on"),
        (lambda: image_data_generator(zca_whitening=True), "zca_whitening is fitted on the trai"),
        (lambda: image_data_generator(fill_mode="edge"), "fill='edge'; expected nearest, constant"),
        (lambda: image_data_generator(width_shift_range=5), "shift has width=5; expected a number"),
    ],
)
def test_a_mistake_is_told_in_one_line(make, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)
