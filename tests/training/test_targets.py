"""A task looks at its targets before a training, and says in one line what is wrong with them."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import (
    binary_classification,
    classification,
    multilabel_classification,
    regression,
    unit_regression,
    unit_regression_cross_entropy,
)

LABELS = np.array([0, 1, 2, 1], np.int32)
BITS = np.array([[0, 1, 1], [1, 0, 0]])
REALS = np.array([-3.0, 0.5, 7.0], np.float32)
UNITS = np.array([0.0, 0.5, 1.0], np.float32)


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        (classification, 3, LABELS),
        (classification, 3, jnp.asarray(LABELS)),
        (classification, 300, LABELS.astype(np.uint8)),
        (binary_classification, 1, LABELS[:2]),
        (binary_classification, 1, np.array([True, False])),
        (multilabel_classification, 3, BITS),
        (multilabel_classification, 3, BITS.astype(bool)),
        (regression, 1, REALS),
        (regression, 1, REALS[:, None]),
        (regression, 2, REALS[:, None].repeat(2, axis=1)),
        (regression, 1, jnp.asarray(REALS, jnp.bfloat16)),
        (unit_regression, 1, UNITS),
        (unit_regression_cross_entropy, 3, UNITS[None]),
    ],
)
def test_targets_that_fit_pass(task, outputs, targets):
    task.check((7, outputs), targets)


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "message"),
    [
        (
            classification,
            3,
            LABELS.astype(np.float32),
            r"float32 of shape \[4\]; .* integer labels",
        ),
        (classification, 3, np.eye(3, dtype=int)[LABELS], r"int64 of shape \[4, 3\]; .*argmax"),
        (classification, 2, LABELS, r"labels run from 0 to 2 but .* 2 outputs; expected .* 0 to 1"),
        (classification, 3, LABELS - 1, r"labels run from -1 to 1 but .* expected .* 0 to 2"),
        (binary_classification, 2, LABELS[:2], r"network has 2 outputs; .* takes one"),
        (binary_classification, 1, LABELS, r"the targets hold 2; .* takes 0 and 1 only"),
        (binary_classification, 1, LABELS - 1, r"the targets hold -1; .* takes 0 and 1 only"),
        (binary_classification, 1, REALS, r"float32 of shape \[3\]; .* integers or booleans \[N\]"),
        (binary_classification, 1, LABELS[:2, None], r"int32 of shape \[2, 1\]; .* here \[2\]"),
        (multilabel_classification, 3, LABELS[:2], r"int32 of shape \[2\]; .* here \[2, 3\]"),
        (multilabel_classification, 2, BITS, r"int64 of shape \[2, 3\]; .* here \[2, 2\]"),
        (multilabel_classification, 3, BITS * 3, r"the targets hold 3; "),
        (multilabel_classification, 3, BITS * 0.5, r"float64 .* convert them with .astype"),
        (
            regression,
            1,
            LABELS,
            r"int32 of shape \[4\] and .* 1 outputs; regression takes floating",
        ),
        (regression, 2, REALS, r"float32 of shape \[3\] and .* 2 outputs; .* \[N, 2\]"),
        (regression, 3, REALS[:, None], r"\[3, 1\] and .* 3 outputs"),
        (regression, 1, np.array([1.0, np.nan]), r"NaN or infinite; regression takes finite"),
        (regression, 1, np.array([1.0, np.inf]), r"NaN or infinite; regression takes finite"),
        (unit_regression, 1, REALS, r"targets run from -3 to 7; .* \[0, 1\]; scale them"),
        (unit_regression, 1, UNITS + 1e-6, r"targets run from 1e-06 to 1; .* \[0, 1\]"),
        (unit_regression_cross_entropy, 1, np.array([np.nan]), r"NaN or infinite"),
        (classification, 3, LABELS[:0], r"targets have shape \[0\]; expected at least one"),
    ],
)
def test_targets_that_do_not_fit_are_refused_in_one_line(task, outputs, targets, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        task.check((7, outputs), targets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(7,), (7, 0), (7, 4, 4, 3)])
def test_outputs_without_a_head_are_refused(shape):
    with pytest.raises(CnnjaxError, match=r"takes \[N, K\] with K .*; end the network with its"):
        classification.check(shape, LABELS)
