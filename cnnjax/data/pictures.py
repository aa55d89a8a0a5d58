"""From picture files to pixels of one size."""

import io
import itertools
import threading
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cnnjax.data.dataset import Dataset
from cnnjax.errors import CnnjaxError

DEFAULT_SIDE = 64
"""The side in pixels that images of mixed sizes are brought to."""


LARGE = 2**24
"""Pixels from which a picture is decoded alone: a few bytes can stand for many."""

_ONE_LARGE = threading.Lock()


MOST_SIDE = 2**14
"""Pixels: no more can be asked for."""


class Picture(NamedTuple):
    """An encoded picture: what to call it in an error, and where it is, or its bytes."""

    name: str
    source: Path | bytes


def decode_parts(parts: dict[str, list[Picture]], image_size: int | None) -> dict[str, np.ndarray]:
    """The pixels of all pictures, part by part: uint8 `[N, H, W, C]`, H, W and C the same in all.

    A picture (the first frame of one that moves) is turned as its EXIF orientation says; what is
    transparent becomes white. All are grey (C = 1) if all files are, and colour (C = 3) if any is.

    With `image_size`, or where the pictures differ in size, the shorter side is scaled to
    `image_size` (64 if not given) and the middle square is cut out. Otherwise nothing is scaled.

    Raises:
        CnnjaxError: a picture that is damaged, or too large to be decoded safely (named).
    """
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:  # Pillow decodes without the GIL
        # Of half the number of pixels that it refuses, Pillow warns.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        pictures = [picture for part in parts.values() for picture in part]
        sizes, coloured = zip(*pool.map(_inspect, pictures), strict=True)
        side = image_size or (DEFAULT_SIDE if len(set(sizes)) > 1 else None)
        mode = "RGB" if any(coloured) else "L"
        width, height = (side, side) if side else sizes[0]
        decoded = {}
        for part, pictures in parts.items():
            images = np.empty((len(pictures), height, width, 3 if mode == "RGB" else 1), np.uint8)
            pixels = pool.map(_decode, pictures, itertools.repeat(mode), itertools.repeat(side))
            for place, image in zip(images, pixels, strict=True):
                place[:] = image.reshape(place.shape)
            decoded[part] = images
        return decoded


class Geometry(NamedTuple):
    """What pictures are made into.

    Attributes:
        mode: "L" for grey, "RGB" for colour.
        side: of the square to scale to and cut out; None where nothing is scaled.
        shape: (height, width, channels).
    """

    mode: str
    side: int | None
    shape: tuple[int, int, int]


def settle(pictures: Iterable[Picture], image_size: int | None) -> Geometry:
    """What `decode_parts` would make of these pictures, from as few of them as will tell.

    With `image_size` one in colour is enough. Damaged ones are passed over.

    Raises:
        CnnjaxError: all of them are damaged.
    """
    size, side, mode, damaged = None, image_size, "L", None
    for picture in pictures:
        try:
            own, coloured = _inspect(picture)
        except CnnjaxError as error:
            damaged = damaged or error
            continue
        size = size or own
        if coloured:
            mode = "RGB"
        if side is None and own != size:
            side = DEFAULT_SIDE
        if mode == "RGB" and side is not None:
            break
    if size is None:
        raise damaged or CnnjaxError("there is no picture; expected at least one")
    width, height = (side, side) if side else size
    return Geometry(mode, side, (height, width, len(mode)))


def pixels(picture: Picture, geometry: Geometry) -> np.ndarray:
    """A picture as `decode_parts` makes it: uint8 `[H, W, C]`.

    Raises:
        CnnjaxError: a picture that is damaged, too large to be decoded safely, or of another size
            than the others where nothing is scaled (named).
    """
    image = _decode(picture, geometry.mode, geometry.side)
    if image.shape[:2] != geometry.shape[:2]:
        there, expected = (" x ".join(map(str, s[1::-1])) for s in (image.shape, geometry.shape))
        raise CnnjaxError(
            f"{picture.name!r} has {there} pixels; expected {expected} like the others; "
            "give an image size, or take it away"
        )
    return image.reshape(geometry.shape)


def _inspect(picture: Picture) -> tuple[tuple[int, int], bool]:
    """The (width, height) of a picture once it is upright, and whether it has colours."""
    try:
        with Image.open(_opened(picture)) as image:
            on_its_side = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            size = image.size[::-1] if on_its_side else image.size
            return size, Image.getmodebase(image.mode) != "L"
    except Exception as error:  # whatever a decoder raises over damaged bytes
        raise _unreadable(picture, error) from None


def upright(picture: Picture, mode: str) -> Image.Image:
    """A picture (the first frame of one that moves), grey for the mode "L", colour for "RGB".

    Turned as its EXIF orientation says; what is transparent becomes white.

    Raises:
        CnnjaxError: a picture that is damaged (named).
    """
    try:
        with Image.open(_opened(picture)) as opened, _turn(opened.size):
            image = ImageOps.exif_transpose(opened)
            if image.has_transparency_data:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
            return image.convert(mode)
    except Exception as error:  # whatever a decoder raises over damaged bytes
        raise _unreadable(picture, error) from None


def _turn(size: tuple[int, int]) -> AbstractContextManager:
    """For a large picture, its turn: one at a time is in memory, however many threads there are."""
    return _ONE_LARGE if size[0] * size[1] > LARGE else nullcontext()


def _decode(picture: Picture, mode: str, side: int | None) -> np.ndarray:
    """Grey `[H, W]` for the mode "L", colour `[H, W, 3]` for "RGB"."""
    image = upright(picture, mode)
    return np.asarray(image if side is None else centre_square(image, side))


def _opened(picture: Picture) -> Path | io.BytesIO:
    return io.BytesIO(picture.source) if isinstance(picture.source, bytes) else picture.source


def _unreadable(picture: Picture, error: Exception) -> Exception:
    if isinstance(error, MemoryError):  # no fault of the picture's
        return error
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * Image.MAX_IMAGE_PIXELS
        return CnnjaxError(
            f"{picture.name!r} is too large; expected at most {most:,} pixels, as a small file can "
            "hold more than the memory; scale it down or take it away"
        )
    reason = type(error).__name__ if "BytesIO" in str(error) else " ".join(str(error).split())[:120]
    return CnnjaxError(
        f"{picture.name!r} is not a whole picture ({reason}); expected an image that opens; mend "
        "it or take it away"
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
    if not 1 <= side <= MOST_SIDE:
        raise CnnjaxError(
            f"images of {side} pixels a side cannot be; expected 1 or more, up to {MOST_SIDE:,}"
        )
