"""Which characters the glyphs are made of, in which faces, and which look too much alike.

Only the faces that matplotlib ships are used, and a face only for the characters its own character
map holds: a missing character would come out as an empty box.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ALPHABETS: dict[str, str] = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "cyrillic": "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЂЄЉЊЋЏабвгдежзийклмнопрстуфхцчшщъыьэюяђєљњћџ",
    "greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψω",
    "armenian": "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ",
    "georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
}
FACES: tuple[str, ...] = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
)
FONT_SIZE = 64
"""Pixels per em of the shapes that everything is made from."""
ALIKE = 0.9
"""Shapes of a greater `similarity` in the same face look alike. It lies between the pairs everyone
confuses (Тт 0.98, Oo 0.97, Kк 0.91) and those that differ by a stroke (OΘ 0.87, EF 0.83)."""
ALIKE_IN_CASE = 0.8
"""The same for a letter and its own other case, of which less is left once sizes vary (Йй 0.87,
Pp 0.84; but Jj 0.73)."""


class Character(NamedTuple):
    """A character and the faces (indices into `FACES`) in which nothing before it looks alike."""

    text: str
    alphabet: str
    faces: tuple[int, ...]


@functools.cache
def distinct_characters() -> tuple[Character, ...]:
    """The characters that can be told apart, in the order of `ALPHABETS`.

    The characters are taken in turn. The faces of one are those that hold it and in which its
    shape looks like none of the characters kept before it; with fewer than half of its faces left
    it is dropped. So Latin А stays and Cyrillic А and Greek Α go, O stays and o goes, and т is
    drawn upright only, because its italic is an m in some faces.
    """
    characters = [(text, name) for name, texts in ALPHABETS.items() for text in texts]
    shapes = [[shape(text, face) for text, _ in characters] for face in range(len(FACES))]
    held = np.array([[image is not None for image in row] for row in shapes])
    letters = np.array([text.casefold() for text, _ in characters])
    limits = np.where(letters[:, None] == letters, ALIKE_IN_CASE, ALIKE)
    alike = np.stack([similarity(row) > limits for row in shapes])
    used = np.zeros_like(held)
    kept = []
    for i, (text, alphabet) in enumerate(characters):
        faces = held[:, i] & ~alike[:, i, :i].any(axis=1)
        if 2 * faces.sum() >= held[:, i].sum():
            used[:, i] = faces
            kept.append(Character(text, alphabet, tuple(np.flatnonzero(faces).tolist())))
    return tuple(kept)


@functools.cache
def shape(text: str, face: int) -> Image.Image | None:
    """The character in white on black, cut to its ink; None where the face does not hold it."""
    if ord(text) not in _character_map(face):
        return None
    canvas = Image.new("L", (3 * FONT_SIZE, 3 * FONT_SIZE))
    ImageDraw.Draw(canvas).text((FONT_SIZE, FONT_SIZE), text, font=_font(face), fill=255)
    return canvas.crop(canvas.getbbox())


def similarity(shapes: Sequence[Image.Image | None], side: int = 20) -> np.ndarray:
    """How alike shapes look whatever their size: float32 `[K, K]`, 1 on the diagonal.

    Each shape is stretched to a square (at most to twice its proportions, so that an l does not
    become a block), blurred by 1.5 pixels (so that a bold letter is like a thin one), and
    correlated: the Pearson correlation of the pixels. Shapes whose proportions differ by more than
    a factor of 1.6 count as unlike (0). A shape that is None is like nothing.
    """
    vectors = np.zeros((len(shapes), side * side), np.float32)
    proportions = np.zeros(len(shapes))
    for i, image in enumerate(shapes):
        if image is not None:
            width, height = image.size
            proportions[i] = math.log(width / height)
            size = (
                max(1, round(side * min(1, 2 * width / height))),
                max(1, round(side * min(1, 2 * height / width))),
            )
            square = Image.new("L", (side, side))
            corner = ((side - size[0]) // 2, (side - size[1]) // 2)
            square.paste(image.resize(size, Image.Resampling.BOX), corner)
            pixels = np.asarray(square.filter(ImageFilter.GaussianBlur(1.5)), np.float32).ravel()
            vectors[i] = pixels - pixels.mean()
            vectors[i] /= np.linalg.norm(vectors[i])
    unlike = np.abs(proportions[:, None] - proportions) > math.log(1.6)
    return np.where(unlike, np.float32(0), vectors @ vectors.T)


def fonts_digest() -> str:
    """The SHA-256 of the font files: the same characters come only from the same fonts."""
    digest = hashlib.sha256()
    for face in range(len(FACES)):
        digest.update(_font_file(face).read_bytes())
    return digest.hexdigest()


def _font_file(face: int) -> Path:
    return Path(get_data_path(), "fonts", "ttf", f"{FACES[face]}.ttf")


@functools.cache
def _font(face: int) -> ImageFont.FreeTypeFont:
    # The basic layout: whether Raqm is there differs between machines.
    return ImageFont.truetype(_font_file(face), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _character_map(face: int) -> frozenset[int]:
    return frozenset(FT2Font(str(_font_file(face))).get_charmap())
