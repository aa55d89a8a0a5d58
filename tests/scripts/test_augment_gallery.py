"""The gallery of augmentations: what it shows, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import augment

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = SCRIPTS / "augment_gallery.py"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def kinds(rows):
    stages = [one for row in rows.values() for one in row.values()]
    return {type(stage) for stage in stages}


def test_every_augmentation_has_a_row():
    from augment_gallery import rows

    public = {getattr(augment, name) for name in augment.__all__ if name != "Augmentation"}
    classes = {one for one in public if isinstance(one, type)} - {augment.Standardization}
    assert kinds(rows(20, 3)) - classes == {type(augment.compose())}
    assert kinds(rows(20, 3)) >= classes
    assert kinds(rows(20, 3)) - kinds(rows(20, 1)) == {augment.hue, augment.saturation}


def test_the_picture_shows_the_image_and_two_draws_of_each_strength(monkeypatch):
    import augment_gallery

    few = {"flip": {"always": augment.flip(1), "never": augment.flip(0)}}
    monkeypatch.setattr(augment_gallery, "rows", lambda *_: few | {"pad": {"1": augment.pad(1)}})
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    figure = augment_gallery.draw(image, seed=0)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(shown) == 1 + 4 + 1 + 2
    for picture, expected in zip(
        shown, [image, image[:, ::-1], image[:, ::-1], image, image, image], strict=False
    ):
        np.testing.assert_array_equal(picture, expected)
    assert shown[-1].shape == (6, 6, 3)
    texts = [axes.get_title() for axes in figure.axes] + [
        t.get_text() for t in figure.axes[0].texts
    ]
    assert {"always", "never", "1", "flip"} <= set(texts)


@pytest.mark.slow
def test_the_command_writes_a_small_picture(tmp_path, run_script):
    done = run_script(SCRIPT, "--dataset", "digits", "--out", "gallery.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.png"]
    assert (tmp_path / "gallery.png").stat().st_size < 400_000
    assert min(Image.open(tmp_path / "gallery.png").size) > 400


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--out", "gallery.jpg"], "--out gallery.jpg is no PNG"),
        (["--dataset", "digits", "--image", "5000"], "there is no training image 5000 in digits"),
        (["--dataset", "digits", "--seed", "-1"], "--seed -1 is negative"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(tmp_path, run_script, flags, says):
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
