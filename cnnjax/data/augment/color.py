"""Changes of grey levels and colours. Every result is clipped to 0 ... 255, for float images too,
except where it says otherwise."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.augmentation import Augmentation, Shape
from cnnjax.data.augment.checks import (
    check_factors,
    check_number,
    check_probability,
    check_whole,
)
from cnnjax.errors import CnnjaxError

Factors = float | tuple[float, float]
"""(lowest, highest) factor, or the strength s of U(1 - s, 1 + s)."""


class _Blend(Augmentation):
    """f x + (1 - f) g with one factor f for an image: away from (f > 1) or towards a grey g."""

    factors: Factors

    def __post_init__(self) -> None:
        factors = check_factors(type(self).__name__.lower(), self.factors)
        object.__setattr__(self, "factors", factors)

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """f, float32 `[]`."""
        low, high = self.factors
        return jax.random.uniform(key, minval=low, maxval=high)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The blend."""
        return jnp.clip(drawn * image + (1 - drawn) * self.grey(image), 0, 255)


@dataclasses.dataclass(frozen=True)
class Brightness(_Blend):
    """Makes an image darker (f < 1) or lighter (f > 1): f x, clipped.

    Pillow's `ImageEnhance.Brightness`. Keeps the class up to a strength of about 0.5; a factor of 0
    is black.

    Args:
      factors: (lowest, highest) f, or the strength s of U(1 - s, 1 + s).

    Raises:
      CnnjaxError: a negative factor, or a strength outside of 0 ... 1.

    >>> brightness((2, 2))(jax.random.key(0), jnp.full((1, 1, 1, 1), 90, jnp.uint8)).item()
    180
    """

    factors: Factors

    def grey(self, image: jax.Array) -> float:
        """Black."""
        return 0.0


@dataclasses.dataclass(frozen=True)
class Contrast(_Blend):
    """Spreads (f > 1) or draws together (f < 1) the grey levels: m + f (x - m), clipped, where m is
    the mean luminance of the image.

    Lecture 5: "the degree of separation between the darkest and brightest areas". Pillow's
    `ImageEnhance.Contrast`, which rounds m to a whole number. Keeps the class up to a strength of
    about 0.5; a factor of 0 is plain grey.

    Args:
      factors: (lowest, highest) f, or the strength s of U(1 - s, 1 + s).

    Raises:
      CnnjaxError: a negative factor, a strength outside of 0 ... 1, or images that have neither one
        channel nor three.
    """

    factors: Factors

    def grey(self, image: jax.Array) -> jax.Array:
        """The mean luminance, `[]`."""
        return image.mean() if image.shape[2] == 1 else luminance("contrast", image).mean()


@dataclasses.dataclass(frozen=True)
class Saturation(_Blend):
    """Makes colours stronger (f > 1) or greyer (f < 1): l + f (x - l), clipped, where l is the
    luminance of each pixel.

    Lecture 5: "the separation between colors of an image". Pillow's `ImageEnhance.Color`, which
    rounds l to a whole number. Keeps the class unless it is told by colour.

    Args:
      factors: (lowest, highest) f, or the strength s of U(1 - s, 1 + s).

    Raises:
      CnnjaxError: a negative factor, a strength outside of 0 ... 1, or images that are not RGB.
    """

    factors: Factors

    def grey(self, image: jax.Array) -> jax.Array:
        """The luminance, `[H, W, 1]`."""
        return luminance("saturation", image)


@dataclasses.dataclass(frozen=True)
class Hue(Augmentation):
    """Turns the colour circle by U(-strength, strength) turns; saturation and value stay (HSV).

    Lecture 5: "the shade of the colors". 1/3 turn makes red green, 1/2 turn makes red cyan. Keeps
    the class unless it is told by colour; 0.05 to 0.1 are usual.

    Args:
      strength: the largest turn, 0 to 0.5.

    Raises:
      CnnjaxError: a strength out of range, or images that are not RGB.
    """

    strength: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_number("hue", "strength", self.strength, 0, 0.5))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """Turns, float32 `[]`."""
        return jax.random.uniform(key, minval=-self.strength, maxval=self.strength)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The colours, turned. (Nothing to clip: minimum and maximum of a pixel stay.)"""
        red, green, blue = _channels("hue", image)
        value = jnp.maximum(jnp.maximum(red, green), blue)
        chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
        safe = jnp.where(chroma > 0, chroma, 1.0)  # a grey has no hue; its chroma of 0 keeps it
        sixths = jnp.where(
            value == red,
            (green - blue) / safe,
            jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
        )

        def channel(offset: int) -> jax.Array:  # of HSV in RGB: value less the missing chroma
            k = jnp.mod(offset + sixths + 6 * drawn, 6)
            return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

        return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


@dataclasses.dataclass(frozen=True)
class ChannelShift(Augmentation):
    """Adds one number, U(-strength, strength) grey levels, to all channels of an image.

    Keras' `channel_shift_range`; despite the name all channels move alike (for one each see
    `color_cast`). Clipped, as there, to the least and greatest value that the image itself has.
    Keeps the class up to some 50 grey levels.

    Args:
      strength: grey levels, 0 to 255.

    Raises:
      CnnjaxError: a strength out of range.
    """

    strength: float

    def __post_init__(self) -> None:
        strength = check_number("channel_shift", "strength", self.strength, 0, 255)
        object.__setattr__(self, "strength", strength)

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """Grey levels, float32 `[]`."""
        return jax.random.uniform(key, minval=-self.strength, maxval=self.strength)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The image, lighter or darker within its own range."""
        return jnp.clip(image + drawn, image.min(), image.max())


@dataclasses.dataclass(frozen=True)
class ColorCast(Augmentation):
    """Tints an image: to each channel, with probability p, a whole number from -strength to
    strength is added, all alike likely.

    Wu et al. 2015, Deep Image (lecture 1: "color casting"): p = 1/2, strength 20.
    Keeps the class at that strength.

    Args:
      strength: grey levels, a whole number from 0 to 255.
      p: probability that a channel is altered.

    Raises:
      CnnjaxError: a strength that is not whole or out of range, or a probability outside of
        0 ... 1.
    """

    strength: int = 20
    p: float = 0.5

    def __post_init__(self) -> None:
        check_whole("color_cast", "strength", self.strength, 0)
        check_number("color_cast", "strength", self.strength, 0, 255)
        object.__setattr__(self, "strength", int(self.strength))
        object.__setattr__(self, "p", check_probability("color_cast", "p", self.p))

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """Grey levels, float32 `[C]`."""
        on, amount = jax.random.split(key)
        casts = jax.random.randint(amount, shape[2:], -self.strength, self.strength + 1)
        return casts * jax.random.bernoulli(on, self.p, shape[2:]).astype(jnp.float32)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The tinted image."""
        return jnp.clip(image + drawn, 0, 255)


def luminance(of: str, image: jax.Array) -> jax.Array:
    """0.299 R + 0.587 G + 0.114 B (ITU-R 601-2), `[H, W, 3]` -> `[H, W, 1]`."""
    red, green, blue = _channels(of, image)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]


def _channels(of: str, image: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Red, green and blue, `[H, W]` each: many times faster on CPUs than along the last axis."""
    if image.shape[2] != 3:
        also = " or one of grey" if of == "contrast" else ""
        raise CnnjaxError(
            f"{of} was given images of {image.shape[2]} channels; expected three, red, green and "
            f"blue{also}; leave it out for these images"
        )
    return image[..., 0], image[..., 1], image[..., 2]


brightness = Brightness
contrast = Contrast
saturation = Saturation
hue = Hue
channel_shift = ChannelShift
color_cast = ColorCast
