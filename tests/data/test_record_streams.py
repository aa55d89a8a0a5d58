"""Streamed array_record files of TensorFlow Datasets."""

import numpy as np
import pytest

from cnnjax.data import decoded_bytes, load, stream
from cnnjax.data.readers import TrainingReader
from cnnjax.errors import CnnjaxError

IMAGES = np.random.RandomState(0).randint(0, 256, (40, 8, 6, 3)).astype(np.uint8)
LABELS = np.arange(40) % 2
PARTS = {"train": (IMAGES[:30], LABELS[:30]), "test": (IMAGES[30:], LABELS[30:])}


@pytest.mark.parametrize("size", [None, 5])
def test_streamed_records_have_the_images_that_they_have_in_memory(prepared, data_dir, size):
    prepared(data_dir, PARTS)
    streamed, loaded = stream("tfds:tiny", image_size=size), load("tfds:tiny", image_size=size)
    assert streamed.validation is None
    for one, other in zip((streamed[0], streamed[2]), (loaded[0], loaded[2]), strict=True):
        assert one.classes == other.classes
        np.testing.assert_array_equal(one.labels, other.labels)
        images = np.stack([one.read(index) for index in range(len(one))])
        np.testing.assert_array_equal(images, other.images)


def test_the_size_in_memory_is_known_without_reading_every_record(prepared, data_dir, monkeypatch):
    prepared(data_dir, PARTS)
    monkeypatch.delattr("cnnjax.data.record_streams.Records.labels")
    assert decoded_bytes("tfds:tiny") == 40 * 8 * 6 * 3
    assert decoded_bytes("tfds:tiny", image_size=5) == 40 * 5 * 5 * 3


def test_records_in_one_piece_are_split_as_in_memory(prepared, data_dir):
    prepared(data_dir, {"train": (IMAGES, LABELS)})
    for one, other in zip(stream("tfds:tiny"), load("tfds:tiny"), strict=True):
        images = np.stack([one.read(index) for index in range(len(one))])
        np.testing.assert_array_equal(images, other.images)


def test_a_damaged_record_is_left_out_and_named_and_all_others_are_read(prepared, data_dir):
    (path,) = prepared(data_dir, PARTS).glob("*train*")
    content = bytearray(path.read_bytes())
    content[3000] ^= 255
    path.write_bytes(content)
    data = stream("tfds:tiny").train
    assert len(data.damaged) == 1
    assert "hash mismatch" in data.damaged[0]
    (gone,) = set(range(30)) - set(data.places)
    assert f"'tiny train record {gone}' cannot be read" in data.damaged[0]
    for index in range(29):
        np.testing.assert_array_equal(data.read(index), IMAGES[data.places[index]])
    with pytest.raises(CnnjaxError, match=f"record {gone}' cannot be read"):
        stream("tfds:tiny", strict=True)


@pytest.mark.parametrize("label", [2, -1, 2**40])
def test_a_record_of_no_class_is_left_out_and_named(prepared, data_dir, label):
    labels = [label if place == 7 else int(LABELS[place]) for place in range(30)]
    prepared(data_dir, PARTS | {"train": (IMAGES[:30], labels)})
    data = stream("tfds:tiny").train
    assert list(data.places) == [place for place in range(30) if place != 7]
    assert data.damaged == ("tiny/1.0.0 train 7 has no label of a class; expected one",)


def test_a_damaged_picture_in_a_whole_record_is_named(prepared, png, data_dir):
    def encode(image):
        content = png(image)
        return content[:-60] if np.array_equal(image, IMAGES[7]) else content

    prepared(data_dir, PARTS, encode=encode)
    data = stream("tfds:tiny").train
    reader = TrainingReader(data, 10, 0, 3)
    for _ in range(3):
        next(reader)
    reader.close()
    assert list(data.reading.corrupt) == [7]
    assert "'tiny train record 7' is not a whole picture" in data.reading.corrupt[7]


def test_missing_and_truncated_files_are_one_line(prepared, data_dir):
    (path,) = prepared(data_dir, PARTS).glob("*train*")
    content = path.read_bytes()
    for damage in (None, b"", content[: len(content) // 2]):
        path.unlink(missing_ok=True)
        if damage is not None:
            path.write_bytes(damage)
        with pytest.raises(CnnjaxError, match="none of the train images of 'tfds:tiny'") as caught:
            stream("tfds:tiny")
        assert "\n" not in str(caught.value)
