"""Each of the lecture's five tasks is learnt by `fit`, on examples held out, where a constant that
knows the frequencies fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.training import (
    binary_classification,
    classification,
    create_state,
    fit,
    momentum_sgd,
    multilabel_classification,
    regression,
    unit_regression,
    unit_regression_cross_entropy,
)
from cnnjax.transfer import initialise

STEPS = 400


@pytest.fixture(scope="module")
def digits():
    """((images, labels) to learn from, (images, labels) held out), of scikit-learn's digits."""
    splits = cnnjax.data.load("digits")
    return tuple((part.images, part.labels) for part in (splits.train, splits.test))


def learnt(task, train, test, outputs, learning_rate):
    """(held-out metrics of a small network after `fit`, those of the best constant)."""
    train, test = (tuple(jnp.asarray(array) for array in part) for part in (train, test))
    network = cnnjax.create("mlp", hidden=(64,), num_classes=outputs)
    optimizer = momentum_sgd(learning_rate, STEPS, weight_decay=1e-4, warmup=20)
    variables = initialise(network, train[0].shape[1:], 0)
    _, lines = fit(
        create_state(variables, optimizer, jax.random.key(1)),
        train,
        network=network,
        task=task,
        optimizer=optimizer,
        steps=STEPS,
        batch_size=64,
        seed=2,
        log_every=STEPS,
        validation=test,
    )
    named = lines[-1].items()
    found = {k.removeprefix("validation_"): v for k, v in named if k.startswith("validation_")}
    assert all(np.isfinite(value) for _, value in named)
    constant = jnp.broadcast_to(best_constant(task, train[1], outputs), (len(test[1]), outputs))
    return found, task.report(task.sums(constant, test[1]))


def best_constant(task, targets, outputs):
    """The outputs that would have the least loss on these targets, if all were the same."""
    if task is classification:
        return jnp.log(jnp.bincount(targets, length=outputs) / len(targets))
    mean = targets.mean(axis=0)
    return mean if task is regression else jnp.log(mean / (1 - mean))


def test_binary_classification_tells_odd_digits_from_even(digits):
    odd = [(images, labels % 2) for images, labels in digits]
    found, constant = learnt(binary_classification, *odd, outputs=1, learning_rate=0.05)
    assert set(found) == {"loss", "accuracy", "precision", "recall", "f1", "specificity"}
    assert min(found["accuracy"], found["f1"], found["specificity"]) > 0.94
    assert constant["accuracy"] < 0.6
    assert found["loss"] < constant["loss"] / 3


def test_multiclass_classification_tells_the_ten_digits(digits):
    found, constant = learnt(classification, *digits, outputs=10, learning_rate=0.05)
    assert set(found) == {"loss", "accuracy"}
    assert found["accuracy"] > 0.93
    assert constant["accuracy"] < 0.2
    assert constant["loss"] == pytest.approx(np.log(10), abs=0.02)


def pairs_of(images, labels, count, seed):
    """Pictures of two digits side by side `[count, 8, 16, 1]`, and which digits."""
    left, right = np.random.RandomState(seed).randint(0, len(labels), (2, count))
    present = np.zeros((count, 10), np.int32)
    present[np.arange(count), labels[left]] = present[np.arange(count), labels[right]] = 1
    return np.concatenate([images[left], images[right]], axis=2), present


def test_multilabel_classification_finds_both_digits_of_a_picture(digits):
    train, test = pairs_of(*digits[0], 8000, 0), pairs_of(*digits[1], 600, 1)
    found, constant = learnt(multilabel_classification, train, test, outputs=10, learning_rate=0.3)
    assert found["f1_micro"] > 0.8
    assert found["f1_macro"] > 0.8
    assert found["exact_match"] > 0.5
    assert constant["f1_micro"] == constant["exact_match"] == 0
    assert constant["accuracy"] > 0.75  # most labels are absent: it is a number that flatters


GRID = np.mgrid[:12, :12] - 5.5


def discs(count, seed):
    """Grey discs on grey ground `[count, 12, 12, 1]`; centre right, down and diameter."""
    random = np.random.RandomState(seed)
    down, right = random.uniform(-3, 3, (2, count, 1, 1))
    radius = random.uniform(1.5, 5, (count, 1, 1))
    distance = np.hypot(GRID[0] - down, GRID[1] - right)
    inside = np.clip(radius - distance + 0.5, 0, 1)  # an edge one pixel soft
    ground = random.uniform(0, 80, (count, 1, 1))
    images = ground + inside * random.uniform(120, 170, (count, 1, 1))
    values = np.concatenate([right, down, 2 * radius], axis=1)[..., 0]
    return images[..., None].astype(np.uint8), values.astype(np.float32)


def test_regression_measures_where_a_disc_lies_and_how_wide_it_is():
    train, test = discs(6000, 0), discs(500, 1)
    found, constant = learnt(regression, train, test, outputs=3, learning_rate=0.01)
    assert set(found) == {"loss", "mae", "rmse"}
    assert constant["rmse"] > 1.7  # pixels
    assert found["rmse"] < 0.6
    assert found["mae"] < 0.5
    assert found["loss"] == pytest.approx(found["rmse"] ** 2, rel=1e-4)


def blinds(count, seed):
    """Windows `[count, 12, 12, 1]` with a blind let down to a random depth, which is the target."""
    random = np.random.RandomState(seed)
    closed = random.beta(0.7, 0.7, (count, 1, 1))  # often all the way up or down
    below = np.clip(12 * closed - np.arange(12)[:, None], 0, 1)  # of each row, the covered part
    light, dark = random.uniform(130, 250, (count, 1, 1)), random.uniform(0, 80, (count, 1, 1))
    images = light + (dark - light) * below + random.normal(0, 6, (count, 12, 12))
    return np.clip(images, 0, 255)[..., None].astype(np.uint8), closed[:, 0, 0].astype(np.float32)


@pytest.mark.parametrize(
    "task", [unit_regression, unit_regression_cross_entropy], ids=["mse", "cross-entropy"]
)
def test_regression_in_0_to_1_measures_how_far_a_blind_is_down(task):
    train, test = blinds(4000, 0), blinds(500, 1)
    found, constant = learnt(task, train, test, outputs=1, learning_rate=0.1)
    assert set(found) == {"loss", "mae", "rmse"}
    assert constant["rmse"] > 0.3
    assert found["rmse"] < 0.08
    assert found["mae"] < 0.06
