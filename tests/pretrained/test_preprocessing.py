"""From pictures to the images that weights were trained on."""

import numpy as np
import pytest
from PIL import Image

from cnnjax import CnnjaxError
from cnnjax.pretrained import Preprocessing

NOISE = np.random.default_rng(0).integers(0, 256, (61, 90, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_the_shorter_side_is_scaled_and_the_middle_cut_out(picture):
    (found,) = Preprocessing(40, 33, "bicubic").pictures([picture])
    scaled = Image.fromarray(NOISE).resize((int(40 * 90 / 61), 40), Image.Resampling.BICUBIC)
    left, top = round((59 - 33) / 2), round((40 - 33) / 2)
    expected = np.asarray(scaled)[top : top + 33, left : left + 33]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_a_picture_of_the_right_size_stays_as_it_is(tmp_path):
    Image.fromarray(NOISE[:32, :32]).save(tmp_path / "a.png")
    found = Preprocessing(32, 32).pictures([tmp_path / "a.png"])
    np.testing.assert_array_equal(found[0], NOISE[:32, :32])


def test_pictures_keep_their_order_and_grey_and_transparent_ones_become_colour(tmp_path):
    grey, clear = tmp_path / "b.png", tmp_path / "a.png"
    Image.new("L", (8, 8), 77).save(grey)
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(clear)
    found = Preprocessing(8, 8).pictures([grey, clear])
    assert found.shape == (2, 8, 8, 3)
    assert (found[0] == 77).all()
    assert (found[1] == 255).all()


def test_networks_for_grey_images_get_grey(picture):
    found = Preprocessing(30, 28, channels=1).pictures([picture])
    assert found.shape == (1, 28, 28, 1)


def test_a_ribbon_is_cut_before_it_fills_the_memory(tmp_path):
    pixels = np.zeros((1, 20_000, 3), np.uint8)
    pixels[:, 9_990:10_010] = 255
    Image.fromarray(pixels).save(tmp_path / "ribbon.png")
    found = Preprocessing(256, 224).pictures([tmp_path / "ribbon.png"])
    assert (found == 255).all()  # 20 pixels are white in the middle, and the crop shows one


def test_a_damaged_picture_is_named(tmp_path, picture):
    (tmp_path / "bad.jpg").write_bytes(picture.read_bytes()[:100])
    with pytest.raises(CnnjaxError, match=r"bad.jpg' is not a whole picture"):
        Preprocessing(8, 8).pictures([picture, tmp_path / "bad.jpg"])


@pytest.mark.parametrize(
    "settings", [(8, 9), (0, 0), (8, 8, "nearest"), (8, 8, "bilinear", None, 4)]
)
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(CnnjaxError, match="expected resize >= crop >= 1"):
        Preprocessing(*settings)
