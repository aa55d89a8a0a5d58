import numpy as np
import pytest

from cnnjax.data import Dataset
from cnnjax.data.folds import stratified_folds
from cnnjax.errors import CnnjaxError


def dataset(*counts):
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    names = tuple(f"class {i}" for i in range(len(counts)))
    return Dataset(np.zeros((len(labels), 2, 2, 1), np.uint8), labels, names)


def test_each_image_is_tested_on_once_and_learnt_from_otherwise():
    folds = stratified_folds(dataset(20, 30), 5, seed=0)
    assert np.sort(np.concatenate([fold.test for fold in folds])).tolist() == list(range(50))
    for train, test in folds:
        assert np.sort(np.concatenate([train, test])).tolist() == list(range(50))


def test_each_part_has_its_share_of_every_class():
    data = dataset(20, 31, 7)
    folds = stratified_folds(data, 5, seed=1)
    counts = np.array([np.bincount(data.labels[fold.test], minlength=3) for fold in folds])
    assert np.all(counts.max(axis=0) - counts.min(axis=0) <= 1)


@pytest.mark.parametrize("counts", [(20, 33), (7, 9, 5), (3, 2, 40)])
def test_all_parts_are_of_one_size_and_what_is_over_comes_from_large_classes(counts):
    folds, size = stratified_folds(dataset(*counts), 4, seed=0), sum(counts) // 4
    assert {(len(fold.train), len(fold.test)) for fold in folds} == {(3 * size, size)}
    kept = dataset(*counts).labels[np.concatenate([fold.test for fold in folds])]
    smallest = int(np.argmin(counts))
    assert np.sum(kept == smallest) == counts[smallest]


def test_a_class_of_two_images_is_never_missing_from_what_is_learnt():
    data = dataset(2, 2, 30)
    for fold in stratified_folds(data, 5, seed=3, repeats=3):
        assert set(data.labels[fold.train]) == {0, 1, 2}


def test_repeats_are_other_divisions_and_a_seed_gives_the_same_ones():
    data = dataset(20, 20)
    first, again, other = (stratified_folds(data, 4, seed, 2) for seed in (0, 0, 1))
    assert len(first) == 8
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.test, two.test)
    assert any(np.any(one.test != two.test) for one, two in zip(first, other, strict=True))
    assert all(np.any(a.test != b.test) for a, b in zip(first[:4], first[4:], strict=True))


@pytest.mark.parametrize(
    ("counts", "folds", "repeats", "says"),
    [
        ((1, 9), 5, 1, "class 'class 0' has 1 image to choose by; expected 2 or more"),
        ((0, 9), 5, 1, "class 'class 0' has 0 images to choose by"),
        ((2, 2), 5, 1, "4 images cannot be dealt to 5 folds"),
        ((9, 9), 1, 1, "1 folds, 1 times, cannot be"),
        ((9, 9), 5, 0, "5 folds, 0 times, cannot be"),
    ],
)
def test_what_cannot_be_divided_is_refused_in_one_line(counts, folds, repeats, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        stratified_folds(dataset(*counts), folds, seed=0, repeats=repeats)
    assert "\n" not in str(caught.value)
