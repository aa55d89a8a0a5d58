from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from cnnjax.data.alphabets import (
    ALIKE,
    ALPHABETS,
    FACES,
    FONT_SIZE,
    distinct_characters,
    shape,
    similarity,
)

KEPT = {character.text: character for character in distinct_characters()}
CASES = [c + c.upper() for c in "copsvwxzвгджзийклмнопрстуфхцчшщъыьэюяњθψ"]
ACROSS = [
    *("AАΑ", "BВΒ", "EЕΕ", "HНΗ", "IΙl", "KКΚкκ", "MΜМм", "NΝ", "OОΟoоοՕօ", "PРΡpрρ", "TТΤт"),
    *("XХΧxх", "YΥ", "ZΖ", "CСcс", "UՍ", "ФΦՓ", "LԼ", "ГΓ", "ПΠ"),
    *("aа", "eе", "yу", "uս", "nո", "hհ", "gց"),
]


def resembles(a, b):
    """How alike two characters look in the middle one of the faces that hold both."""
    pairs = [(shape(a, face), shape(b, face)) for face in range(len(FACES))]
    return np.median([similarity(pair)[0, 1] for pair in pairs if None not in pair])


def test_of_characters_known_to_look_alike_at_most_one_is_kept():
    for alike in CASES + ACROSS:
        assert sum(text in KEPT for text in alike) <= 1, alike


def test_characters_that_differ_by_a_stroke_are_kept_both():
    for different in ("OQ", "EF", "CG", "PR", "VY", "UY", "hn", "ШЩ", "ИЙ", "ЬЫ", "ЪЬ", "ΞE", "ΔA"):
        assert resembles(*different) < ALIKE
        assert set(different) <= set(KEPT)


def test_no_two_kept_characters_look_alike_in_a_face_both_are_drawn_in():
    for face in range(len(FACES)):
        drawn = [c.text for c in KEPT.values() if face in c.faces]
        alike = similarity([shape(text, face) for text in drawn]) > ALIKE
        assert alike.sum() == len(drawn), [
            drawn[i] + drawn[j] for i, j in zip(*np.nonzero(alike), strict=True) if i < j
        ]


def test_every_alphabet_keeps_enough_characters_to_be_halved():
    counts = {name: sum(c.alphabet == name for c in KEPT.values()) for name in ALPHABETS}
    assert counts["latin"] >= 40
    assert min(counts.values()) >= 20
    assert sum(counts[name] for name in ("latin", "cyrillic", "greek")) >= 90


def test_characters_come_in_the_order_of_their_alphabets():
    order = "".join(ALPHABETS.values())
    assert len(set(order)) == len(order)
    assert [order.index(text) for text in KEPT] == sorted(order.index(text) for text in KEPT)
    assert all(c.text in ALPHABETS[c.alphabet] for c in KEPT.values())


def test_a_character_keeps_at_least_half_of_the_faces_that_hold_it():
    for character in KEPT.values():
        held = [face for face in range(len(FACES)) if shape(character.text, face) is not None]
        assert set(character.faces) <= set(held)
        assert 2 * len(character.faces) >= len(held)


@pytest.mark.parametrize("face", FACES)
def test_no_face_draws_the_box_of_a_missing_character(face):
    file = Path(get_data_path(), "fonts", "ttf", f"{face}.ttf")
    font = ImageFont.truetype(file, FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    canvas = Image.new("L", (3 * FONT_SIZE, 3 * FONT_SIZE))
    # U+F8FF is for private use: no face has it.
    ImageDraw.Draw(canvas).text((FONT_SIZE, FONT_SIZE), "\uf8ff", font=font, fill=255)
    box = canvas.crop(canvas.getbbox())
    for texts in ALPHABETS.values():
        for text in texts:
            image = shape(text, FACES.index(face))
            assert image is None or image.tobytes() != box.tobytes(), text


def test_a_face_without_a_character_has_no_shape_of_it():
    # Georgian is not in the STIX faces.
    assert all(shape("\uf8ff", face) is None for face in range(len(FACES)))
    assert shape("ა", FACES.index("STIXGeneral")) is None
    assert shape("ა", FACES.index("DejaVuSans")) is not None


def test_similarity_is_one_for_the_same_shape_of_any_size():
    face = FACES.index("DejaVuSans")
    image = shape("R", face)
    found = similarity([image, image.resize((image.width // 2, image.height // 2)), None])
    assert found[0, 0] == pytest.approx(1)
    assert found[0, 1] > 0.97
    assert not found[2].any()
    np.testing.assert_allclose(found, found.T)


def test_similarity_sees_proportions():
    face = FACES.index("DejaVuSans")
    image = shape("H", face)
    assert similarity([image, image.resize((image.width, 2 * image.height))])[0, 1] == 0
