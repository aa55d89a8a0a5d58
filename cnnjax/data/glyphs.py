"""Typed characters, rendered: the embedded data set.

A character in a random face, size, slant, shift and contrast, over pieces of other characters,
lines, a shaded ground and noise. The images are a pure function of the arguments of `glyphs`.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnnjax.data.alphabets import ALPHABETS, Character, distinct_characters, shape
from cnnjax.data.dataset import Dataset, Splits
from cnnjax.data.randomness import stream

SUPERSAMPLING = 3
"""A character is drawn at this many times the size of the image, and averaged down."""
BORDER = 2
"""Black pixels around a shape, so that its edge is smooth."""


@dataclasses.dataclass(frozen=True)
class GlyphStyle:
    """How the characters vary, and what is in their way. Pairs are ranges of a uniform draw."""

    size: tuple[float, float] = (0.5, 0.8)
    """The longer side of the character, as a share of the side of the image."""
    stretch: float = 0.2
    """Width by height varies by a factor of up to (1 + stretch)² to either side."""
    rotation: float = 12.0
    """Degrees to either side."""
    slant: float = 0.25
    """Sideways shift per height, to either side."""
    shift: float = 0.12
    """Of the centre, as a share of the side of the image, in each direction."""
    contrast: tuple[float, float] = (0.25, 0.9)
    """Between ink and ground, as a share of the range of greys; either may be the lighter."""
    shading: float = 0.3
    """How much the ground may differ between opposite sides, as a share of the range of greys."""
    fragments: int = 2
    """Pieces of other characters that reach into the image from its border."""
    fragment_opacity: tuple[float, float] = (0.2, 0.8)
    """Of a fragment, whose grey is random."""
    lines: int = 1
    """Straight strokes of random place and grey across the image, over everything."""
    line_opacity: tuple[float, float] = (0.0, 0.6)
    noise: float = 0.06
    """Standard deviation of the noise on each pixel, as a share of the range of greys."""


def glyphs(
    alphabets: Sequence[str] = ("latin", "cyrillic", "greek"),
    *,
    image_size: int = 20,
    train_per_class: int = 150,
    test_per_class: int = 50,
    style: GlyphStyle = GlyphStyle(),
    seed: int = 0,
) -> Splits:
    """The distinct characters of these alphabets: uint8 `[N, image_size, image_size, 1]`."""
    kept = [character for character in distinct_characters() if character.alphabet in alphabets]

    def part(number: int, per_class: int) -> Dataset:
        draw = functools.partial(_draw, image_size=image_size, style=style)
        return Dataset(
            images=np.concatenate(
                [draw(c, per_class, words=(seed, number, ord(c.text))) for c in kept]
            ),
            labels=np.repeat(np.arange(len(kept), dtype=np.int32), per_class),
            classes=tuple(character.text for character in kept),
            groups=tuple(character.alphabet for character in kept),
        )

    return Splits(train=part(0, train_per_class), validation=None, test=part(1, test_per_class))


def _draw(
    character: Character, count: int, *, words: tuple[int, ...], image_size: int, style: GlyphStyle
) -> np.ndarray:
    """`count` images of a character: uint8 `[count, H, W, 1]`.

    Only sums, products, quotients and square roots of the random numbers are taken: their results
    are the same on every machine.
    """
    draws = _Draws(stream(*words), count)
    side = image_size * SUPERSAMPLING

    dark = draws.between(0, 1)
    contrast = draws.between(*style.contrast)
    dark *= 1 - contrast
    inverted = draws.between(0, 1) < 0.5
    ink = np.where(inverted, dark + contrast, dark)
    ground = np.where(inverted, dark, dark + contrast)

    # The places of the pixels' centres, from -1/2 to 1/2.
    places = (np.arange(image_size) + 0.5) / image_size - 0.5
    x, y = places[None, None, :], places[None, :, None]
    image = _column(ground) + np.zeros((1, image_size, image_size))
    for place in (x, y):
        image += _column(draws.between(-style.shading, style.shading)) * place

    others = _pool()
    for _ in range(style.fragments):
        chosen = draws.whole(len(others))
        faces = draws.between(0, 1)
        picks = [
            shape(others[i].text, others[i].faces[int(face * len(others[i].faces))])
            for i, face in zip(chosen, faces, strict=True)
        ]
        u, v = draws.between(-1, 1), draws.between(-1, 1)
        reach = draws.between(0.45, 0.65) / np.maximum(np.abs(u), np.abs(v))
        masks = _place(picks, draws, style, side, u * reach, v * reach)
        opacity = masks * _column(draws.between(*style.fragment_opacity))
        image += opacity * (_column(draws.between(0, 1)) - image)

    faces = draws.whole(len(character.faces))
    picks = [shape(character.text, character.faces[face]) for face in faces]
    shifts = [draws.between(-style.shift, style.shift) for _ in range(2)]
    masks = _place(picks, draws, style, side, *shifts)
    image += masks * (_column(ink) - image)

    for _ in range(style.lines):
        u, v = draws.between(-1, 1), draws.between(-1, 1)
        length = np.sqrt(u * u + v * v) + 1e-9
        offset = draws.between(-0.5, 0.5)
        distance = np.abs(_column(u / length) * x + _column(v / length) * y - _column(offset))
        width = _column(draws.between(0.5, 1.5)) / image_size
        masks = np.clip((width - distance) * image_size + 0.5, 0, 1)
        opacity = masks * _column(draws.between(*style.line_opacity))
        image += opacity * (_column(draws.between(0, 1)) - image)

    # Four uniform numbers: near enough to a normal one, and without a logarithm.
    noise = draws.random.random_sample((count, image_size, image_size, 4)).sum(axis=-1) - 2
    image += noise * (style.noise * math.sqrt(3))
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)[..., None]


class _Draws:
    def __init__(self, random: np.random.RandomState, count: int) -> None:
        self.random, self.count = random, count

    def between(self, low: float, high: float) -> np.ndarray:
        return low + (high - low) * self.random.random_sample(self.count)

    def whole(self, below: int) -> np.ndarray:
        return (self.random.random_sample(self.count) * below).astype(np.int64)


def _column(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]


@functools.cache
def _pool() -> tuple[Character, ...]:
    return tuple(c for c in distinct_characters() if c.alphabet in list(ALPHABETS)[:3])


def _place(
    shapes: list[Image.Image],
    draws: _Draws,
    style: GlyphStyle,
    side: int,
    shift_x: np.ndarray,
    shift_y: np.ndarray,
) -> np.ndarray:
    """The shapes as masks, warped and moved: float64 `[count, H, W]`, 0 to 1."""
    scale = draws.between(*style.size) * side / np.array([max(image.size) for image in shapes])
    stretch = draws.between(1, 1 + style.stretch)
    stretch = np.where(draws.between(0, 1) < 0.5, stretch, 1 / stretch)
    slant = draws.between(-style.slant, style.slant)
    # cos and sin from the tangent of half the angle, by quotients alone.
    half = draws.between(-1, 1) * math.tan(math.radians(style.rotation) / 2)
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    # From a place in the image to one in the shape: turned back, straightened, shrunk back.
    a, b = (cos + slant * sin) / (scale * stretch), (sin - slant * cos) / (scale * stretch)
    d, e = -sin * stretch / scale, cos * stretch / scale
    centre_x, centre_y = (0.5 + shift_x) * side, (0.5 + shift_y) * side
    widths, heights = np.array([image.size for image in shapes]).T / 2 + BORDER
    c = widths - a * centre_x - b * centre_y
    f = heights - d * centre_x - e * centre_y
    out = bytearray()
    for image, *matrix in zip(shapes, a, b, c, d, e, f, strict=True):
        warped = _padded(image).transform(
            (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        out += warped.reduce(SUPERSAMPLING).tobytes()
    size = side // SUPERSAMPLING
    return np.frombuffer(bytes(out), np.uint8).reshape(len(shapes), size, size) / 255


def _padded(image: Image.Image) -> Image.Image:
    padded = Image.new("L", (image.width + 2 * BORDER, image.height + 2 * BORDER))
    padded.paste(image, (BORDER, BORDER))
    return padded
