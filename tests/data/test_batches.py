import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.data import batch_indices, padded_batches
from cnnjax.errors import CnnjaxError

sizes = st.integers(1, 40)
seeds = st.integers(0, 1000)


@given(sizes, st.integers(1, 50), seeds, st.integers(1, 4))
def test_every_epoch_visits_each_example_exactly_once(size, batch_size, seed, epochs):
    steps = -(-size * epochs // batch_size)
    row = batch_indices(size, batch_size, seed, 0, steps).ravel()
    for epoch in range(epochs):
        assert sorted(row[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(sizes, st.integers(1, 50), seeds, st.integers(0, 20), st.integers(0, 20))
def test_any_steps_are_the_same_alone_as_in_the_whole_row(size, batch_size, seed, a, b):
    start, stop = min(a, b), max(a, b)
    whole = batch_indices(size, batch_size, seed, 0, 20)
    alone = batch_indices(size, batch_size, seed, start, stop)
    assert alone.shape == (stop - start, batch_size)
    assert alone.dtype == np.int32
    np.testing.assert_array_equal(alone, whole[start:stop])


def test_a_far_step_needs_none_of_those_before_it():
    far = 10**12
    assert batch_indices(60_000, 128, 0, far, far + 1).shape == (1, 128)


def test_epochs_and_seeds_have_orders_of_their_own():
    first, second = batch_indices(100, 100, 0, 0, 2)
    other = batch_indices(100, 100, 1, 0, 1)[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    # Seed 1 is not seed 0 an epoch later.
    assert not np.array_equal(second, other)


def test_the_orders_are_the_same_in_every_version_of_numpy():
    assert batch_indices(8, 8, 3, 0, 2).tolist() == [
        [6, 7, 2, 1, 4, 5, 3, 0],
        [2, 1, 4, 0, 5, 7, 6, 3],
    ]


def test_each_example_comes_first_equally_often():
    firsts = [batch_indices(4, 1, seed, 0, 1)[0, 0] for seed in range(2000)]
    # 500 expected; five standard deviations are 97.
    assert np.all(np.abs(np.bincount(firsts) - 500) < 97)


@given(sizes, st.integers(1, 50))
def test_padded_batches_see_every_example_once_and_mask_the_rest(size, batch_size):
    indices, mask = padded_batches(size, batch_size)
    assert indices.shape == mask.shape == (-(-size // batch_size), batch_size)
    assert (indices.dtype, mask.dtype) == (np.int32, np.float32)
    assert indices[mask == 1].tolist() == list(range(size))
    assert mask.sum() == size
    assert np.all(indices[mask == 0] == 0)


@pytest.mark.parametrize(
    ("size", "batch_size", "seed", "start", "stop"),
    [(0, 1, 0, 0, 1), (1, 0, 0, 0, 1), (1, 1, -1, 0, 1), (1, 1, 0, -1, 1), (1, 1, 0, 2, 1)],
)
def test_batches_that_cannot_be_are_refused_in_one_line(size, batch_size, seed, start, stop):
    with pytest.raises(CnnjaxError) as caught:
        batch_indices(size, batch_size, seed, start, stop)
    assert "\n" not in str(caught.value)


def test_padded_batches_of_nothing_are_refused():
    with pytest.raises(CnnjaxError, match="both are at least 1"):
        padded_batches(0, 4)
