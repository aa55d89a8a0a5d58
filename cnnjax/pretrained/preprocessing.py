"""How a picture becomes the image that weights were trained on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnnjax.data.pictures import Picture, upright
from cnnjax.errors import CnnjaxError
from cnnjax.models.pixels import Pixels

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

LONGEST = 8
"""Sides of a picture in units of its shorter one beyond which the ends are cut off first."""


@dataclass(frozen=True)
class Preprocessing:
    """Geometry, which `pictures` does, and the scale of pixels, which the network does itself.

    Attributes:
      resize: the side in pixels that the shorter side of a picture is scaled to.
      crop: the side of the square that is cut out of the middle: the size the weights are made
        for.
      interpolation: "bilinear" or "bicubic", each with a filter as wide as the reduction.
      pixels: mean, deviation and order of the channels; None where weights take red, green, blue
        in [-1, 1]. The same as the network's.
      channels: 3 for colour, 1 for grey.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    pixels: Pixels | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        known = self.interpolation in INTERPOLATIONS and self.channels in (1, 3)
        if not (known and 1 <= self.crop <= self.resize):
            raise CnnjaxError(
                f"preprocessing that scales to {self.resize}, cuts out {self.crop}, is "
                f"{self.interpolation!r} and gives {self.channels} channels; expected resize >= "
                f"crop >= 1, one of {', '.join(INTERPOLATIONS)}, and 1 or 3 channels"
            )

    def pictures(self, paths: Sequence[str | Path]) -> np.ndarray:
        """The images of picture files: uint8 `[N, crop, crop, channels]`.

        Pictures are turned upright, transparency becomes white, and grey colour or colour grey.

        Raises:
          CnnjaxError: a picture that is not there or damaged (named).
        """
        images = np.empty((len(paths), self.crop, self.crop, self.channels), np.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in zip(images, pool.map(self._read, paths), strict=True):
                place[:] = image.reshape(place.shape)
        return images

    def _read(self, path: str | Path) -> np.ndarray:
        mode = "RGB" if self.channels == 3 else "L"
        return self.image(upright(Picture(str(path), Path(path)), mode))

    def image(self, picture: Image.Image) -> np.ndarray:
        """One upright picture: uint8 `[crop, crop, 3]`, `[crop, crop]` if it is grey."""
        shorter = min(picture.size)
        if max(picture.size) > LONGEST * shorter:  # of no use, and scaled up it may fill the memory
            width, height = (min(side, LONGEST * shorter) for side in picture.size)
            left, top = (picture.width - width) // 2, (picture.height - height) // 2
            picture = picture.crop((left, top, left + width, top + height))
        # The longer side is cut off to whole pixels, as torchvision and timm do.
        size = tuple(int(self.resize * side / shorter) for side in picture.size)
        if size != picture.size:
            picture = picture.resize(size, INTERPOLATIONS[self.interpolation])
        left, top = (round((side - self.crop) / 2) for side in size)
        return np.asarray(picture.crop((left, top, left + self.crop, top + self.crop)))
