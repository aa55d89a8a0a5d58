"""From picture files to pixels of one size."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cnnjax.data.dataset import Dataset
from cnnjax.errors import CnnjaxError

DEFAULT_SIDE = 64
"""The side in pixels that images of mixed sizes are brought to."""


def inspect(file: Path) -> tuple[tuple[int, int], bool]:
    """The (width, height) of a picture once it is upright, and whether it has colours.

    Raises:
        CnnjaxError: not a whole picture.
    """
    try:
        with Image.open(file) as image:
            # Orientations 5 to 8 lie on their side.
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
            size = image.size[::-1] if turned else image.size
            return size, Image.getmodebase(image.mode) != "L"
    except Exception as error:  # whatever a decoder raises over damaged bytes
        raise _damaged(file, error) from None


def decode(file: Path, mode: str, side: int | None) -> np.ndarray:
    """The pixels of a picture (its first frame), upright and on white: uint8 `[H, W, C]`.

    Args:
        file: the picture.
        mode: "L" for grey (C = 1) or "RGB" for colour (C = 3).
        side: of the `centre_square` to take; None for the picture as it is.

    Raises:
        CnnjaxError: not a whole picture.
    """
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.has_transparency_data:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
            image = image.convert(mode)
    except Exception as error:
        raise _damaged(file, error) from None
    pixels = np.asarray(image if side is None else centre_square(image, side))
    return pixels.reshape(*pixels.shape[:2], -1)


def _damaged(file: Path, error: Exception) -> CnnjaxError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return CnnjaxError(
        f"{str(file)!r} is not a whole picture ({reason}); expected an image that opens; mend it "
        "or take it away"
    )


def centre_square(image: Image.Image, side: int) -> Image.Image:
    """The image with its shorter side scaled to `side`, and the middle square of that.

    Scaled with a triangle filter as wide as the reduction, so that nothing aliases.
    """
    if image.size == (side, side):
        return image
    width, height = image.size
    shorter = min(width, height)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    return image.resize(
        (side, side),
        Image.Resampling.BILINEAR,
        box=(left, top, left + shorter, top + shorter),
    )


def resized(dataset: Dataset, side: int) -> Dataset:
    """Every image as by `centre_square`: uint8 `[N, side, side, C]`.

    Raises:
        CnnjaxError: a side below one, or images of other than 1, 3 or 4 channels.
    """
    check_side(side)
    channels = dataset.images.shape[-1]
    if dataset.images.shape[1:3] == (side, side):
        return dataset
    if channels not in (1, 3, 4):
        raise CnnjaxError(
            f"images of {channels} channels cannot be resized; expected 1, 3 or 4; leave out the "
            "image size"
        )
    images = np.empty((len(dataset), side, side, channels), np.uint8)
    for source, target in zip(dataset.images, images, strict=True):
        picture = Image.fromarray(source[..., 0] if channels == 1 else source)
        target[:] = np.asarray(centre_square(picture, side)).reshape(target.shape)
    return Dataset(images, dataset.labels, dataset.classes, dataset.groups)


def check_side(side: int) -> None:
    """Raises CnnjaxError where `side` is no side of an image."""
    if side < 1:
        raise CnnjaxError(f"images of {side} pixels a side cannot be; expected 1 or more")
