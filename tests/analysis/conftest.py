import numpy as np
import pytest


def lines_of(loss, accuracy=None, validation_loss=None, validation_accuracy=None, every=1):
    """Lines of metrics at steps 10, 20, ..., validation in every `every`-th."""
    named = {
        "loss": loss,
        "accuracy": accuracy,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
    }
    lines = []
    for i in range(len(loss)):
        line = {"step": 10 * (i + 1)}
        for name, values in named.items():
            if values is not None and ("validation" not in name or (i + 1) % every == 0):
                line[name] = float(values[i])
        lines.append(line)
    return lines


def synthetic(kind, points=60):
    """A clean curve of each case: losses start at 2, accuracies at 0.1."""
    p = np.arange(1, points + 1) / points
    fast = np.exp(-12 * p)
    if kind == "good":
        loss, accuracy = 2 * fast + 0.02, 0.99 - 0.8 * fast
        return lines_of(loss, accuracy, loss + 0.03, accuracy - 0.02)
    if kind == "slow":
        return lines_of(2 - p, 0.1 + 0.5 * p, 2 - p + 0.02, 0.1 + 0.5 * p - 0.01)
    if kind == "small":
        loss, accuracy = 1 + fast, 0.6 - 0.5 * fast
        return lines_of(loss, accuracy, loss + 0.02, accuracy - 0.01)
    loss, accuracy = 2 * fast, 1 - 0.9 * fast
    validation = 0.7 + 1.3 * fast + 0.4 * p
    wrong = accuracy - 0.25 * p
    if kind == "few":
        return lines_of(loss, accuracy, validation, wrong)
    jumps = np.where(p > 0.5, 0.2 * (-1.0) ** np.arange(points), 0)
    assert kind == "unstable"
    return lines_of(loss, accuracy, validation + jumps, wrong - jumps / 4)


@pytest.fixture
def make_lines():
    return lines_of


@pytest.fixture
def make_synthetic():
    return synthetic
