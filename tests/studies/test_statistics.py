import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cnnjax.errors import CnnjaxError
from cnnjax.studies.statistics import Interval, above, t_interval

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def test_three_values_worked_by_hand():
    # mean 2, s = 1, t(0.975, 2 degrees of freedom) = 4.302653 from the table of Student's t
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert interval.count == 3


@given(VALUES, st.floats(0.5, 0.999))
def test_it_is_scipys_interval(values, confidence):
    interval = t_interval(values, confidence)
    error = stats.sem(values)
    if error == 0:
        assert interval.low == interval.high == interval.mean
    else:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error)
        np.testing.assert_allclose([interval.low, interval.high], [low, high], atol=1e-9)


@given(VALUES, st.floats(-50, 50))
def test_moving_all_values_moves_the_interval(values, shift):
    before, after = t_interval(values), t_interval([value + shift for value in values])
    assert after.mean == pytest.approx(before.mean + shift, abs=1e-9)
    assert after.half_width == pytest.approx(before.half_width, abs=1e-9)


def test_a_single_value_has_no_interval():
    interval = t_interval([3.5])
    assert (interval.mean, interval.count) == (3.5, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert str(interval) == "+3.5 (one value, no interval)"


def test_no_values_are_an_error():
    with pytest.raises(CnnjaxError, match="no values to take the mean of"):
        t_interval([])


def test_an_interval_is_written_with_signs():
    assert str(Interval(-1.25, -2.0, 0.5, 3)) == "-1.2 [-2.0, +0.5]"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 2.0, "supported"),
        (-2.0, -0.1, "contradicted"),
        (-0.1, 2.0, "undecided"),
        (-2.0, 0.1, "undecided"),
        (0.0, 1.0, "undecided"),
        (-1.0, 0.0, "undecided"),
        (0.0, 0.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_greater_than_zero(low, high, verdict):
    assert above(Interval((low + high) / 2, low, high, 3)) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.9, -0.1, "supported"),
        (3.0, 5.0, "supported"),
        (-2.0, -1.1, "contradicted"),
        (-1.5, -0.5, "undecided"),
        (-1.0, 1.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_loses_less_than_one(low, high, verdict):
    assert above(Interval((low + high) / 2, low, high, 3), threshold=-1.0) == verdict


@given(st.floats(-100, 100))
def test_a_single_value_decides_nothing(value):
    assert above(t_interval([value])) == "undecided"
    assert above(t_interval([value]), -1.0) == "undecided"


@given(VALUES)
def test_turning_all_signs_turns_the_verdict(values):
    opposite = {"supported": "contradicted", "contradicted": "supported", "undecided": "undecided"}
    turned = above(t_interval([-value for value in values]))
    assert turned == opposite[above(t_interval(values))]
