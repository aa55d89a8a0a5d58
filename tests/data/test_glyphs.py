import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from cnnjax.data import GlyphStyle, glyphs, load
from cnnjax.errors import CnnjaxError

FEW = {"train_per_class": 4, "test_per_class": 2}
PLAIN = GlyphStyle(
    size=(0.7, 0.7),
    stretch=0,
    rotation=0,
    slant=0,
    shift=0,
    contrast=(1, 1),
    shading=0,
    fragments=0,
    lines=0,
    noise=0,
)


@pytest.fixture(scope="module")
def few(shared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNJAX_CACHE", str(shared_cache))
        return glyphs(**FEW)


def test_glyphs_are_grey_images_with_an_alphabet_for_each_class(few):
    train = few.train
    assert train.images.shape == (4 * train.num_classes, 20, 20, 1)
    assert few.validation is None
    assert len(few.test) == 2 * train.num_classes
    assert np.all(np.bincount(train.labels) == 4)
    assert train.classes == few.test.classes
    assert set(train.groups) == {"latin", "cyrillic", "greek"}
    assert dict(zip(train.classes, train.groups, strict=True))["Ж"] == "cyrillic"


def test_the_images_use_the_range_of_greys_and_no_two_are_the_same(few):
    images = np.concatenate([few.train.images, few.test.images])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    assert images.min() == 0
    assert images.max() == 255
    assert 60 < images.mean() < 100  # light ink on a dark ground
    assert images.std(axis=(1, 2, 3)).min() > 10


def test_another_process_draws_the_same_images(few, tmp_path):
    program = (
        "from cnnjax.data import glyphs;"
        "print(*(p.fingerprint() for p in glyphs(train_per_class=4, test_per_class=2) if p))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={"CNNJAX_CACHE": str(tmp_path), "PATH": "", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.split() == [few.train.fingerprint(), few.test.fingerprint()]


def test_one_alphabet_is_the_same_as_in_all_of_them(few):
    ids = [i for i, group in enumerate(few.train.groups) if group == "greek"]
    chosen = few.select_classes(ids)
    alone = glyphs(["greek"], **FEW)
    assert alone.train.fingerprint() == chosen.train.fingerprint()
    assert alone.test.fingerprint() == chosen.test.fingerprint()


def test_fewer_images_are_the_first_of_more():
    more, fewer = (glyphs(["greek"], train_per_class=n, test_per_class=1) for n in (5, 3))
    assert np.array_equal(
        fewer.train.images.reshape(-1, 3, 400), more.train.images.reshape(-1, 5, 400)[:, :3]
    )


def test_seeds_and_parts_have_images_of_their_own(few):
    other = glyphs(["greek"], seed=1, **FEW).train
    first = glyphs(["greek"], **FEW)
    for a, b in ((other, first.train), (first.test, first.train)):
        rows = {row.tobytes() for row in a.images} & {row.tobytes() for row in b.images}
        assert not rows


@pytest.mark.parametrize("size", [16, 33, 64])
def test_glyphs_are_drawn_at_the_size_asked_for(size):
    splits = glyphs(["georgian"], image_size=size, train_per_class=1, test_per_class=1)
    assert splits.train.images.shape[1:] == (size, size, 1)


def test_without_any_variation_the_character_itself_is_there():
    train = glyphs(["latin"], style=PLAIN, train_per_class=6, test_per_class=1).train
    images = train.images.astype(float)
    bars = images[train.labels == train.classes.index("I")][:, :, :, 0]
    ground = bars[:, 0, 0]
    assert set(ground) <= {0.0, 255.0}
    # An I stands upright in the middle: full ink there, only ground at the sides.
    assert np.all(np.abs(bars[:, 7:13, 9:11] - ground[:, None, None]).max(axis=2) > 120)
    assert np.all(bars[:, :, :3] == ground[:, None, None])
    assert np.all(bars[:, :, -3:] == ground[:, None, None])


def test_a_character_is_drawn_upright_and_centred():
    train = glyphs(["latin"], style=PLAIN, train_per_class=8, test_per_class=1).train
    images = train.images[train.labels == train.classes.index("L")][..., 0].astype(float)
    ink = np.abs(images - images[:, :1, :1]) / 255
    # The foot of an L is below and to the right.
    below, above = ink[:, 10:].sum(axis=(1, 2)), ink[:, :10].sum(axis=(1, 2))
    right, left = ink[:, 13:, 10:].sum(axis=(1, 2)), ink[:, :7, 10:].sum(axis=(1, 2))
    assert np.all(below > above)
    assert np.all(right > left)
    rows = np.nonzero(ink.max(axis=2) > 0.1)[1]
    # 0.7 of 20 pixels, in the middle.
    assert rows.min() in (2, 3)
    assert rows.max() in (16, 17)


@pytest.mark.parametrize(
    "change",
    [
        {"stretch": 0.3},
        {"rotation": 20.0},
        {"slant": 0.3},
        {"shift": 0.2},
        {"contrast": (0.2, 0.4)},
        {"shading": 0.5},
        {"fragments": 3},
        {"lines": 2},
        {"noise": 0.1},
        {"size": (0.4, 0.5)},
    ],
    ids=str,
)
def test_every_field_of_the_style_changes_the_images(change):
    style = dataclasses.replace(PLAIN, **change)
    few = {"train_per_class": 1, "test_per_class": 1}
    plain, changed = (glyphs(["georgian"], style=s, **few) for s in (PLAIN, style))
    assert np.mean(plain.train.images != changed.train.images, axis=(1, 2, 3)).min() > 0


def test_noise_has_the_stated_standard_deviation():
    style = dataclasses.replace(PLAIN, contrast=(0.5, 0.5), noise=0.05)
    few = {"train_per_class": 20, "test_per_class": 1}
    plain, noisy = (
        glyphs(["georgian"], style=s, **few).train.images.astype(float)
        for s in (dataclasses.replace(style, noise=0), style)
    )
    # Where the grey is far from black and white, nothing is cut off.
    middle = (plain > 60) & (plain < 195)
    assert (noisy - plain)[middle].std() / 255 == pytest.approx(0.05, rel=0.03)


def test_load_understands_alphabets_and_a_size():
    splits = load("glyphs/georgian+greek", image_size=16)
    assert list(dict.fromkeys(splits.train.groups)) == ["greek", "georgian"]
    assert splits.train.images.shape == (150 * splits.train.num_classes, 16, 16, 1)
    assert len(splits.test) == 50 * splits.test.num_classes


@pytest.mark.parametrize("name", ["glyphs/gothic", "glyphs/", "glyphs/greek+greek"])
def test_alphabets_that_cannot_be_drawn_are_refused_in_one_line(name):
    with pytest.raises(CnnjaxError, match="expected one or more of latin, cyrillic") as caught:
        load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"image_size": 15}, {"image_size": 65}, {"train_per_class": 0}, {"seed": -1}]
)
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(CnnjaxError, match="cannot be drawn"):
        glyphs(**change)
