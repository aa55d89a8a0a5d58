"""Noise, and missing parts."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from cnnjax.data.augment.augmentation import Augmentation, Shape
from cnnjax.data.augment.checks import check_number, check_whole


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Augmentation):
    """Adds N(0, std^2) to every pixel and channel, all independent; clipped to 0 ... 255.

    Keeps the class up to about 25 grey levels.

    Args:
      std: standard deviation in grey levels, from 0 on.

    Raises:
      CnnjaxError: a negative one.
    """

    std: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "std", check_number("gaussian_noise", "std", self.std, 0))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """N(0, 1), float32 `[H, W, C]`."""
        # Drawn in a row, which compiles three times as fast and gives the same numbers.
        return jax.random.normal(key, (math.prod(shape),)).reshape(shape)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The noisy image."""
        return jnp.clip(image + self.std * drawn, 0, 255)


@dataclasses.dataclass(frozen=True)
class Cutout(Augmentation):
    """Covers a square of `size` x `size` pixels with one grey level.

    DeVries and Taylor 2017, section 3.2: every pixel of the image is alike likely to be the middle
    of the square, which may reach over the border, so that images are also covered in part only.
    An even square has its middle just before its pixel size / 2. Keeps the class while the square
    does not hide the object: 16 of 32 pixels for CIFAR-10, 8 for CIFAR-100 in the paper.

    Args:
      size: side in pixels, from 0 on.
      value: the grey level, 0 to 255. The paper's 0 is that of normalised images, their mean; 128
        is what a network that sees pixels scaled to [-1, 1] gets as 0.

    Raises:
      CnnjaxError: a size that is no whole number from 0 on, or a value out of range.
    """

    size: int
    value: float = 128.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_whole("cutout", "size", self.size, 0))
        object.__setattr__(self, "value", check_number("cutout", "value", self.value, 0, 255))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """int32 `[2]`: row and column of the middle."""
        return jax.random.randint(key, (2,), 0, jnp.array(shape[:2]))

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The image with the square over it."""
        height, width, _ = image.shape
        rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[None, :, None]
        first = drawn - self.size // 2
        covered = (rows >= first[0]) & (rows < first[0] + self.size)
        covered &= (columns >= first[1]) & (columns < first[1] + self.size)
        return jnp.where(covered, self.value, image)


gaussian_noise = GaussianNoise
cutout = Cutout
