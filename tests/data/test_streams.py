"""Streamed folders: the images that they have in memory, and what is said of damaged ones."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import batch_indices, decoded_bytes, load, stream
from cnnjax.errors import CnnjaxError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 300 small PNGs and JPEGs, no two alike, of mixed sizes."""
    root, random = tmp_path_factory.mktemp("photos"), np.random.RandomState(0)
    for number in range(300):
        folder = root / ("cat", "dog", "eel")[number % 3]
        folder.mkdir(exist_ok=True)
        pixels = random.randint(0, 256, (12 + number % 5, 16, 3)).astype(np.uint8)
        suffix = "jpg" if number % 2 else "png"
        Image.fromarray(pixels).save(folder / f"{number:03}.{suffix}")
    return root


@pytest.fixture
def damaged(photos, tmp_path):
    """The same with the files of a few pictures spoilt: cut off, emptied, gone, no picture."""
    root = tmp_path / "damaged"
    for file in photos.rglob("*.*"):
        target = root / file.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    files = sorted(root.rglob("*.png"))
    files[3].write_bytes(files[3].read_bytes()[:100])
    files[40].write_bytes(b"")
    files[80].write_text("no picture")
    (root / "eel" / "gone.png").symlink_to(root / "nowhere.png")
    return root, {str(files[3]), str(files[40]), str(files[80]), str(root / "eel" / "gone.png")}


@pytest.mark.parametrize("size", [None, 7])
def test_a_streamed_folder_has_the_images_that_it_has_in_memory(photos, size):
    name = f"folder:{photos}"
    parts = zip(stream(name, image_size=size), load(name, image_size=size), strict=True)
    for streamed, loaded in parts:
        assert streamed.classes == loaded.classes
        assert streamed.image_shape == loaded.image_shape
        np.testing.assert_array_equal(streamed.labels, loaded.labels)
        for index in range(len(loaded)):
            np.testing.assert_array_equal(streamed.read(index), loaded.images[index])


def test_grey_pictures_of_one_size_stay_as_they_are(tmp_path):
    for number in range(20):
        folder = tmp_path / str(number % 2)
        folder.mkdir(exist_ok=True)
        Image.new("L", (9, 5), number).save(folder / f"{number}.png")
    data = stream(f"folder:{tmp_path}").train
    assert data.image_shape == (5, 9, 1)
    np.testing.assert_array_equal(data.read(3), load(f"folder:{tmp_path}").train.images[3])


def test_a_training_is_fed_the_batches_that_it_has_in_memory(photos, batches_of):
    name = f"folder:{photos}"
    streamed, loaded = stream(name, image_size=8).train, load(name, image_size=8).train
    indices = batch_indices(len(loaded), 32, 5, 0, 15)  # two epochs and more
    for batch, places in zip(batches_of(streamed, 32, 5, 15), indices, strict=True):
        np.testing.assert_array_equal(batch.images, loaded.images[places])
        np.testing.assert_array_equal(batch.labels, loaded.labels[places])
        assert batch.mask.all()


def test_the_number_of_workers_changes_nothing(photos, batches_of, same):
    one, many = (
        batches_of(stream(f"folder:{photos}", image_size=8, workers=workers).train, 16, 1, 15)
        for workers in (1, 5)
    )
    assert same(one, many)


def test_a_few_images_of_each_class_are_those_that_are_taken_in_memory(photos):
    name = f"folder:{photos}"
    some = stream(name, image_size=8).train.per_class(4, seed=2)
    expected = load(name, image_size=8).train.per_class(4, seed=2)
    np.testing.assert_array_equal(some.labels, expected.labels)
    np.testing.assert_array_equal([some.read(i) for i in range(12)], expected.images)


def test_corrupt_files_are_named_and_counted(damaged, batches_of):
    root, bad = damaged
    data = stream(f"folder:{root}", image_size=8).train
    assert all(batch.mask.all() for batch in batches_of(data, 32, 0, 2 * len(data) // 32 + 1))
    ours = {path for path in bad if any(data.source[p].name == path for p in data.places)}
    assert len(data.reading.corrupt) == len(ours) > 1
    for message in data.reading.corrupt.values():
        assert any(repr(path) in message for path in ours)
        assert "\n" not in message


def test_strictly_read_a_corrupt_file_is_an_error_that_names_it(damaged, batches_of):
    root, bad = damaged
    data = stream(f"folder:{root}", image_size=8, strict=True).train
    with pytest.raises(CnnjaxError, match="is not a whole picture") as caught:
        batches_of(data, 32, 0, len(data) // 32 + 1)
    assert any(repr(path) in str(caught.value) for path in bad)
    assert "\n" not in str(caught.value)


def test_a_folder_of_broken_files_is_refused(tmp_path):
    for number in range(4):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        (tmp_path / str(number % 2) / f"{number}.png").write_text("no picture")
    with pytest.raises(CnnjaxError, match=r"'.*0\.png' is not a whole picture"):
        stream(f"folder:{tmp_path}")


def test_a_picture_of_another_size_than_all_others_had_is_named(tmp_path):
    for number in range(20):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        Image.new("RGB", (9, 5)).save(tmp_path / str(number % 2) / f"{number:02}.png")
    data = stream(f"folder:{tmp_path}").train
    name = data.source[int(data.places[0])].name
    Image.new("RGB", (9, 6)).save(name)
    with pytest.raises(CnnjaxError, match="has 9 x 6 pixels; expected 9 x 5 like the others"):
        data.read(0)


def test_the_size_in_memory_is_known_beforehand(photos):
    name = f"folder:{photos}"
    for size in (None, 8):
        assert decoded_bytes(name, size) == sum(
            p.images.nbytes for p in load(name, image_size=size)
        )
    assert decoded_bytes("digits") is None


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("digits", {}, "'digits' is not streamed; expected folder:PATH or tfds:NAME"),
        ("folder:/nowhere", {}, "is no folder"),
        ("folder:/nowhere", {"workers": 0}, "0 workers cannot read"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_line(name, options, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        stream(name, **options)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_tells_data_apart(photos, damaged):
    data, again = (stream(f"folder:{photos}", image_size=8).train for _ in range(2))
    assert data.fingerprint() == again.fingerprint()
    others = [
        stream(f"folder:{photos}", image_size=9).train,
        stream(f"folder:{damaged[0]}", image_size=8).train,
        data.take(range(5)),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == 4


@pytest.mark.slow  # some seconds of decoding
def test_a_stream_holds_some_batches_in_memory_and_not_the_images(tmp_path):
    photo = np.tile(np.arange(640, dtype=np.uint8)[:, None, None], (1, 640, 3))
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(photo).save(tmp_path / label / "0.jpg")
        for number in range(1, 350):
            (tmp_path / label / f"{number}.jpg").hardlink_to(tmp_path / label / "0.jpg")
    program = (
        "import resource, sys\n"
        "from cnnjax.data import decoded_bytes, stream\n"
        "from cnnjax.data.readers import TrainingReader\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "data = stream(sys.argv[1]).train\n"
        "steps = len(data) // 8\n"
        "reader = TrainingReader(data, 8, 0, steps)\n"
        "next(reader)\n"
        "before = most()\n"
        "for _ in range(1, steps): next(reader)\n"
        "print(most() - before, len(data) * 640 * 640 * 3)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, f"folder:{tmp_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    more, decoded = map(int, found.stdout.split())
    assert decoded > 500e6
    assert more < 100e6
