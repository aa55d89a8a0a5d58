"""The lectures' decision tables: the slides' words, and where they part."""

import pytest

from cnnjax import CnnjaxError
from cnnjax.transfer import DECISIONS, recommend
from cnnjax.transfer.decision_tables import LECTURE_1, LECTURE_2, LECTURE_3


@pytest.mark.parametrize(
    ("source", "size", "similarity", "case", "stages"),
    [
        (LECTURE_1, "small", "similar", 1, "last"),
        (LECTURE_1, "large", "similar", 2, "several"),
        (LECTURE_1, "small", "different", 1, "last"),
        (LECTURE_1, "large", "different", 3, "all"),
        (LECTURE_3, "small", "similar", 1, "last"),
        (LECTURE_3, "medium", "similar", 2, "last"),
        (LECTURE_3, "large", "similar", 3, "all"),
        (LECTURE_3, "small", "different", 1, "early"),
        (LECTURE_3, "large", "different", 3, "all"),
    ],
)
def test_a_cell_is_the_slides(source, size, similarity, case, stages):
    (found,) = [d for d in DECISIONS if d[:3] == (source, size, similarity)]
    assert (found.case, found.stages) == (case, stages)


def test_no_cell_is_there_twice():
    assert len({decision[:3] for decision in DECISIONS}) == len(DECISIONS)


def test_few_images_that_are_different_divide_the_lectures():
    found = recommend("small", "different")
    assert [d.stages for d in found.decisions if d.case == 1] == ["last", "early"]
    assert "lecture 3: case 1, a classifier on features of early stages" in found.disagreement


def test_many_similar_images_do_not():
    found = recommend("large", "similar")
    assert len(found.decisions) == 3
    assert found.disagreement == ""
    assert "disagree" not in str(found)


def test_who_has_no_answer_is_named():
    found = recommend("medium", "similar")
    assert [d.source for d in found.decisions] == [LECTURE_3]
    assert found.silent == (LECTURE_1, LECTURE_2)
    assert f"{LECTURE_1}: says nothing" in str(found)


@pytest.mark.parametrize(("size", "similarity"), [("tiny", "similar"), ("small", "same")])
def test_a_situation_that_no_table_knows_is_an_error(size, similarity):
    with pytest.raises(CnnjaxError, match=r"tiny|same"):
        recommend(size, similarity)
