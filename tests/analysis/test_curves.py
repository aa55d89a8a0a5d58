"""Features of curves whose features are known, and the files they are read from."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cnnjax import CnnjaxError
from cnnjax.analysis.curves import measure
from cnnjax.analysis.recorded import read_run


def test_levels_are_means_over_the_last_tenth(make_lines):
    values = np.arange(100.0, 0.0, -1.0)
    found = measure(make_lines(values, validation_loss=2 * values))
    assert found.training_loss == pytest.approx(5.5)  # of 10, 9, ..., 1
    assert found.validation_loss == pytest.approx(11.0)
    assert found.start_loss == 100.0
    assert found.fall == pytest.approx(0.945)


def test_levels_are_means_over_three_points_at_least(make_lines):
    found = measure(make_lines([9.0, 5.0, 3.0, 1.0]))
    assert found.training_loss == pytest.approx(3.0)


def test_errors_are_one_minus_accuracy(make_lines):
    ones = np.ones(20)
    found = measure(make_lines(ones, 0.9 * ones, ones, 0.7 * ones))
    assert found.measure == "accuracy"
    assert found.training_error == pytest.approx(0.1)
    assert found.validation_error == pytest.approx(0.3)
    assert found.gap == pytest.approx(0.2)


def test_without_accuracy_errors_are_shares_of_the_start_loss(make_lines):
    loss = np.r_[4.0, np.ones(19)]
    found = measure(make_lines(loss, validation_loss=2 * loss))
    assert found.measure == "loss"
    assert found.training_error == pytest.approx(0.25)
    assert found.gap == pytest.approx(0.25)


def test_accuracy_of_one_curve_alone_is_not_compared_with_a_loss(make_lines):
    ones = np.ones(20)
    assert measure(make_lines(ones, 0.9 * ones, ones)).measure == "loss"


def test_a_curve_that_falls_evenly_has_slope_one_tenth(make_lines):
    progress = np.arange(0, 201) / 200
    lines = make_lines(3 - 2 * progress)
    found = measure([line | {"step": line["step"] - 10} for line in lines])
    # The fall is up to the mean of the last tenth, 1.9 instead of 2.
    assert found.slope == pytest.approx(0.1 * 2 / (2 - 0.095), rel=1e-3)
    assert found.slope_noise == pytest.approx(0, abs=1e-9)


def test_a_curve_that_stands_still_has_slope_zero(make_lines):
    found = measure(make_lines(np.r_[3.0, 2.0, np.ones(58)]))
    assert found.slope == pytest.approx(0, abs=1e-12)


def test_slope_and_noise_are_those_of_a_linear_regression(make_lines):
    rng = np.random.default_rng(0)
    loss = np.r_[3.0, rng.normal(1, 0.1, 14)]
    found = measure(make_lines(loss))
    tail = stats.linregress(np.arange(10, 16) / 15, loss[9:])  # the last 6 of 15 points
    fall = found.fall * found.start_loss
    assert found.slope == pytest.approx(-0.1 * tail.slope / fall)
    assert found.slope_noise == pytest.approx(0.1 * tail.stderr / fall)


def test_a_loss_that_has_risen_has_no_slope(make_lines):
    found = measure(make_lines(np.linspace(1, 2, 30)))
    assert found.slope is None
    assert found.fall < 0
    assert found.relapse == pytest.approx(0.9, abs=0.1)


def test_rise_and_place_of_the_lowest_validation_loss(make_lines):
    p = np.arange(1, 101) / 100
    validation = 1 + np.abs(p - 0.3)  # lowest at 30 %, 1.65 at the end on average
    found = measure(make_lines(2 * np.ones(100), validation_loss=validation))
    assert found.best_at == pytest.approx(0.3)
    assert found.rise == pytest.approx((1.655 - 1.0) / 2, abs=0.02)


def test_one_lucky_evaluation_is_no_lowest_point(make_lines):
    validation = np.ones(100)
    validation[30] = 0.1
    found = measure(make_lines(np.ones(100), validation_loss=validation))
    assert found.rise == pytest.approx(0.9 / 11)  # of the 11 points in a tenth of the run


def test_relapse_is_how_far_the_training_loss_ends_above_its_lowest(make_lines):
    found = measure(make_lines(np.r_[2.0, np.full(49, 0.5), np.full(50, 1.5)]))
    assert found.relapse == pytest.approx(0.5)


@pytest.mark.parametrize("size", [0.1, 0.3])
def test_oscillation_of_alternating_values_is_twice_their_size(make_lines, size):
    loss = 2 * np.ones(50)
    validation = 1 + size * (-1.0) ** np.arange(50)
    found = measure(make_lines(loss, validation_loss=validation))
    assert found.oscillation == pytest.approx(2 * size / 2)


def test_a_straight_validation_curve_does_not_oscillate(make_lines):
    falling = np.linspace(2, 1, 50)
    assert measure(make_lines(falling, validation_loss=falling)).oscillation == pytest.approx(0)


def test_oscillation_before_the_tail_does_not_count(make_lines):
    early = np.where(np.arange(50) < 28, (-1.0) ** np.arange(50), 0)
    found = measure(make_lines(np.ones(50), validation_loss=2 + early))
    assert found.oscillation == 0


def test_few_evaluations_leave_oscillation_and_rise_unknown(make_lines):
    loss = np.linspace(2, 1, 60)
    few = measure(make_lines(loss, validation_loss=loss, every=10))  # 6 evaluations
    assert few.oscillation is None
    assert few.rise is not None
    last = measure(make_lines(loss, validation_loss=loss, every=60))
    assert (last.validation_lines, last.rise, last.best_at) == (1, None, None)
    assert last.gap == pytest.approx(0.0, abs=0.05)
    ten = measure(make_lines(loss, validation_loss=loss, every=6))
    assert ten.oscillation is not None


def test_without_validation_nothing_is_said_of_it(make_lines):
    found = measure(make_lines(np.linspace(2, 1, 60)))
    unknown = (found.validation_error, found.gap, found.rise, found.oscillation)
    assert unknown == (None, None, None, None)
    assert found.slope is not None


def test_few_lines_leave_the_slope_unknown(make_lines):
    assert measure(make_lines([2.0, 1.5, 1.2, 1.0])).slope is None
    assert measure(make_lines([2.0])).fall == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_with_its_step(make_lines, bad):
    lines = make_lines(np.linspace(2, 1, 10))
    lines[6]["loss"] = bad
    found = measure(lines)
    assert found.diverged_at == 70
    assert math.isfinite(found.training_loss)


def test_a_run_that_is_no_number_from_the_beginning(make_lines):
    found = measure(make_lines([math.nan, math.nan]))
    assert (found.diverged_at, found.start_loss) == (10, None)


@pytest.mark.parametrize("start", [0.0, -1.0])
def test_a_start_loss_that_has_no_shares_is_refused(make_lines, start):
    with pytest.raises(CnnjaxError, match=r"first training loss is .*; expected one above 0"):
        measure(make_lines([start, 0.5]))


def test_no_lines_are_refused():
    with pytest.raises(CnnjaxError, match="no lines of metrics"):
        measure([])


SHARES = (
    "training_error",
    "validation_error",
    "gap",
    "fall",
    "slope",
    "slope_noise",
    "best_at",
    "rise",
    "relapse",
    "oscillation",
)


@settings(max_examples=40, deadline=None)
@given(
    losses=st.lists(st.floats(0.01, 100), min_size=1, max_size=40),
    exponent=st.integers(-8, 8),  # powers of 2 round nothing, so ties stay ties
    stretch=st.integers(1, 1000),
)
def test_features_do_not_depend_on_the_unit_of_loss_or_step(losses, exponent, stretch):
    scale = 2.0**exponent
    one, two = (
        measure(
            [
                {"step": k * (i + 1), "loss": c * loss, "validation_loss": 2 * c * loss}
                for i, loss in enumerate(losses)
            ]
        )
        for k, c in ((1, 1.0), (stretch, scale))
    )
    for name in SHARES:
        assert getattr(one, name) == getattr(two, name)


def test_a_run_is_read_from_its_folder_or_its_file(tmp_path, make_synthetic):
    lines = make_synthetic("good")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_run(tmp_path) == (lines, 0)
    (tmp_path / "other.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
    assert read_run(tmp_path / "other.jsonl") == (lines, 0)


def test_damaged_lines_are_left_out_and_counted(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(
        b'{"step": 10, "loss": 2.0}\n\xff\xfe\n{"step": 20}\n[1]\n{"step": NaN, "loss": 1}\n'
        b'{"step": 20, "loss": 1.5}\n{"step": 30, "lo'
    )
    lines, damaged = read_run(file)
    assert [line["step"] for line in lines] == [10, 20]
    assert damaged == 5


def test_a_line_that_was_written_again_holds_the_second_time(tmp_path):
    file = tmp_path / "metrics.jsonl"
    steps = [(20, 2.0), (10, 3.0), (20, 1.0)]
    file.write_text("".join(json.dumps({"step": s, "loss": v}) + "\n" for s, v in steps))
    assert [line["loss"] for line in read_run(file)[0]] == [3.0, 1.0]


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(CnnjaxError, match=r"metrics.jsonl cannot be read .*; give the folder"):
        read_run(tmp_path)
    with pytest.raises(CnnjaxError, match=r"nowhere cannot be read"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "\n", "no json\n"])
def test_a_file_without_a_line_of_metrics_is_one_line(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(CnnjaxError, match="has no line of metrics"):
        read_run(tmp_path)
