"""The lecture's table of last layers, and what a task sums, reports and predicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import (
    LAST_LAYERS,
    binary_classification,
    classification,
    losses,
    metrics,
    regression,
    unit_regression,
    unit_regression_cross_entropy,
)

keras = pytest.importorskip("keras")

RANDOM = np.random.RandomState(4)
LOGITS = RANDOM.normal(0, 2, (40, 3)).astype(np.float32)
LABELS = RANDOM.randint(0, 3, 40)
BITS = RANDOM.randint(0, 2, (40, 3))
UNITS = RANDOM.uniform(0, 1, (40, 3)).astype(np.float32)
REALS = RANDOM.normal(0, 3, (40, 3)).astype(np.float32)
TARGETS = {
    "Binary classification": BITS[:, 0],
    "Multiclass, single-label classification": LABELS,
    "Multiclass, multilabel classification": BITS,
    "Regression to arbitrary values": REALS,
    "Regression to values between 0 and 1": UNITS,
}
ROWS = [pytest.param(row, id=f"{row.problem}, {row.loss}") for row in LAST_LAYERS]


def test_the_table_is_the_one_of_the_lecture():
    assert [row[:3] for row in LAST_LAYERS] == [
        ("Binary classification", "sigmoid", "binary_crossentropy"),
        ("Multiclass, single-label classification", "softmax", "categorical_crossentropy"),
        ("Multiclass, multilabel classification", "sigmoid", "binary_crossentropy"),
        ("Regression to arbitrary values", None, "mse"),
        ("Regression to values between 0 and 1", "sigmoid", "mse"),
        ("Regression to values between 0 and 1", "sigmoid", "binary_crossentropy"),
    ]


@pytest.mark.parametrize("row", ROWS)
def test_the_loss_on_logits_is_the_printed_loss_behind_the_printed_activation(row):
    targets = TARGETS[row.problem]
    outputs = LOGITS[:, :1] if row.problem.startswith("Binary") else LOGITS
    row.task.check(outputs.shape, targets)
    predictions = keras.activations.get(row.activation)(outputs)
    np.testing.assert_allclose(row.task.predict(outputs), predictions, rtol=1e-5)
    dense = np.eye(3)[targets] if row.activation == "softmax" else targets.reshape(outputs.shape)
    expected = keras.losses.get(row.loss)(dense.astype(np.float32), predictions)
    np.testing.assert_allclose(row.task.loss(outputs, targets), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("row", ROWS)
def test_a_task_can_be_a_static_argument_and_reports_plain_finite_numbers(row):
    outputs = LOGITS[:, :1] if row.problem.startswith("Binary") else LOGITS
    sums = jax.jit(lambda task, *batch: task.sums(*batch), static_argnums=0)
    found = row.task.report(sums(row.task, outputs, TARGETS[row.problem]))
    assert all(type(value) is float and np.isfinite(value) for value in found.values())
    assert len(found) >= 2


def test_both_losses_of_values_in_0_to_1_are_least_at_the_mean_of_the_targets():
    targets = UNITS[:, 0]
    best = jnp.log(targets.mean() / (1 - targets.mean()))
    for task in (unit_regression, unit_regression_cross_entropy):
        gradient = jax.grad(lambda s, task=task: task.loss(jnp.full((40, 1), s), targets).mean())
        assert abs(gradient(best)) < 1e-6
        assert gradient(best + 0.1) > 1e-3
        assert gradient(best - 0.1) < -1e-3


def test_the_reported_loss_is_the_empirical_loss():
    found = classification.report(classification.sums(LOGITS, LABELS))
    each = losses.softmax_cross_entropy(LOGITS, LABELS)
    assert found["loss"] == pytest.approx(float(each.mean()), rel=1e-6)
    assert found == pytest.approx(
        {"loss": found["loss"], "accuracy": (LOGITS.argmax(1) == LABELS).mean()}, abs=1e-12
    )


def test_examples_that_fill_up_add_exactly_nothing_whatever_they_hold():
    mask = jnp.array([1.0, 0.0, 1.0, 0.0])
    for task, filling, targets in (
        (binary_classification, (7.0, -7.0), [[1, 9, 0, -9], [1, 0, 0, 1]]),
        (regression, (0.0, 0.0), [[0.5, np.nan, 1.0, -np.inf], [0.5, 0.0, 1.0, 0.0]]),
    ):
        wild = task.sums(
            jnp.array([[1.0], [np.nan], [-2.0], [np.inf]]), jnp.array(targets[0]), mask
        )
        first, second = filling
        tame = jnp.array([[1.0], [first], [-2.0], [second]])
        sums = task.sums(tame, jnp.array(targets[1]), mask)
        assert sums["count"] == 2
        assert all(jnp.array_equal(wild[name], sums[name]) for name in sums)


def test_counts_stay_exact_where_float32_would_not():
    sums = {"loss": 0.0, "accuracy": 2**24 + 1, "count": 2**25}
    assert classification.report(sums)["accuracy"] == (2**24 + 1) / 2**25
    assert classification.sums(LOGITS, LABELS)["accuracy"].dtype == jnp.int32
    assert classification.sums(LOGITS, LABELS)["count"].dtype == jnp.int32


def test_a_report_of_no_example_is_refused():
    with pytest.raises(CnnjaxError, match="no example was counted"):
        classification.report({"loss": 0.0, "accuracy": 0.0, "count": 0.0})


def test_more_metrics_can_be_added_but_not_twice_the_same():
    more = classification.with_metrics(metrics.top_k(2), metrics.class_scores)
    found = more.report(more.sums(LOGITS, LABELS))
    assert {"loss", "accuracy", "top_2_accuracy", "f1_macro"} <= set(found)
    assert more == classification.with_metrics(metrics.top_k(2), metrics.class_scores)
    with pytest.raises(CnnjaxError, match="cannot measure 'accuracy' twice"):
        classification.with_metrics(metrics.accuracy)
    with pytest.raises(CnnjaxError, match="cannot measure 'loss' twice"):
        classification.with_metrics(metrics.accuracy._replace(name="loss", summaries=()))
    with pytest.raises(CnnjaxError, match="cannot measure 'accuracy' twice"):
        classification.with_metrics(metrics.label_scores)
