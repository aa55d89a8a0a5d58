"""Scores: the lecture's example, scikit-learn on random cases, and counts that merge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from cnnjax import CnnjaxError
from cnnjax.training import scores
from cnnjax.training.scores import Counts, confusion_matrix, one_against_rest

CATS = Counts(90, 60, 10, 940)  # lecture 5: 1100 images, 100 of cats


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (scores.accuracy, 0.9363636363636364),
        (scores.precision, 0.6),
        (scores.recall, 0.9),
        (scores.f1, 0.72),
        (scores.specificity, 0.94),
    ],
)
def test_the_scores_of_the_lecture(score, expected):
    assert score(CATS) == pytest.approx(expected, rel=1e-12)


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    p, r = scores.precision(CATS), scores.recall(CATS)
    assert scores.f1(CATS) == pytest.approx(2 * p * r / (p + r), rel=1e-12)


def test_the_lectures_matrix_has_a_row_for_each_predicted_class_and_scikit_learns_for_each_actual():
    actual = np.repeat([0, 1, 0, 1], [90, 60, 10, 940])
    predicted = np.repeat([0, 0, 1, 1], [90, 60, 10, 940])
    lecture = confusion_matrix(predicted, actual, 2, rows="predicted")
    assert lecture.tolist() == [[90, 60], [10, 940]]
    theirs = confusion_matrix(predicted, actual, 2, rows="actual")
    assert theirs.tolist() == sklearn.confusion_matrix(actual, predicted).tolist()
    assert theirs.tolist() == [[90, 10], [60, 940]]
    for matrix, rows in ((lecture, "predicted"), (theirs, "actual")):
        assert [int(c[0]) for c in one_against_rest(matrix, rows=rows)] == list(CATS)


def test_always_non_cat_has_a_good_accuracy_and_finds_no_cat():
    never = Counts(0, 0, 100, 1000)
    assert scores.accuracy(never) == pytest.approx(0.909, abs=5e-4)
    assert scores.recall(never) == 0
    assert scores.precision(never) == 0  # 0 / 0
    assert scores.f1(never) == 0


def test_a_constant_prediction_is_as_good_as_the_classes_are_unequal():
    for share_of_a, expected in ((98, 0.98), (80, 0.80)):  # lecture 5: training and test set
        actual = np.repeat([0, 1], [share_of_a, 100 - share_of_a])
        matrix = confusion_matrix(np.zeros(100, int), actual, 2, rows="predicted")
        assert np.trace(matrix) / matrix.sum() == expected
        assert scores.accuracy(one_against_rest(matrix, rows="predicted"))[0] == expected


def test_0_over_0_is_0():
    nothing = Counts(0, 0, 0, 0)
    for score in (scores.accuracy, scores.precision, scores.recall, scores.f1, scores.specificity):
        assert score(nothing) == 0


classes = st.integers(0, 3)
examples = st.lists(st.tuples(classes, classes), min_size=1, max_size=30)


@given(examples)
@settings(max_examples=60, deadline=None)
def test_the_scores_are_those_of_scikit_learn(pairs):
    predicted, actual = np.array(pairs).T
    matrix = confusion_matrix(predicted, actual, 4, rows="actual")
    assert np.array_equal(matrix, sklearn.confusion_matrix(actual, predicted, labels=range(4)))
    counts = one_against_rest(matrix, rows="actual")
    for average in ("macro", "micro", None):
        theirs = sklearn.precision_recall_fscore_support(
            actual, predicted, labels=range(4), average=average, zero_division=0
        )
        for score, expected in zip(
            (scores.precision, scores.recall, scores.f1), theirs[:3], strict=True
        ):
            np.testing.assert_allclose(score(counts, average), expected, rtol=1e-12, atol=1e-15)
    accuracy = sklearn.accuracy_score(actual, predicted)
    assert scores.precision(counts, "micro") == pytest.approx(accuracy, abs=1e-15)
    # Specificity is the recall of the other class.
    other = sklearn.recall_score(actual == 0, predicted == 0, pos_label=False, zero_division=0)
    assert scores.specificity(counts)[0] == pytest.approx(other, abs=1e-15)


@given(examples, st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_matrices_of_any_parts_add_up_to_that_of_the_whole(pairs, cuts):
    predicted, actual = np.array(pairs).T
    whole = confusion_matrix(predicted, actual, 4, rows="predicted")
    parts = zip(np.split(predicted, sorted(cuts)), np.split(actual, sorted(cuts)), strict=True)
    merged = sum(confusion_matrix(p, a, 4, rows="predicted") for p, a in parts)
    assert np.array_equal(whole, merged)


@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [
        ([0, 3], [0, 1], r"predicted classes run from 0 to 3; expected 0 to 2"),
        ([0, 1], [-1, 1], r"actual classes run from -1 to 1; expected 0 to 2"),
        ([0.0, 1.0], [0, 1], r"predicted classes are float64 .* takes integers"),
        ([0, 1], [[0, 1]], r"actual classes are int64 of shape \[1, 2\]"),
        ([0, 1], [0, 1, 1], r"2 predicted and 3 actual classes"),
    ],
)
def test_classes_that_make_no_matrix_are_refused(predicted, actual, message):
    with pytest.raises(CnnjaxError, match=message):
        confusion_matrix(np.array(predicted), np.array(actual), 3, rows="actual")


def test_other_bad_input_is_refused():
    with pytest.raises(CnnjaxError, match=r"given as 'true'; .*'predicted'.*'actual'"):
        confusion_matrix(np.zeros(1, int), np.zeros(1, int), 2, rows="true")
    with pytest.raises(CnnjaxError, match=r"'predicted'.*'actual'"):
        one_against_rest(np.eye(2), rows="truth")
    with pytest.raises(CnnjaxError, match=r"shape \[2, 3\] is not square"):
        one_against_rest(np.ones((2, 3)), rows="actual")
    with pytest.raises(CnnjaxError, match="no average 'weighted'"):
        scores.f1(CATS, "weighted")
