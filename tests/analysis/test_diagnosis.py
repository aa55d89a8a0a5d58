"""The rules of the diagnosis: every case, and both sides of every border."""

import dataclasses
import math

import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.analysis.curves import Features, measure
from cnnjax.analysis.diagnosis import Case, Thresholds, diagnose
from cnnjax.analysis.evidence import evidence, headline, notes, suggestion

T = Thresholds()
CASES = {
    "slow": Case.STILL_IMPROVING,
    "small": Case.TOO_SMALL,
    "few": Case.OVERFITTING,
    "unstable": Case.OSCILLATING,
    "good": Case.GOOD,
}
GOOD = Features(
    steps=600,
    training_lines=60,
    validation_lines=30,
    measure="accuracy",
    start_loss=2.0,
    training_loss=0.05,
    validation_loss=0.1,
    training_accuracy=0.99,
    validation_accuracy=0.98,
    training_error=0.01,
    validation_error=0.02,
    fall=0.975,
    slope=0.001,
    slope_noise=0.0001,
    best_at=1.0,
    rise=0.0,
    relapse=0.0,
    oscillation=0.001,
)


def changed(**values):
    """The good run, with some features of its own; the validation error follows the training's."""
    if "training_error" in values:
        values.setdefault("validation_error", values["training_error"] + 0.01)
    return dataclasses.replace(GOOD, **values)


def overfitting(**values):
    return changed(**{"validation_error": 0.3} | values)


def underfitting(**values):
    return changed(**{"training_error": 0.4} | values)


@pytest.mark.parametrize("kind", CASES)
def test_each_case_of_the_lecture_is_recognised(make_synthetic, kind):
    assert diagnose(measure(make_synthetic(kind))).case is CASES[kind]


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_cases_are_recognised_through_noise(make_synthetic, kind, seed):
    rng = np.random.default_rng(seed)
    lines = [
        {name: v if name == "step" else max(v + rng.normal(0, 0.01), 0) for name, v in one.items()}
        for one in make_synthetic(kind)
    ]
    assert diagnose(measure(lines)).case is CASES[kind]


@pytest.mark.parametrize("kind", CASES)
def test_the_cases_are_recognised_without_accuracy(make_synthetic, kind):
    lines = [
        {name: v for name, v in line.items() if "accuracy" not in name}
        for line in make_synthetic(kind)
    ]
    assert diagnose(measure(lines)).case is CASES[kind]


def test_the_lecture_s_changes():
    assert Case.STILL_IMPROVING.change == "raise the learning rate, or train for more epochs"
    assert Case.TOO_SMALL.change.startswith("take a deeper")
    assert Case.OVERFITTING.change.startswith("regularise")
    assert Case.OSCILLATING.change == "decrease the learning rate"
    assert Case.GOOD.change == "none"


def both_sides(make, name, threshold, below, above):
    """Well below the threshold is `below`, well above `above`, near it undecided between them."""
    far, near = T.margin * 1.05, T.margin**0.5
    assert diagnose(make(threshold / far)).cases == (below,)
    assert diagnose(make(threshold * far)).cases == (above,)
    under, over = diagnose(make(threshold / near)), diagnose(make(threshold * near))
    assert under.cases == (below, above)
    assert over.cases == (above, below)
    assert under.case is None
    assert under.deciding == over.deciding == name


def test_the_border_of_bias():
    def make(value):
        return changed(training_error=value, validation_error=value + 0.001)

    both_sides(make, "bias", T.bias, Case.GOOD, Case.TOO_SMALL)


def test_the_border_of_gap():
    def make(value):
        return changed(validation_error=0.01 + value)

    both_sides(make, "gap", T.gap, Case.GOOD, Case.OVERFITTING)


def test_the_border_of_rise():
    both_sides(lambda v: changed(rise=v), "rise", T.rise, Case.GOOD, Case.OVERFITTING)


def test_the_border_of_oscillation():
    def make(value):
        return overfitting(oscillation=value)

    both_sides(make, "oscillation", T.oscillation, Case.OVERFITTING, Case.OSCILLATING)


def test_the_border_of_relapse():
    def make(value):
        return overfitting(relapse=value)

    both_sides(make, "relapse", T.relapse, Case.OVERFITTING, Case.OSCILLATING)


def test_the_border_between_the_larger_of_bias_and_gap():
    def make(ratio):
        return changed(training_error=0.2, validation_error=0.2 + 0.2 * ratio)

    both_sides(make, "gap / bias", 1.0, Case.TOO_SMALL, Case.OVERFITTING)


@pytest.mark.parametrize(
    ("slope", "noise", "cases"),
    [
        (T.slope + 0.011, 0.005, (Case.STILL_IMPROVING,)),
        (T.slope + 0.009, 0.005, (Case.STILL_IMPROVING, Case.TOO_SMALL)),
        (T.slope - 0.009, 0.005, (Case.TOO_SMALL, Case.STILL_IMPROVING)),
        (T.slope - 0.011, 0.005, (Case.TOO_SMALL,)),
        (T.slope + 0.001, 0.0, (Case.STILL_IMPROVING,)),
        (-0.2, 0.005, (Case.TOO_SMALL,)),
    ],
)
def test_a_slope_decides_beyond_two_standard_errors(slope, noise, cases):
    assert diagnose(underfitting(slope=slope, slope_noise=noise)).cases == cases


def test_a_good_run_that_still_improves_is_good():
    assert diagnose(changed(slope=0.08)).case is Case.GOOD


def test_a_rising_validation_loss_is_overfitting_even_where_training_lacks_more():
    assert diagnose(underfitting(rise=0.2)).case is Case.OVERFITTING


def test_a_training_error_raised_by_dropout_is_no_underfitting():
    run = changed(training_error=0.2, validation_error=0.02)
    assert diagnose(run).case is Case.GOOD


def test_an_unstable_run_whose_validation_loss_rises_overfits_with_oscillation():
    assert diagnose(changed(rise=0.2, oscillation=0.2)).case is Case.OSCILLATING
    assert diagnose(underfitting(rise=0.2, relapse=0.2)).case is Case.OSCILLATING


def test_an_unstable_run_without_overfitting_is_undecided():
    found = diagnose(changed(oscillation=0.2))
    assert found.cases == (Case.GOOD, Case.OSCILLATING)
    assert any("unstable" in note for note in notes(GOOD, found))
    assert diagnose(underfitting(oscillation=0.2)).cases == (Case.TOO_SMALL, Case.OSCILLATING)


def test_an_unknown_slope_leaves_the_two_cases_of_underfitting():
    run = underfitting(slope=None, slope_noise=None)
    found = diagnose(run)
    assert set(found.cases) == {Case.TOO_SMALL, Case.STILL_IMPROVING}
    assert any("slope, which is unknown" in note for note in notes(run, found))


def test_without_validation_underfitting_is_told_and_overfitting_is_not():
    blind = {
        "validation_lines": 0,
        "validation_loss": None,
        "validation_error": None,
        "rise": None,
        "oscillation": None,
    }
    found = diagnose(changed(**blind))
    assert found.cases == (Case.GOOD, Case.OVERFITTING)
    low = underfitting(**blind | {"slope": 0.1})
    assert diagnose(low).case is Case.STILL_IMPROVING
    assert any("no validation lines" in note for note in notes(low, diagnose(low)))


def test_one_validation_line_tells_the_gap_alone():
    known = {"validation_lines": 1, "rise": None, "oscillation": None}
    assert diagnose(changed(**known)).case is Case.GOOD
    run = overfitting(**known)
    found = diagnose(run)
    assert found.case is Case.OVERFITTING
    assert any("too few to tell" in note for note in notes(run, found))


@pytest.mark.parametrize(
    "run",
    [
        changed(diverged_at=400),
        changed(training_loss=2.0 * T.explosion * 1.01),
        Features(10, 0, 0, "loss", diverged_at=10),
    ],
)
def test_a_run_that_diverged_is_told_as_such(run):
    found = diagnose(run)
    assert found.case is Case.DIVERGED
    assert len(notes(run, found)) == 1
    assert evidence(run, found).keys() <= {"training", "validation"}


def test_a_loss_that_has_not_moved_is_noted(make_lines):
    rng = np.random.default_rng(0)
    loss = 2.303 + rng.normal(0, 0.002, 60)
    run = measure(make_lines(loss, np.full(60, 0.1), loss, np.full(60, 0.1)))
    found = diagnose(run)
    assert set(found.cases) <= {Case.TOO_SMALL, Case.STILL_IMPROVING}
    assert any("factors of 10" in note for note in notes(run, found))


def test_the_target_moves_what_underfits():
    run = changed(training_error=0.3)
    assert diagnose(run).case is Case.TOO_SMALL
    assert diagnose(run, target=0.7).case is Case.GOOD
    assert diagnose(run, target=0.8).case is Case.TOO_SMALL


def test_the_target_of_a_loss_is_a_loss():
    run = changed(measure="loss", training_error=0.25, validation_error=0.26)
    assert diagnose(run).case is Case.TOO_SMALL
    assert diagnose(run, target=0.5).case is Case.GOOD  # a quarter of the start loss, 2
    assert diagnose(run, target=0.3).case is Case.TOO_SMALL


@pytest.mark.parametrize("target", [0.0, 1.01, -1, math.nan, 90.0])
def test_a_target_that_is_no_accuracy_is_refused(target):
    with pytest.raises(CnnjaxError, match="expected an accuracy above 0 and up to 1"):
        diagnose(GOOD, target=target)


@pytest.mark.parametrize("target", [-0.1, math.inf, math.nan])
def test_a_target_that_is_no_loss_is_refused(target):
    with pytest.raises(CnnjaxError, match="expected a loss of at least 0"):
        diagnose(changed(measure="loss"), target=target)


def test_the_thresholds_are_an_argument():
    assert diagnose(overfitting(), thresholds=Thresholds(gap=0.5)).case is Case.GOOD


def test_the_words_name_the_cases_and_their_changes():
    sure, unsure = diagnose(overfitting()), diagnose(changed(rise=T.rise * 1.01))
    assert headline(sure) == "overfitting"
    assert suggestion(sure) == Case.OVERFITTING.change
    assert headline(unsure) == "undecided between overfitting and good"
    assert suggestion(unsure) == f"if overfitting: {Case.OVERFITTING.change}; if good: none"


def test_the_evidence_is_in_numbers():
    run = overfitting(best_at=0.25, rise=0.123, slope=0.0456, slope_noise=0.0012, relapse=0.011)
    said = evidence(run, diagnose(run))
    assert "loss 0.05, accuracy 99.0 % at the end (start loss 2)" in said["training"]
    assert "1.0 points short of the target, an accuracy of 100.0 %" in said["bias"]
    assert "+29.0 points worse" in said["gap"]
    assert "4.6 ± 0.1 %" in said["slope"]
    assert "lowest at 25 % of the run and ends 12.3 %" in said["rise"]
    assert "0.1 % of the start loss" in said["oscillation"]
    assert "1.1 % of the start loss" in said["relapse"]


def test_damaged_lines_are_noted():
    assert notes(GOOD, diagnose(GOOD), damaged=3) == ["3 damaged lines were left out"]
    assert notes(GOOD, diagnose(GOOD)) == []
