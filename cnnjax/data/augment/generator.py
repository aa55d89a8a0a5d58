"""The options of Keras' `ImageDataGenerator`, for who comes from there."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from cnnjax.data.augment.affine import flip, rotate, shear, shift, zoom
from cnnjax.data.augment.augmentation import Augmentation
from cnnjax.data.augment.color import brightness, channel_shift
from cnnjax.data.augment.composition import Compose, compose
from cnnjax.data.augment.standardize import Standardization, fit_standardization
from cnnjax.errors import CnnjaxError


class Generator(NamedTuple):
    """What `image_data_generator` gives."""

    augment: Compose
    """(key, images) -> images; for training images."""
    standardize: Standardization
    """images -> float32; afterwards, and for test images too."""


def image_data_generator(
    train_images: np.ndarray | None = None,
    *,
    featurewise_center: bool = False,
    samplewise_center: bool = False,
    featurewise_std_normalization: bool = False,
    samplewise_std_normalization: bool = False,
    zca_whitening: bool = False,
    zca_epsilon: float = 1e-6,
    rotation_range: float = 0.0,
    width_shift_range: float = 0.0,
    height_shift_range: float = 0.0,
    brightness_range: tuple[float, float] | None = None,
    shear_range: float = 0.0,
    zoom_range: float | tuple[float, float] = 0.0,
    channel_shift_range: float = 0.0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    rescale: float | None = None,
    preprocessing_function: Callable[[jax.Array], jax.Array] | None = None,
) -> Generator:
    """Lecture 2's `keras.preprocessing.image.ImageDataGenerator(...)` as two functions.

    The options, their meaning, order and distributions are those of Keras, whose geometry is
    one interpolation for rotation, shift, shear and zoom (with a factor for each axis). Images are
    `[N, H, W, C]` (data_format "channels_last"). It differs where Keras 3.15 errs or surprises:
    `width_shift_range` moves to the left and right and `height_shift_range` up and down, as the
    lecture says and Keras' code does not; shifts are fractions only, 0 to 1, no lists of pixels;
    what is fitted is fitted on images as they are when it is applied (see `fit_standardization`).

    Args:
      train_images: uint8 or float32 `[N, H, W, C]`, what `ImageDataGenerator.fit` gets; needed for
        featurewise options and ZCA whitening.
      featurewise_center: see `fit_standardization`, as for the next three and the ZCA options.
      samplewise_center: see there.
      featurewise_std_normalization: see there.
      samplewise_std_normalization: see there.
      zca_whitening: see there.
      zca_epsilon: see there.
      rotation_range: degrees, see `rotate`.
      width_shift_range: fraction, see `shift`.
      height_shift_range: fraction, see `shift`.
      brightness_range: (lowest, highest) factor, see `brightness`.
      shear_range: degrees, see `shear`.
      zoom_range: strength, or (lowest, highest) factor, see `zoom`.
      channel_shift_range: grey levels, see `channel_shift`.
      fill_mode: nearest, constant, reflect or wrap, see `sampling.sample`.
      cval: the grey level for `constant`.
      horizontal_flip: mirror left to right half of the time.
      vertical_flip: mirror upside down half of the time.
      rescale: factor of all pixels, after the augmentation.
      preprocessing_function: the user's own, (image float32 `[H, W, C]`) -> image, in `jax.numpy`,
        after the augmentation.

    Returns:
      `augment` and `standardize`.

    Raises:
      CnnjaxError: an option out of range, or one that is fitted without images to fit it on.

    >>> augment, standardize = image_data_generator(width_shift_range=0.1, rescale=1 / 255)
    >>> augment.stages
    (Shift(width=0.1, height=0.0, fill='nearest', cval=0.0),)
    """
    outside = {"fill": fill_mode, "cval": cval}
    candidates: list[tuple[object, Augmentation]] = [
        (rotation_range, rotate(rotation_range, **outside)),
        (
            width_shift_range or height_shift_range,
            shift(width_shift_range, height_shift_range, **outside),
        ),
        (shear_range, shear(shear_range, **outside)),
        (zoom_range not in (0, (1, 1)), zoom(zoom_range, independent=True, **outside)),
        (
            horizontal_flip or vertical_flip,
            flip(0.5 if horizontal_flip else 0.0, 0.5 if vertical_flip else 0.0),
        ),
        # Keras shifts channels before it flips, which comes to the same.
        (channel_shift_range, channel_shift(channel_shift_range)),
        (brightness_range, brightness((1, 1) if brightness_range is None else brightness_range)),
    ]
    options = {
        "featurewise_center": featurewise_center,
        "featurewise_std_normalization": featurewise_std_normalization,
        "zca_whitening": zca_whitening,
    }
    if train_images is None:
        asked = [name for name, value in options.items() if value]
        if asked:
            raise CnnjaxError(
                f"{asked[0]} is fitted on the training set, and none was given; expected its "
                "images as the first argument; give them"
            )
        train_images = np.zeros((1, 1, 1, 1), np.uint8)  # nothing is fitted on them
    standardize = fit_standardization(
        train_images,
        samplewise_center=samplewise_center,
        samplewise_std_normalization=samplewise_std_normalization,
        zca_epsilon=zca_epsilon,
        rescale=rescale,
        function=preprocessing_function,
        **options,
    )
    return Generator(compose(*(stage for used, stage in candidates if used)), standardize)
