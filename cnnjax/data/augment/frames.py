"""What part of a picture is seen, and at which size: padding, cropping, resizing."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.augmentation import Augmentation, Shape
from cnnjax.data.augment.checks import check_number, check_pair
from cnnjax.errors import CnnjaxError

Pair = int | tuple[int, int]
"""One whole number, or (vertical, horizontal)."""


@dataclasses.dataclass(frozen=True)
class Pad(Augmentation):
    """Adds `width` pixels of one grey level on each side; `[H, W, C]` -> `[H + 2v, W + 2h, C]`.

    Keeps the class. Lecture 5 pads (297, 169), width and height, to (299, 179): one pixel at the
    left and right and five at the top and bottom, `pad((5, 1))`.

    Args:
      width: pixels on each side, or (at top and bottom, at left and right).
      value: grey level, 0 to 255.

    Raises:
      CnnjaxError: a negative width, or a value out of range.

    >>> pad((5, 1))(jax.random.key(0), jnp.zeros((1, 169, 297, 3), jnp.uint8)).shape
    (1, 179, 299, 3)
    """

    width: Pair
    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_pair("pad", "width", self.width, 0))
        object.__setattr__(self, "value", check_number("pad", "value", self.value, 0, 255))

    def apply(self, image: jax.Array, drawn: None) -> jax.Array:
        """The image with its frame."""
        return _padded(image, self.width, self.value)


@dataclasses.dataclass(frozen=True)
class CenterCrop(Augmentation):
    """The middle of an image; `[H, W, C]` -> `[*size, C]`.

    Where the rest is odd, one pixel more is cut at the bottom and at the right. Keeps the class
    while the object is in the middle. Nothing is random: apply it to test images alike.

    Args:
      size: side, or (height, width).

    Raises:
      CnnjaxError: a size below one, or above that of the images.
    """

    size: Pair

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_pair("center_crop", "size", self.size, 1))

    def apply(self, image: jax.Array, drawn: None) -> jax.Array:
        """The middle."""
        free = _free("center_crop", image.shape, self.size)
        return _cropped(image, [n // 2 for n in free], self.size)


@dataclasses.dataclass(frozen=True)
class RandomCrop(Augmentation):
    """A window of an image at a random place, all places alike likely; `[H, W, C]` -> `[*size, C]`.

    AlexNet's random crop (lecture 1; Krizhevsky et al. 2012, section 4.1: 224 of 256 pixels), and
    with padding the one usual for CIFAR-10: `random_crop(32, pad=4)`. Keeps the class while most of
    the object stays in the window.

    Args:
      size: side, or (height, width).
      pad: pixels to add on each side before, or (at top and bottom, at left and right).
      value: their grey level, 0 to 255.

    Raises:
      CnnjaxError: a size below one or above that of the padded images, a negative `pad`.
    """

    size: Pair
    pad: Pair = 0
    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_pair("random_crop", "size", self.size, 1))
        object.__setattr__(self, "pad", check_pair("random_crop", "pad", self.pad, 0))
        object.__setattr__(self, "value", check_number("random_crop", "value", self.value, 0, 255))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """int32 `[2]`: the window's first row and column."""
        padded = (shape[0] + 2 * self.pad[0], shape[1] + 2 * self.pad[1], shape[2])
        free = jnp.array(_free("random_crop", padded, self.size))
        return jax.random.randint(key, (2,), 0, free + 1)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The window."""
        return _cropped(_padded(image, self.pad, self.value), drawn, self.size)


@dataclasses.dataclass(frozen=True)
class Resize(Augmentation):
    """An image at another size; `[H, W, C]` -> `[*size, C]`.

    Bilinear, and with the average over the pixels that become one where the image shrinks, as
    Pillow's `BILINEAR`. Lecture 5's example of scaling, (297, 169) to (140, 140), is of this kind;
    contrary to its text it has not the same factor in all directions. Nothing is random: apply it
    to test images alike. For scaling within the image see `zoom`.

    Args:
      size: side, or (height, width).

    Raises:
      CnnjaxError: a size below one.

    >>> resize(140)(jax.random.key(0), jnp.zeros((1, 169, 297, 3), jnp.uint8)).shape
    (1, 140, 140, 3)
    """

    size: Pair

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_pair("resize", "size", self.size, 1))

    def apply(self, image: jax.Array, drawn: None) -> jax.Array:
        """The image, resampled."""
        shape = (*self.size, image.shape[2])
        return jax.image.resize(image, shape, "linear", antialias=True)


def _padded(image: jax.Array, width: tuple[int, int], value: float) -> jax.Array:
    vertical, horizontal = width
    widths = ((vertical, vertical), (horizontal, horizontal), (0, 0))
    return jnp.pad(image, widths, constant_values=value)


def _cropped(image: jax.Array, corner: jax.Array | list[int], size: tuple[int, int]) -> jax.Array:
    return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (*size, image.shape[2]))


def _free(name: str, shape: Shape, size: tuple[int, int]) -> list[int]:
    """By how many rows and columns the image is larger than the window."""
    if shape[0] < size[0] or shape[1] < size[1]:
        raise CnnjaxError(
            f"{name} cuts {size[0]} x {size[1]} pixels out of images of {shape[0]} x {shape[1]} "
            "(height x width); expected a window no larger than the image; choose a smaller size, "
            "or pad first"
        )
    return [shape[0] - size[0], shape[1] - size[1]]


pad = Pad
center_crop = CenterCrop
random_crop = RandomCrop
resize = Resize
