import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.data import group_halves, halves_from_file, random_halves
from cnnjax.errors import CnnjaxError

CLASSES = ("cat", "dog", "car", "Жук")


@given(st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_random_halves_are_disjoint_sorted_and_cover_all_classes(num_classes, seed):
    a, b = random_halves(num_classes, seed)
    assert sorted([*a, *b]) == list(range(num_classes))
    assert a.tolist() == sorted(a)
    assert b.tolist() == sorted(b)
    assert len(a) - len(b) == num_classes % 2


@pytest.mark.parametrize("seed", range(4))
def test_the_halves_of_1000_classes_are_those_of_yosinski(seed):
    # make_reduced_dataset.py of yosinski/convnet_transfer, with its global generator.
    np.random.seed(seed)
    half = sorted(np.random.choice(np.arange(1000), 500, replace=False))
    assert random_halves(1000, seed)[0].tolist() == half


def test_random_halves_of_nothing_or_of_a_bad_seed_are_refused():
    with pytest.raises(CnnjaxError, match="at least 2"):
        random_halves(1, 0)
    with pytest.raises(CnnjaxError, match="out of range"):
        random_halves(4, -1)


def test_group_halves_put_the_group_into_a_and_the_rest_into_b():
    groups = ("latin", "greek", "latin", "cyrillic")
    a, b = group_halves(CLASSES, groups, "latin")
    assert (a.tolist(), b.tolist()) == ([0, 2], [1, 3])


@pytest.mark.parametrize(
    ("groups", "group", "says"),
    [
        ((), "latin", "choose a data set with groups"),
        (("latin", "greek", "greek", "greek"), "gothic", "the groups are latin, greek"),
        (("latin",) * 4, "latin", "holds 4 of the 4 classes"),
    ],
)
def test_groups_that_make_no_halves_are_refused_in_one_line(groups, group, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        group_halves(CLASSES, groups, group)
    assert "\n" not in str(caught.value)


def test_halves_from_a_file_come_in_its_order_and_may_leave_classes_out(tmp_path):
    path = tmp_path / "halves.json"
    path.write_text(json.dumps({"B": ["Жук"], "A": ["dog", "cat"]}), encoding="utf-8")
    a, b = halves_from_file(path, CLASSES)
    assert (a.tolist(), b.tolist()) == ([1, 0], [3])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"A": ["cat", "cow"], "B": ["dog"]}', "unknown classes: cow; the 4 classes are cat, dog"),
        ('{"A": ["cat", 3], "B": ["dog"]}', "unknown classes: 3"),
        ('{"A": ["cat", "cat"], "B": ["dog"]}', "'cat' is twice in half A"),
        ('{"A": ["cat"], "B": ["dog", "cat"]}', "'cat' is in both halves"),
        ('{"A": [], "B": ["dog"]}', "half A .* lists no class"),
        ('{"A": "cat", "B": ["dog"]}', "half A .* lists no class"),
        ('{"A": ["cat"]}', "holds the keys A; expected"),
        ('{"A": ["cat"], "B": ["dog"], "C": ["car"]}', "holds the keys A, B, C"),
        ('["cat"]', "holds no object"),
        ('{"A": ["cat"', "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
    ],
)
def test_a_malformed_file_of_halves_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "halves.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CnnjaxError, match=says) as caught:
        halves_from_file(path, CLASSES)
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_halves_is_named(tmp_path):
    with pytest.raises(CnnjaxError, match=r"cannot read the halves from '.*nowhere\.json'"):
        halves_from_file(tmp_path / "nowhere.json", CLASSES)


def test_long_lists_of_classes_are_shortened(tmp_path):
    path = tmp_path / "halves.json"
    path.write_text('{"A": ["x"], "B": ["y"]}')
    with pytest.raises(CnnjaxError, match=r"11, \.\.\. \(88 more\)"):
        halves_from_file(path, [str(i) for i in range(100)])
