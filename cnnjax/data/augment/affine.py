"""Flip, shift, rotation, shear and zoom: maps of the plane that a matrix describes.

Every map takes the place p = (x, y) of a pixel of the *new* image, measured from the centre of the
image with x to the right and y down, to the place M p of the old image whose value it gets. So
the map "first A, then B" has the matrix M_A M_B, and a run of them in `compose` is one resampling.
"""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.augmentation import Augmentation, Shape
from cnnjax.data.augment.checks import (
    check_factors,
    check_fill,
    check_number,
    check_probability,
)
from cnnjax.data.augment.sampling import resample


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors an image left to right, upside down, or both, each with its own probability.

    A mirrored photograph of a cat is a cat; a mirrored b is a d, a 6 upside down is no 6, and an
    arrow to the left then points to the right: flip only where the mirror image has the same class.

    Args:
      horizontal: probability to swap left and right.
      vertical: probability to swap top and bottom; the two draws are independent.

    Raises:
      CnnjaxError: a probability outside of 0 ... 1.

    >>> flip(1.0)(jax.random.key(0), jnp.array([[[[1], [2], [3]]]], jnp.uint8))[0, 0, :, 0].tolist()
    [3, 2, 1]
    """

    horizontal: float = 0.5
    vertical: float = 0.0

    def __post_init__(self) -> None:
        for name in ("horizontal", "vertical"):
            value = check_probability("flip", name, getattr(self, name))
            object.__setattr__(self, name, value)

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """bool `[2]`: whether to mirror (horizontally, vertically)."""
        return jax.random.bernoulli(key, jnp.array([self.horizontal, self.vertical]), (2,))

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """Reversed along the axes that were drawn."""
        image = jnp.where(drawn[0], image[:, ::-1], image)
        return jnp.where(drawn[1], image[::-1], image)

    def matrix(self, drawn: jax.Array, shape: Shape) -> jax.Array:
        """diag(+-1, +-1)."""
        signs = 1.0 - 2.0 * drawn
        return _matrix(signs[0], 0.0, 0.0, 0.0, signs[1], 0.0)


class Resampled(Augmentation):
    """Resamples an image bilinearly; `fill` and `cval` say what stands outside of it."""

    fill: str
    cval: float

    def __post_init__(self) -> None:
        name = type(self).__name__.lower()
        check_fill(name, self.fill)
        object.__setattr__(self, "cval", check_number(name, "cval", self.cval, 0, 255))

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The image under the map that was drawn."""
        return resample(image, self.matrix(drawn, image.shape), self.fill, self.cval)


@dataclasses.dataclass(frozen=True)
class Shift(Resampled):
    """Moves an image by up to a fraction of its size, either way: U(-width, width) times W pixels
    to the right, and U(-height, height) times H pixels down.

    The distance is real-valued, as in Keras' `ImageDataGenerator`: between whole pixels the image
    is interpolated, which softens it a little. (Keras 3.15 itself moves *columns* by its
    `height_shift_range` and rows by its `width_shift_range`.) Keeps the class while the object
    stays in the picture: 0.1 is the lecture's value, a few pixels are usual.

    Args:
      width: fraction of the width; 0.1 of 200 pixels are up to 20 to the left or right (lecture 2).
      height: fraction of the height; by default as `width`.
      fill: what comes in: nearest, constant, reflect or wrap, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: a fraction outside of 0 ... 1, or an unknown fill.
    """

    width: float
    height: float | None = None
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        height = self.width if self.height is None else self.height
        object.__setattr__(self, "width", check_number("shift", "width", self.width, 0, 1))
        object.__setattr__(self, "height", check_number("shift", "height", height, 0, 1))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """float32 `[2]`: pixels (to the right, down)."""
        most = jnp.array([self.width * shape[1], self.height * shape[0]])
        return most * _uniform(key, (2,))

    def matrix(self, drawn: jax.Array, shape: Shape) -> jax.Array:
        """Looks up where the pixel came from: p - t."""
        return _matrix(1.0, 0.0, -drawn[0], 0.0, 1.0, -drawn[1])


@dataclasses.dataclass(frozen=True)
class Rotate(Resampled):
    """Turns an image about its centre by U(-degrees, degrees), positive counter-clockwise.

    M = [[cos t, -sin t], [sin t, cos t]]. `rotate(30)` is the lecture's rotation_range=30: up to 30
    degrees in either direction (lecture 2); lecture 4's `RandomRotation(0.2)` counts in turns, it
    is `rotate(72)`. Keeps the class of natural images up to 15 or 30 degrees; a 6 turned by 180 is
    a 9, a turned traffic sign is another sign.

    Args:
      degrees: the largest angle, 0 to 180.
      fill: what stands outside of the old image, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: an angle out of range, or an unknown fill.
    """

    degrees: float
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "degrees", check_number("rotate", "degrees", self.degrees, 0, 180))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """The angle in degrees, float32 `[]`."""
        return self.degrees * _uniform(key)

    def matrix(self, drawn: jax.Array, shape: Shape) -> jax.Array:
        """The rotation."""
        sin, cos = _sin_cos(drawn)
        return _matrix(cos, -sin, 0.0, sin, cos, 0.0)


@dataclasses.dataclass(frozen=True)
class Shear(Resampled):
    """Slants an image: its vertical lines lean by U(-degrees, degrees), positive counter-clockwise.

    M = [[1, -sin s], [0, cos s]], the matrix of Keras and scikit-image, which keeps the length of a
    vertical line and so makes the picture 1 / cos s times as high. Keeps the class like a rotation
    of the same angle.

    Args:
      degrees: the largest angle, 0 to below 90.
      fill: what stands outside of the old image, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: an angle out of range, or an unknown fill.
    """

    degrees: float
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "degrees", check_number("shear", "degrees", self.degrees, 0, 89))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """The angle in degrees, float32 `[]`."""
        return self.degrees * _uniform(key)

    def matrix(self, drawn: jax.Array, shape: Shape) -> jax.Array:
        """The shear."""
        sin, cos = _sin_cos(drawn)
        return _matrix(1.0, -sin, 0.0, 0.0, cos, 0.0)


@dataclasses.dataclass(frozen=True)
class Zoom(Resampled):
    """Enlarges or shrinks what is in an image about its centre; the size of the image stays.

    M = diag(z_x, z_y), as in Keras' `ImageDataGenerator`: z is the part of the old picture that is
    seen, so that objects become 1 / z times as large. Lecture 5's scaling has one factor for all
    directions, z_x = z_y; Keras draws the two independently. Keeps the class while the object stays
    in the picture and large enough to be told: 0.1 or 0.2 are usual.

    Args:
      factors: (lowest, highest) z, or the strength s of U(1 - s, 1 + s).
      independent: draw z_x and z_y each on its own, as Keras does.
      fill: what stands outside of the old image, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: factors below 0.05 or in the wrong order, or an unknown fill.
    """

    factors: float | tuple[float, float]
    independent: bool = False
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = check_factors("zoom", self.factors)
        check_number("zoom", "lowest factor", low, 0.05)
        object.__setattr__(self, "factors", (low, high))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """float32 `[2]`: (z_x, z_y)."""
        low, high = self.factors
        count = 2 if self.independent else 1
        return jnp.broadcast_to(jax.random.uniform(key, (count,), minval=low, maxval=high), (2,))

    def matrix(self, drawn: jax.Array, shape: Shape) -> jax.Array:
        """The scaling."""
        return _matrix(drawn[0], 0.0, 0.0, 0.0, drawn[1], 0.0)


def _uniform(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


def _sin_cos(degrees: jax.Array) -> tuple[jax.Array, jax.Array]:
    radians = jnp.deg2rad(degrees)
    return jnp.sin(radians), jnp.cos(radians)


def _matrix(*entries: jax.Array | float) -> jax.Array:
    """[[a, b, c], [d, e, f], [0, 0, 1]]."""
    rows = [jnp.asarray(entry, jnp.float32) for entry in (*entries, 0.0, 0.0, 1.0)]
    return jnp.stack(rows).reshape(3, 3)


flip = Flip
shift = Shift
rotate = Rotate
shear = Shear
zoom = Zoom
