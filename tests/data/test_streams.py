"""Streamed data: the images that it has in memory, in an order that seed and step decide."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnjax.data import batch_indices, decoded_bytes, load, stream
from cnnjax.data.pictures import Geometry, Picture
from cnnjax.data.readers import TrainingReader, every_example_once
from cnnjax.data.streamed import StreamedDataset
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


def batches_of(data, batch_size, seed, steps, **own):
    reader = TrainingReader(data, batch_size, seed, steps, **own)
    try:
        return [next(reader) for _ in range(steps)]
    finally:
        reader.close()


def same(one, other):
    return all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
        for a, b in zip(one, other, strict=True)
    )


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


def test_a_training_is_fed_the_batches_that_it_has_in_memory(photos):
    name = f"folder:{photos}"
    streamed, loaded = stream(name, image_size=8).train, load(name, image_size=8).train
    indices = batch_indices(len(loaded), 32, 5, 0, 15)  # two epochs and more
    for batch, places in zip(batches_of(streamed, 32, 5, 15), indices, strict=True):
        np.testing.assert_array_equal(batch.images, loaded.images[places])
        np.testing.assert_array_equal(batch.labels, loaded.labels[places])
        assert batch.mask.all()


def test_the_number_of_workers_changes_nothing(photos):
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


class Numbers:
    """Pictures that tell their number; those in `broken` cannot be read."""

    def __init__(self, broken=()):
        self.broken = broken

    def __getitem__(self, place):
        if place in self.broken:
            raise CnnjaxError(f"picture {place} is broken")
        file = io.BytesIO()
        Image.new("L", (1, 1), place).save(file, "BMP")
        return Picture(str(place), file.getvalue())

    def identity(self, place):
        return str(place)


def numbered(size, broken=(), **options):
    labels = np.arange(size, dtype=np.int32)
    classes = tuple(map(str, range(size)))
    geometry = Geometry("L", None, (1, 1, 1))
    return StreamedDataset(
        Numbers(broken), np.arange(size), labels, classes, geometry, 2, **options
    )


def seen(batches):
    return np.concatenate([batch.images[:, 0, 0, 0] for batch in batches])


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_every_epoch_is_a_permutation(size, batch_size, seed):
    steps = -(-2 * size // batch_size)
    row = seen(batches_of(numbered(size), batch_size, seed, steps))
    for epoch in (row[:size], row[size : 2 * size]):
        assert sorted(epoch) == list(range(size))


PARTS = [[range(3), range(3, 6)], [[0, 1], [2, 3], [4, 5]], [[0, 3, 4], [1, 5], [2]]]


@pytest.mark.parametrize("parts", PARTS)
def test_processes_read_disjoint_parts_that_cover_each_batch(parts):
    broken = (2, 11)
    whole = seen(batches_of(numbered(20, broken), 6, 0, 10)).reshape(10, 6)
    for own in parts:
        part = seen(batches_of(numbered(20, broken), 6, 0, 10, own=own)).reshape(10, -1)
        np.testing.assert_array_equal(part, whole[:, list(own)])


@pytest.mark.parametrize("own", [[], [6], [-1, 0]])
def test_places_that_are_none_are_refused(own):
    with pytest.raises(CnnjaxError, match="places of a batch of 6 are to be read; expected"):
        TrainingReader(numbered(20), 6, 0, 10, own=own)


@pytest.mark.parametrize("broken", [(), (2, 11)])
@pytest.mark.parametrize(
    ("before", "after"), [(None, None), (range(3), None), (None, [1, 5]), ([2], [0, 4, 5])]
)
def test_a_reader_goes_on_in_mid_epoch_where_another_stopped(broken, before, after):
    data = numbered(20, broken)
    whole = batches_of(data, 6, 0, 10, own=after)
    first = TrainingReader(numbered(20, broken), 6, 0, 10, own=before)
    for _ in range(4):
        next(first)
    state = json.loads(json.dumps(first.get_state()))
    found = set(first._data.reading.corrupt)
    first.close()
    again = numbered(20, broken)
    second = TrainingReader(again, 6, 0, 10, own=after)
    second.set_state(state, 4)
    assert set(again.reading.corrupt) == found
    assert same([next(second) for _ in range(6)], whole[4:])
    if before is after is None:
        assert again.reading.corrupt == data.reading.corrupt
    with pytest.raises(StopIteration):
        next(second)


@pytest.mark.parametrize("state", [{}, {"grain": {"next_index": 12}, "batch": 6, "corrupt": {}}])
def test_a_state_of_another_training_is_refused(state):
    reader = TrainingReader(numbered(20), 6, 0, 10)
    with pytest.raises(CnnjaxError, match="the checkpoint of step 4 holds no position"):
        reader.set_state(state, 4)


def test_for_what_cannot_be_read_another_stands_in_and_the_rest_keeps_its_place():
    broken = (2, 11)
    plain, data = seen(batches_of(numbered(20), 6, 3, 10)), numbered(20, broken)
    row = seen(batches_of(data, 6, 3, 10))
    gone = np.isin(plain, broken)
    assert gone.sum() == 6
    np.testing.assert_array_equal(row[~gone], plain[~gone])
    assert not np.isin(row, broken).any()
    assert len(set(row[gone])) > 2  # not always the same
    assert data.reading.corrupt == {n: f"picture {n} is broken" for n in broken}


@pytest.mark.parametrize("parts", [[None], *PARTS])
def test_an_evaluation_sees_every_example_once_and_leaves_out_what_cannot_be_read(parts):
    data = numbered(20, broken=(2, 11))
    parts = [batch for own in parts for batch in every_example_once(data, 6, own)]
    row, mask = seen(parts), np.concatenate([batch.mask for batch in parts])
    assert sorted(row[mask == 1]) == sorted(set(range(20)) - {2, 11})
    assert len(row) == 24
    assert set(data.reading.corrupt) == {2, 11}


def test_corrupt_files_are_named_and_counted(damaged):
    root, bad = damaged
    data = stream(f"folder:{root}", image_size=8).train
    assert all(batch.mask.all() for batch in batches_of(data, 32, 0, 2 * len(data) // 32 + 1))
    ours = {path for path in bad if any(data.source[p].name == path for p in data.places)}
    assert len(data.reading.corrupt) == len(ours) > 1
    for message in data.reading.corrupt.values():
        assert any(repr(path) in message for path in ours)
        assert "\n" not in message


def test_strictly_read_a_corrupt_file_is_an_error_that_names_it(damaged):
    root, bad = damaged
    data = stream(f"folder:{root}", image_size=8, strict=True).train
    with pytest.raises(CnnjaxError, match="is not a whole picture") as caught:
        batches_of(data, 32, 0, len(data) // 32 + 1)
    assert any(repr(path) in str(caught.value) for path in bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [6, 300])
def test_where_nothing_can_be_read_a_training_and_an_evaluation_end_with_an_error(size):
    data = numbered(size, broken=range(size))
    with pytest.raises(CnnjaxError, match=f"of {size} images were tried one after the other"):
        batches_of(data, 4, 0, 1)
    with pytest.raises(CnnjaxError, match=f"none of the {size} images can be read"):
        list(every_example_once(data, 4))


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
