import numpy as np
import pytest

from cnnjax.data import load
from cnnjax.errors import CnnjaxError


def test_digits_are_the_1797_of_scikit_learn_in_fixed_parts():
    from sklearn.datasets import load_digits

    first, second = load("digits"), load("digits")
    assert [len(part) for part in first] == [1258, 180, 359]
    assert [part.fingerprint() for part in first] == [part.fingerprint() for part in second]
    assert first.train.images.shape[1:] == (8, 8, 1)
    assert first.train.classes == tuple("0123456789")
    # 0 to 16 become 0 to 255, and every digit is there once.
    found = sorted(
        (label, image.tobytes())
        for part in first
        for image, label in zip(part.images, part.labels, strict=True)
    )
    bunch = load_digits()
    scaled = np.rint(bunch.images / 16 * 255).astype(np.uint8)
    expected = [(y, x.tobytes()) for x, y in zip(scaled, bunch.target, strict=True)]
    assert found == sorted(expected)


def test_an_image_size_resizes_digits():
    assert load("digits", image_size=16).test.images.shape == (359, 16, 16, 1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glyfs", "did you mean glyphs"),
        ("mnits", "did you mean mnist"),
        ("cifar", "did you mean cifar10"),
        ("digit", "did you mean digits"),
        ("", "choose one of them"),
        ("ftp:server", "expected glyphs"),
    ],
)
def test_an_unknown_name_lists_what_is_understood_and_what_is_close(name, hint):
    with pytest.raises(CnnjaxError, match=hint) as caught:
        load(name)
    text = str(caught.value)
    assert "\n" not in text
    for known in ("glyphs/latin", "digits", "mnist", "npz:PATH", "folder:PATH", "tfds:NAME"):
        assert known in text


@pytest.mark.parametrize("name", ["digits", "glyphs", "npz:x", "folder:x", "mnist"])
def test_an_image_size_below_one_is_refused_for_every_source(name):
    with pytest.raises(CnnjaxError, match="expected 1 or more"):
        load(name, image_size=0)
