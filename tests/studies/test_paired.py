import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.studies.statistics import judge, paired, values

ROWS = [
    {"arm": arm, "rate": rate, "seed": seed, "accuracy": base + seed}
    for arm, rate, base in (("none", 0.0, 80.0), ("dropout", 0.5, 83.0), ("dropout", 0.2, 82.0))
    for seed in (1, 0)
]


def test_values_are_those_of_the_rows_with_these_cells_by_seed():
    assert values(ROWS, "accuracy", arm="dropout", rate=0.2) == {0: 82.0, 1: 83.0}


def test_cells_that_leave_several_arms_are_refused():
    with pytest.raises(CnnjaxError, match="several rows of seed 1 have"):
        values(ROWS, "accuracy", arm="dropout")


def test_a_row_without_the_measure_is_left_out():
    assert values([*ROWS, {"arm": "x", "seed": 3, "accuracy": None}], "accuracy", arm="x") == {}


def test_differences_are_paired_by_seed():
    rows = [*ROWS, {"arm": "none", "rate": 0.0, "seed": 7, "accuracy": 1.0}]
    assert paired(rows, "accuracy", {"rate": 0.5}, {"arm": "none"}) == [3.0, 3.0]


def test_a_claim_is_decided_by_the_interval_of_the_differences():
    assert judge("better", [1.0, 1.1, 0.9], "a − b").verdict == "supported"
    assert judge("better", [-1.0, -1.1, -0.9], "a − b").verdict == "contradicted"
    assert judge("better", [-1.0, 1.0], "a − b").verdict == "undecided"
    assert judge("loses less than 2", [-1.0, -1.1, -0.9], "a − b", -2).verdict == "supported"
    assert judge("better", [1.0, 2.0, 3.0], "a − b").numbers == "a − b: +2.0 [-0.5, +4.5]"
