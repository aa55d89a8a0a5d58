import math

import numpy as np
import pytest
from scipy import stats

from cnnjax.errors import CnnjaxError
from cnnjax.studies.resampling import resampled
from cnnjax.studies.statistics import t_interval

VALUES = [90.0, 92.5, 91.0, 93.0, 89.0]


def test_it_is_the_corrected_resampled_t_test():
    # Nadeau & Bengio 2003, section 5: t = mean / sqrt((1 / J + n2 / n1) s²), J - 1 degrees.
    found = resampled(VALUES, 1 / 4)
    error = math.sqrt((1 / 5 + 1 / 4) * np.var(VALUES, ddof=1))
    low, high = stats.t.interval(0.9, 4, loc=np.mean(VALUES), scale=error)
    interval = found.interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert found.chance_below(90.0) == pytest.approx(stats.t.cdf(90.0, 4, np.mean(VALUES), error))


def test_without_overlap_it_is_students_interval():
    assert resampled(VALUES, 0.0).interval() == pytest.approx(t_interval(VALUES))


def test_it_covers_the_truth_where_students_interval_does_not():
    # Splits whose values are correlated as training sets that overlap make them.
    rng, splits, ratio, trials = np.random.default_rng(0), 5, 1 / 4, 2000
    rho = ratio / (1 + ratio)
    shared = math.sqrt(rho) * rng.normal(size=(trials, 1))
    values = shared + math.sqrt(1 - rho) * rng.normal(size=(trials, splits))
    covered = {
        name: np.mean([interval(row).low <= 0 <= interval(row).high for row in values])
        for name, interval in {
            "corrected": lambda row: resampled(row, ratio).interval(),
            "student": t_interval,
        }.items()
    }
    assert covered["corrected"] == pytest.approx(0.95, abs=0.015)
    assert covered["student"] < 0.87


def test_a_single_split_has_no_interval_and_no_chances():
    found = resampled([90.0], 0.25)
    assert found.mean == 90
    assert math.isnan(found.interval().low)
    assert math.isnan(found.chance_below(80))


def test_values_that_do_not_differ_are_certain():
    found = resampled([90.0, 90.0], 0.25)
    assert [found.chance_below(x) for x in (89.0, 90.0, 91.0)] == [0, 0, 1]


def test_no_values_are_refused():
    with pytest.raises(CnnjaxError, match="no splits"):
        resampled([], 0.25)
