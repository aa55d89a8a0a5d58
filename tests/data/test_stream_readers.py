"""Readers of streams: an order that seed and step decide, parts of it, and what stands in."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnjax.data.pictures import Geometry, Picture
from cnnjax.data.read_ahead import TOGETHER
from cnnjax.data.readers import TrainingReader, every_example_once
from cnnjax.data.streamed import StreamedDataset
from cnnjax.errors import CnnjaxError


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
def test_every_epoch_is_a_permutation(batches_of, size, batch_size, seed):
    steps = -(-2 * size // batch_size)
    row = seen(batches_of(numbered(size), batch_size, seed, steps))
    for epoch in (row[:size], row[size : 2 * size]):
        assert sorted(epoch) == list(range(size))


PARTS = [[range(3), range(3, 6)], [[0, 1], [2, 3], [4, 5]], [[0, 3, 4], [1, 5], [2]]]


@pytest.mark.parametrize("parts", PARTS)
def test_processes_read_disjoint_parts_that_cover_each_batch(parts, batches_of):
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
def test_a_reader_goes_on_in_mid_epoch_where_another_stopped(
    broken, before, after, batches_of, same
):
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


def test_a_batch_that_is_read_in_several_parts_goes_on_where_it_stopped(batches_of, same):
    size = 2 * TOGETHER + 3
    whole = batches_of(numbered(20), size, 0, 5)
    first = TrainingReader(numbered(20), size, 0, 5)
    next(first), next(first)
    second = TrainingReader(numbered(20), size, 0, 5)
    second.set_state(first.get_state(), 2)
    first.close()
    assert same([next(second) for _ in range(3)], whole[2:])
    with pytest.raises(StopIteration):
        next(second)


@pytest.mark.parametrize("state", [{}, {"grain": {"next_index": 12}, "batch": 6, "corrupt": {}}])
def test_a_state_of_another_training_is_refused(state):
    reader = TrainingReader(numbered(20), 6, 0, 10)
    with pytest.raises(CnnjaxError, match="the checkpoint of step 4 holds no position"):
        reader.set_state(state, 4)


def test_for_what_cannot_be_read_another_stands_in_and_the_rest_keeps_its_place(batches_of):
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


@pytest.mark.parametrize("size", [6, 300])
def test_where_nothing_can_be_read_a_training_and_an_evaluation_end_with_an_error(size, batches_of):
    data = numbered(size, broken=range(size))
    with pytest.raises(CnnjaxError, match=f"of {size} images were tried one after the other"):
        batches_of(data, 4, 0, 1)
    with pytest.raises(CnnjaxError, match=f"none of the {size} images can be read"):
        list(every_example_once(data, 4))
