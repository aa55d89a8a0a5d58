import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.data import Dataset, Splits, stratified_split
from cnnjax.data.labelled import arranged
from cnnjax.errors import CnnjaxError


def numbered(counts, groups=()):
    """A data set whose every image holds its own number, shuffled over the classes."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    np.random.RandomState(1).shuffle(labels)
    numbers = np.arange(len(labels))
    images = np.stack([numbers // 256, numbers % 256], axis=-1).astype(np.uint8)
    classes = tuple(f"class {i}" for i in range(len(counts)))
    return Dataset(images[:, None, None, :], labels, classes, groups)


def numbers_of(dataset):
    return dataset.images[:, 0, 0, 0].astype(int) * 256 + dataset.images[:, 0, 0, 1]


counts = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(";") >= 1
    return text


IMAGES = np.zeros((3, 4, 4, 1), np.uint8)
LABELS = np.array([0, 1, 1], np.int32)


@pytest.mark.parametrize(
    ("images", "labels", "classes", "groups", "says"),
    [
        (IMAGES.astype(np.float32), LABELS, ("a", "b"), (), "images are float32"),
        (IMAGES[..., 0], LABELS, ("a", "b"), (), r"\[N, H, W, C\]"),
        (IMAGES.tolist(), LABELS, ("a", "b"), (), "images are list"),
        (IMAGES, LABELS.astype(np.int64), ("a", "b"), (), "labels are int64"),
        (IMAGES, LABELS[:, None], ("a", "b"), (), "labels are int32 of shape"),
        (IMAGES, LABELS[:2], ("a", "b"), (), "3 images but 2 labels"),
        (IMAGES[:0], LABELS[:0], ("a", "b"), (), "at least one image"),
        (IMAGES[:, :0], LABELS, ("a", "b"), (), "at least one image of at least one pixel"),
        (IMAGES, LABELS, ("a",), (), "labels run from 0 to 1 but there are 1 classes"),
        (IMAGES, LABELS - 1, ("a", "b"), (), "labels run from -1 to 0"),
        (IMAGES, LABELS, ("a", "a"), (), "no name twice"),
        (IMAGES, LABELS, (), (), "at least one class"),
        (IMAGES, LABELS, ("a", "b"), ("latin",), "1 groups for 2 classes"),
    ],
)
def test_a_malformed_data_set_is_refused_in_one_line(images, labels, classes, groups, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        Dataset(images, labels, classes, groups)
    one_line(caught)


def test_take_keeps_the_order_asked_for():
    dataset = numbered([2, 3])
    part = dataset.take([4, 0, 0])
    assert numbers_of(part).tolist() == [4, 0, 0]
    assert part.labels.tolist() == dataset.labels[[4, 0, 0]].tolist()
    assert part.classes == dataset.classes


@pytest.mark.parametrize("indices", [[5], [-1], [], [0.5], [True, False], [[0]]])
def test_indices_that_choose_no_image_are_refused(indices):
    with pytest.raises(CnnjaxError) as caught:
        numbered([2, 3]).take(indices)
    one_line(caught)


@given(counts, st.data())
def test_selected_classes_are_relabelled_in_the_given_order(counts, data):
    groups = tuple(f"group {i % 2}" for i in range(len(counts)))
    dataset = numbered(counts, groups)
    order = data.draw(st.permutations(range(len(counts))))
    chosen = order[: data.draw(st.integers(1, len(counts)))]
    part = dataset.select_classes(np.array(chosen))
    assert part.classes == tuple(dataset.classes[i] for i in chosen)
    assert part.groups == tuple(groups[i] for i in chosen)
    kept = np.isin(dataset.labels, chosen)
    assert numbers_of(part).tolist() == np.flatnonzero(kept).tolist()
    assert [chosen[label] for label in part.labels] == dataset.labels[kept].tolist()


@pytest.mark.parametrize("class_ids", [[0, 0], [2], [-1], []])
def test_classes_that_repeat_or_do_not_exist_are_refused(class_ids):
    with pytest.raises(CnnjaxError) as caught:
        numbered([2, 3]).select_classes(class_ids)
    one_line(caught)


@given(counts, st.integers(0, 5), st.data())
def test_a_balanced_subset_has_k_different_images_of_each_class(counts, seed, data):
    dataset = numbered(counts)
    k = data.draw(st.integers(1, min(counts)))
    part = dataset.per_class(k, seed)
    numbers = numbers_of(part)
    assert np.bincount(part.labels, minlength=len(counts)).tolist() == [k] * len(counts)
    assert len(set(numbers)) == len(part)
    assert part.labels.tolist() == dataset.labels[numbers].tolist()
    assert part.fingerprint() == dataset.per_class(k, seed).fingerprint()
    larger = dataset.per_class(min(counts), seed)
    assert set(numbers) <= set(numbers_of(larger))


def test_balanced_subsets_of_different_seeds_differ():
    dataset = numbered([50, 50])
    assert set(numbers_of(dataset.per_class(5, 0))) != set(numbers_of(dataset.per_class(5, 1)))


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(CnnjaxError, match="'class 1' has 2 images but 3 per class") as caught:
        numbered([4, 2, 5]).per_class(3, seed=0)
    one_line(caught)
    with pytest.raises(CnnjaxError, match="0 images per class"):
        numbered([4, 2]).per_class(0, seed=0)
    with pytest.raises(CnnjaxError, match="seed -1 is negative"):
        numbered([4, 2]).per_class(1, seed=-1)


def test_the_fingerprint_depends_on_images_labels_and_classes_alone():
    base = Dataset(IMAGES, LABELS, ("a", "b"), ("x", "y"))
    assert base.fingerprint() == Dataset(IMAGES.copy(), LABELS.copy(), ("a", "b")).fingerprint()
    # A view in another memory order holds the same images.
    turned = np.asfortranarray(IMAGES)
    assert base.fingerprint() == Dataset(turned, LABELS, ("a", "b")).fingerprint()
    others = [
        Dataset(IMAGES + np.uint8(1), LABELS, ("a", "b")),
        Dataset(IMAGES, LABELS[::-1].copy(), ("a", "b")),
        Dataset(IMAGES, LABELS, ("a", "c")),
        Dataset(IMAGES.reshape(3, 2, 8, 1), LABELS, ("a", "b")),
    ]
    assert len({base.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_the_fingerprint_is_the_same_in_every_process_and_version():
    dataset = Dataset(IMAGES, LABELS, ("a", "Ж"))
    assert dataset.fingerprint() == (
        "fba4782bf353bc035d4ee141b26016960f3e2dee07e6086dd27a879fc2256853"
    )


@given(counts, st.integers(0, 3))
def test_the_parts_of_a_split_hold_every_image_once_and_each_class_in_proportion(counts, seed):
    counts = [count + 10 for count in counts]
    dataset = numbered(counts)
    fractions = (0.7, 0.1, 0.2)
    parts = stratified_split(dataset, fractions, seed)
    together = np.concatenate([numbers_of(part) for part in parts])
    assert sorted(together) == list(range(len(dataset)))
    for part, fraction in zip(parts, fractions, strict=True):
        found = np.bincount(part.labels, minlength=len(counts))
        assert np.all(np.abs(found - fraction * np.array(counts)) <= 1)
        assert part.labels.tolist() == dataset.labels[numbers_of(part)].tolist()


def test_a_split_depends_on_its_seed():
    dataset = numbered([40, 40])
    halves = [stratified_split(dataset, (0.5, 0.5), seed)[0] for seed in (0, 0, 1)]
    assert halves[0].fingerprint() == halves[1].fingerprint() != halves[2].fingerprint()


@pytest.mark.parametrize("fractions", [(), (0.5, 0.6), (1.5, -0.5), (0.0, 1.0)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(CnnjaxError, match="sum 1") as caught:
        stratified_split(numbered([5, 5]), fractions, seed=0)
    one_line(caught)


def test_a_data_set_too_small_to_split_says_so():
    with pytest.raises(CnnjaxError, match="too few to be split") as caught:
        stratified_split(numbered([1, 1]), (0.7, 0.1, 0.2), seed=0)
    one_line(caught)


def test_splits_select_classes_in_every_part_that_is_there():
    splits = Splits(numbered([4, 5, 6]), None, numbered([1, 2, 3])).select_classes([2, 0])
    assert splits.train.classes == splits.test.classes == ("class 2", "class 0")
    assert splits.validation is None
    assert (len(splits.train), len(splits.test)) == (10, 4)


def test_missing_parts_are_made_up_for():
    a, b, c = numbered([20, 20]), numbered([2, 2]), numbered([3, 3])
    assert arranged({"train": a, "validation": b, "test": c}) == (a, b, c)
    assert arranged({"train": a, "test": c}) == (a, None, c)
    assert arranged({"train": a, "validation": b}) == (a, None, b)
    assert [len(part) for part in arranged({"train": a})] == [28, 4, 8]
