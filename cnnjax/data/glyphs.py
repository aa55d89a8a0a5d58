"""Typed characters, rendered: the embedded data set.

A character in a random face, size, slant, shift and contrast, over pieces of other characters,
lines, a shaded ground and noise. The images are a pure function of the arguments of `glyphs`.
"""

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnnjax.data.alphabets import ALPHABETS, Character, distinct_characters, fonts_digest, shape
from cnnjax.data.cache import cached
from cnnjax.data.dataset import Dataset
from cnnjax.data.labelled import Splits
from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError

DEFAULT_ALPHABETS = ("latin", "cyrillic", "greek")
SUPERSAMPLING = 3
"""A character is drawn at this many times the size of the image, and averaged down."""
BORDER = 2
"""Black pixels around a shape, so that its edge is smooth."""


@dataclasses.dataclass(frozen=True)
class GlyphStyle:
    """How the characters vary, and what is in their way. Pairs are ranges of a uniform draw."""

    size: tuple[float, float] = (0.6, 0.85)
    """The longer side of the character, as a share of the side of the image."""
    stretch: float = 0.2
    """Width is multiplied and height divided by up to 1 + stretch, or the other way round."""
    rotation: float = 6.0
    """Degrees to either side."""
    slant: float = 0.15
    """Sideways shift per height, to either side."""
    shift: float = 0.06
    """Of the centre, as a share of the side of the image, in each direction."""
    contrast: tuple[float, float] = (0.4, 0.95)
    """Between ink and ground, as a share of the range of greys. The ink is the lighter, as in
    MNIST: with both polarities mixed, a small network stays at chance for hundreds of steps."""
    shading: float = 0.2
    """How much the ground may differ between opposite sides, as a share of the range of greys."""
    fragments: int = 1
    """Pieces of other characters that reach into the image from its border."""
    fragment_opacity: tuple[float, float] = (0.1, 0.4)
    """Of a fragment, whose grey is random."""
    lines: int = 0
    """Straight strokes of random place and grey across the image, over everything."""
    line_opacity: tuple[float, float] = (0.0, 0.6)
    noise: float = 0.05
    """Standard deviation of the noise on each pixel, as a share of the range of greys."""


def glyphs(
    alphabets: Sequence[str] = DEFAULT_ALPHABETS,
    *,
    image_size: int = 20,
    train_per_class: int = 150,
    test_per_class: int = 50,
    style: GlyphStyle = GlyphStyle(),
    seed: int = 0,
) -> Splits:
    """Images of the distinct characters of some alphabets, drawn once and cached.

    A class is a character, its group the alphabet. The images of a class depend on the character,
    the seed, the size and the style alone: those of `glyphs(("latin",))` are among those of
    `glyphs()`, and fewer per class are the first ones of more.

    Args:
        alphabets: names among `ALPHABETS`; the classes come in that order.
        image_size: side in pixels, 16 to 64.
        train_per_class: images of each character to learn from.
        test_per_class: images of each character to report on.
        style: how the characters vary.
        seed: non-negative integer.

    Returns:
        `train` and `test`: uint8 `[N, image_size, image_size, 1]`, sorted by class. There is no
        `validation`.

    Raises:
        CnnjaxError: an unknown or repeated alphabet, or a number out of range.
    """
    unknown = [name for name in alphabets if name not in ALPHABETS]
    if unknown or not alphabets or len(set(alphabets)) != len(alphabets):
        raise CnnjaxError(
            f"the alphabets {'+'.join(alphabets)!r} cannot be drawn; expected one or more of "
            f"{', '.join(ALPHABETS)}, each once; mend the name"
        )
    if not 16 <= image_size <= 64:
        raise CnnjaxError(
            f"characters of {image_size} pixels cannot be drawn; expected 16 to 64; choose another "
            "image size"
        )
    if min(train_per_class, test_per_class) < 1 or seed < 0:
        raise CnnjaxError(
            f"{train_per_class} and {test_per_class} images per class with the seed {seed} cannot "
            "be drawn; expected at least 1 image and a seed from 0 on; mend the numbers"
        )
    asked = [sorted(alphabets), image_size, train_per_class, test_per_class, seed]
    name = f"glyphs {json.dumps([*asked, dataclasses.asdict(style)])}"

    def make() -> Splits:
        chosen = [c for c in distinct_characters() if c.alphabet in alphabets]
        train = _part(chosen, train_per_class, (seed, 0), image_size, style)
        return Splits(train, None, _part(chosen, test_per_class, (seed, 1), image_size, style))

    return cached(name, fonts_digest(), make)


def _part(
    characters: list[Character],
    per_class: int,
    words: tuple[int, int],
    image_size: int,
    style: GlyphStyle,
) -> Dataset:
    images = [_draw(c, per_class, (*words, ord(c.text)), image_size, style) for c in characters]
    return Dataset(
        images=np.concatenate(images),
        labels=np.repeat(np.arange(len(characters), dtype=np.int32), per_class),
        classes=tuple(character.text for character in characters),
        groups=tuple(character.alphabet for character in characters),
    )


def _draw(
    character: Character, count: int, words: tuple[int, ...], image_size: int, style: GlyphStyle
) -> np.ndarray:
    """`count` images of a character: uint8 `[count, image_size, image_size, 1]`.

    From the random numbers on there are only sums, products, quotients and square roots, whose
    results are the same on every machine.
    """
    draws = _Draws(words, count)
    dark, contrast = draws.between(0, 1), draws.between(*style.contrast)
    dark = dark * (1 - contrast)
    ink, ground = dark + contrast, dark

    # The places of the pixels' centres, from -1/2 to 1/2.
    places = (np.arange(image_size) + 0.5) / image_size - 0.5
    x, y = places[None, None, :], places[None, :, None]
    images = ground + np.zeros((count, image_size, image_size))
    for place in (x, y):
        images += draws.between(-style.shading, style.shading) * place

    def paint(masks: np.ndarray, grey: np.ndarray) -> None:
        images[...] += masks * (grey - images)

    others = _others()
    for _ in range(style.fragments):
        picked = zip(draws.whole(len(others)), draws.uniform(), strict=True)
        shapes = [
            (others[i].text, others[i].faces[int(u * len(others[i].faces))]) for i, u in picked
        ]
        # Onto the border of a square around the image's middle.
        u, v = draws.between(-1, 1), draws.between(-1, 1)
        reach = draws.between(0.45, 0.65) / np.maximum(np.abs(u), np.abs(v))
        masks = _place(shapes, u * reach, v * reach, draws, image_size, style)
        paint(masks * draws.between(*style.fragment_opacity), draws.between(0, 1))

    shapes = [(character.text, character.faces[i]) for i in draws.whole(len(character.faces))]
    shift_x, shift_y = (draws.between(-style.shift, style.shift) for _ in range(2))
    paint(_place(shapes, shift_x, shift_y, draws, image_size, style), ink)

    for _ in range(style.lines):
        u, v = draws.between(-1, 1), draws.between(-1, 1)
        length = np.sqrt(u * u + v * v) + 1e-9
        distance = np.abs((u * x + v * y) / length - draws.between(-0.5, 0.5)) * image_size
        masks = np.clip(draws.between(0.5, 1.5) - distance + 0.5, 0, 1)
        paint(masks * draws.between(*style.line_opacity), draws.between(0, 1))

    # Four uniform numbers: near enough to a normal one, and without a logarithm.
    noise = draws.uniform(image_size, image_size, 4).sum(axis=-1) - 2
    images += noise * (style.noise * math.sqrt(3))
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)[..., None]


class _Draws:
    """Random numbers for `count` images, a stream for every call: more images leave those of the
    first ones as they are."""

    def __init__(self, words: tuple[int, ...], count: int) -> None:
        self._words, self._count, self._calls = words, count, itertools.count()

    def uniform(self, *shape: int) -> np.ndarray:
        """From 0 to 1: float64 `[count, *shape]`."""
        return stream(*self._words, next(self._calls)).random_sample((self._count, *shape))

    def between(self, low: float, high: float) -> np.ndarray:
        """float64 `[count, 1, 1]`."""
        return low + (high - low) * self.uniform(1, 1)

    def whole(self, below: int) -> np.ndarray:
        """Whole numbers from 0 to below a limit: int64 `[count]`."""
        return (self.uniform() * below).astype(np.int64)


@functools.cache
def _others() -> tuple[Character, ...]:
    return tuple(c for c in distinct_characters() if c.alphabet in DEFAULT_ALPHABETS)


def _place(
    shapes: list[tuple[str, int]],
    shift_x: np.ndarray,
    shift_y: np.ndarray,
    draws: _Draws,
    image_size: int,
    style: GlyphStyle,
) -> np.ndarray:
    """Shapes (character and face) as masks, warped and moved: float64 `[count, H, W]`, 0 to 1."""
    drawn = [_bordered(text, face) for text, face in shapes]
    width, height = np.array([image.size for image in drawn], np.float64).T[:, :, None, None]
    side = image_size * SUPERSAMPLING
    scale = draws.between(*style.size) * side / (np.maximum(width, height) - 2 * BORDER)
    stretch = draws.between(1, 1 + style.stretch)
    stretch = np.where(draws.between(0, 1) < 0.5, stretch, 1 / stretch)
    slant = draws.between(-style.slant, style.slant)
    # Cosine and sine from the tangent of half the angle, by quotients alone.
    half = draws.between(-1, 1) * math.tan(math.radians(style.rotation) / 2)
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    # From a place in the image to one in the shape: turned back, straightened, shrunk back.
    a, b = (cos + slant * sin) / (scale * stretch), (sin - slant * cos) / (scale * stretch)
    d, e = -sin * stretch / scale, cos * stretch / scale
    centre_x, centre_y = (0.5 + shift_x) * side, (0.5 + shift_y) * side
    c, f = width / 2 - a * centre_x - b * centre_y, height / 2 - d * centre_x - e * centre_y
    matrices = np.stack([a, b, c, d, e, f], axis=-1).reshape(-1, 6).tolist()
    masks = np.empty((len(shapes), image_size, image_size), np.uint8)
    for mask, image, matrix in zip(masks, drawn, matrices, strict=True):
        warped = image.transform(
            (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        mask[:] = warped.reduce(SUPERSAMPLING)
    return masks / 255


@functools.cache
def _bordered(text: str, face: int) -> Image.Image:
    image = shape(text, face)
    bordered = Image.new("L", (image.width + 2 * BORDER, image.height + 2 * BORDER))
    bordered.paste(image, (BORDER, BORDER))
    return bordered
