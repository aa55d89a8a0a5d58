"""Augmentation, pure jitted functions of (key, images), and standardisation.

`augment = compose(flip(), shift(0.1), rotate(15))` is the lecture's recipe (lecture 1: rotation,
horizontal flip, shifts); `augment(key, images)` takes uint8 or float32 `[N, H, W, C]` in 0 ... 255
and gives the same dtype, see `Augmentation`. All ranges are written where a strength says them: an
augmentation helps only as far as it keeps the class, and the docstring of each says how far that
is; a turned traffic sign or a mirrored 6 is something else (lecture 2).
"""

from cnnjax.data.augment.affine import flip, rotate, shear, shift, zoom
from cnnjax.data.augment.augmentation import Augmentation, apply
from cnnjax.data.augment.color import (
    brightness,
    channel_shift,
    color_cast,
    contrast,
    hue,
    saturation,
)
from cnnjax.data.augment.composition import compose
from cnnjax.data.augment.frames import center_crop, pad, random_crop, resize
from cnnjax.data.augment.generator import image_data_generator
from cnnjax.data.augment.noise import cutout, gaussian_noise
from cnnjax.data.augment.standardize import Standardization, fit_standardization
from cnnjax.data.augment.warps import elastic, lens_distortion

__all__ = [
    "Augmentation",
    "Standardization",
    "apply",
    "brightness",
    "center_crop",
    "channel_shift",
    "color_cast",
    "compose",
    "contrast",
    "cutout",
    "elastic",
    "fit_standardization",
    "flip",
    "gaussian_noise",
    "hue",
    "image_data_generator",
    "lens_distortion",
    "pad",
    "random_crop",
    "resize",
    "rotate",
    "saturation",
    "shear",
    "shift",
    "zoom",
]
