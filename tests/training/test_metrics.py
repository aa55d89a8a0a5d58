"""Metrics: equal to scikit-learn, and the same however the examples are grouped into batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from cnnjax import CnnjaxError
from cnnjax.training import (
    binary_classification,
    classification,
    metrics,
    multilabel_classification,
    regression,
    scores,
    unit_regression,
)

SIZE, CLASSES = 24, 4
JUDGED = classification.with_metrics(metrics.class_scores, metrics.confusion, metrics.top_k(2))
# Few different logits, so that there are ties; a seed makes all the arrays of one case.
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None)
sums_of_classes, sums_of_two, sums_of_sets, sums_of_reals = (
    jax.jit(task.sums)
    for task in (JUDGED, binary_classification, multilabel_classification, regression)
)


def case(seed):
    random = np.random.RandomState(seed)
    logits = random.randint(-3, 4, (SIZE, CLASSES)).astype(np.float32)
    return random, logits, random.randint(0, CLASSES, SIZE)


@given(seeds)
@few
def test_of_classes_the_numbers_are_those_of_scikit_learn(seed):
    _, logits, labels = case(seed)
    sums = sums_of_classes(logits, labels)
    found, predicted = JUDGED.report(sums), logits.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predicted), abs=1e-15)
    theirs = sklearn.precision_recall_fscore_support(
        labels, predicted, labels=range(CLASSES), average="macro", zero_division=0
    )
    ours = [found[f"{name}_macro"] for name in ("precision", "recall", "f1")]
    np.testing.assert_allclose(ours, theirs[:3], rtol=1e-12)
    matrix = sklearn.confusion_matrix(labels, predicted, labels=range(CLASSES))
    assert np.array_equal(sums["confusion"], matrix.T)  # rows = predicted, as in lecture 5
    again = scores.one_against_rest(np.asarray(sums["confusion"]), rows="predicted")
    assert np.array_equal(np.stack(again, axis=1), sums["decisions"])


@given(seeds)
@few
def test_top_k_is_that_of_scikit_learn_where_there_are_no_ties(seed):
    random, _, labels = case(seed)
    logits = random.normal(size=(SIZE, CLASSES)).astype(np.float32)
    for k in (1, 2, 3):
        ours = metrics.top_k(k).measure(logits, labels).mean()
        theirs = sklearn.top_k_accuracy_score(labels, logits, k=k, labels=range(CLASSES))
        assert float(ours) == pytest.approx(theirs, abs=1e-7)


@given(seeds)
@few
def test_of_two_classes_the_numbers_are_those_of_scikit_learn(seed):
    _, logits, labels = case(seed)
    actual, predicted = labels > 1, logits[:, 0] > 0
    task = binary_classification
    found = task.report(sums_of_two(logits[:, :1], actual.astype(int)))
    theirs = sklearn.precision_recall_fscore_support(
        actual, predicted, average="binary", zero_division=0
    )
    ours = [found[name] for name in ("precision", "recall", "f1")]
    np.testing.assert_allclose(ours, theirs[:3], rtol=1e-12)
    assert found["accuracy"] == sklearn.accuracy_score(actual, predicted)
    specificity = sklearn.recall_score(actual, predicted, pos_label=False, zero_division=0)
    assert found["specificity"] == pytest.approx(specificity, abs=1e-15)


@given(seeds)
@few
def test_of_label_sets_the_numbers_are_those_of_scikit_learn(seed):
    random, logits, _ = case(seed)
    actual = random.randint(0, 2, logits.shape)
    task = multilabel_classification
    found = task.report(sums_of_sets(logits, actual))
    predicted = (logits > 0).astype(int)
    for average in ("macro", "micro"):
        theirs = sklearn.precision_recall_fscore_support(
            actual, predicted, average=average, zero_division=0
        )
        ours = [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose(ours, theirs[:3], rtol=1e-12)
    assert found["accuracy"] == pytest.approx((predicted == actual).mean(), abs=1e-12)
    assert found["exact_match"] == sklearn.accuracy_score(actual, predicted)


@given(seeds)
@few
def test_of_real_values_the_numbers_are_those_of_scikit_learn(seed):
    random, outputs, _ = case(seed)
    targets = random.normal(0, 3, outputs.shape).astype(np.float32)
    found = regression.report(sums_of_reals(outputs, targets))
    assert found["mae"] == pytest.approx(sklearn.mean_absolute_error(targets, outputs), rel=1e-5)
    # Over all outputs at once: scikit-learn's rmse takes a root for each output.
    squares = sklearn.mean_squared_error(targets, outputs)
    assert found["rmse"] == pytest.approx(squares**0.5, rel=1e-5)
    one = regression.report(sums_of_reals(outputs[:, :1], targets[:, 0]))
    root = sklearn.root_mean_squared_error(targets[:, 0], outputs[:, 0])
    assert one["rmse"] == pytest.approx(root, rel=1e-5)


def test_behind_a_sigmoid_the_error_is_that_of_the_prediction_and_not_of_the_logit():
    outputs, targets = jnp.array([[0.0], [np.log(3.0)]]), jnp.array([0.25, 0.25])
    found = unit_regression.report(unit_regression.sums(outputs, targets))
    assert found["mae"] == pytest.approx((0.25 + 0.5) / 2)
    assert found["rmse"] == pytest.approx(((0.0625 + 0.25) / 2) ** 0.5)
    assert found["loss"] == pytest.approx((0.0625 + 0.25) / 2)


TASKS = {
    "classes": JUDGED,
    "two": binary_classification,
    "sets": multilabel_classification,
    "reals": regression,
    "units": unit_regression,
}


@jax.jit
def sums_of_all(logits, labels, bits, mask):
    """The sums of every task, in one program."""
    reals = bits.astype(jnp.float32)
    batches = {
        "classes": (logits, labels),
        "two": (logits[:, :1], bits[:, 0]),
        "sets": (logits, bits),
        "reals": (logits, reals),
        "units": (logits, reals),
    }
    return {name: TASKS[name].sums(*batch, mask) for name, batch in batches.items()}


def in_batches(arrays, size):
    """The sums over batches of `size`, the last filled up with what must not count."""
    total = None
    for first in range(0, SIZE, size):
        logits, *targets = (array[first : first + size] for array in arrays)
        missing = size - len(logits)
        mask = np.arange(size) < len(logits)
        logits = np.concatenate([logits, np.full((missing, CLASSES), np.nan, np.float32)])
        targets = [np.concatenate([t, np.repeat(t[:1], missing, axis=0)]) for t in targets]
        sums = jax.device_get(sums_of_all(logits, *targets, mask.astype(np.float32)))
        total = sums if total is None else jax.tree.map(np.add, total, sums)
    return total


def test_uneven_and_filled_up_batches_give_the_same_counts_to_the_bit():
    random, logits, labels = case(6)
    arrays = (logits, labels, random.randint(0, 2, logits.shape))
    whole = in_batches(arrays, SIZE)
    for size in (1, 7, 40):
        merged = in_batches(arrays, size)
        for task, sums in whole.items():
            for name, value in sums.items():
                if name in ("loss", "absolute_error", "squared_error"):
                    np.testing.assert_allclose(value, merged[task][name], rtol=1e-6)
                else:
                    assert value.dtype == np.int32
                    assert np.array_equal(value, merged[task][name]), (task, name)
            reported = TASKS[task].report(merged[task])
            assert reported == pytest.approx(TASKS[task].report(sums), rel=1e-6)
            assert merged[task]["count"] == SIZE


def test_of_equal_logits_the_first_is_the_largest():
    flat = jnp.zeros((4, 4))
    labels = jnp.arange(4)
    assert metrics.correct(flat, labels).tolist() == [True, False, False, False]
    assert metrics.top_k(2).measure(flat, labels).tolist() == [True, True, False, False]


def test_top_1_is_accuracy_and_top_all_is_certain():
    _, logits, labels = case(5)
    assert jnp.array_equal(
        metrics.top_k(1).measure(logits, labels), metrics.correct(logits, labels)
    )
    assert bool(metrics.top_k(CLASSES).measure(logits, labels).all())


def test_a_label_needs_more_than_one_half():
    counted = metrics.label_counts(jnp.array([0.0, 1e-6, -1e-6]), jnp.array([1, 1, 0]))
    names = [scores.Counts._fields[i] for i in np.asarray(counted).argmax(axis=1)]
    assert names == ["false_negatives", "true_positives", "true_negatives"]
    assert (np.asarray(counted).sum(axis=1) == 1).all()


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_1_is_refused(k):
    with pytest.raises(CnnjaxError, match=f"top-{k} accuracy cannot be; k is at least 1"):
        metrics.top_k(k)


def test_other_bad_input_is_refused():
    logits = jnp.zeros((2, 3))
    with pytest.raises(CnnjaxError, match=r"top-5 accuracy was asked of 3 classes"):
        metrics.top_k(5).measure(logits, jnp.array([0, 1]))
    for metric in (metrics.top_k(2), metrics.class_scores, metrics.confusion):
        with pytest.raises(CnnjaxError, match="it takes integers"):
            metric.measure(logits, jnp.zeros(2))
        with pytest.raises(CnnjaxError, match=r"labels \[N\]"):
            metric.measure(logits, jnp.array([0, 1, 2]))
    for metric in (metrics.label_scores, metrics.exact_match, metrics.mae, metrics.rmse):
        with pytest.raises(CnnjaxError, match="reshape one of them"):
            metric.measure(logits, jnp.zeros((2, 4)))
