"""What the tests of scripts/train.py train on."""

import numpy as np
import pytest
from train import Config


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Three noisy patterns, 12 x 12; no validation part."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (3, 12, 12))

    def part(count):
        labels = np.arange(count) % 3
        images = patterns[labels] + rng.normal(0, 80, (count, 12, 12))
        return np.clip(images, 0, 255).astype(np.uint8), labels

    path = tmp_path_factory.mktemp("data") / "patterns.npz"
    (x_train, y_train), (x_test, y_test) = part(300), part(50)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def config(archive, tmp_path_factory):
    """A training of seconds; keywords change it."""

    def make(**changes):
        out = tmp_path_factory.mktemp("run") / "out"
        small = {"dataset": f"npz:{archive}", "network": "mlp", "arguments": ("hidden=(16,)",)}
        small |= {"steps": 40, "batch_size": 16, "evaluations": 4, "out": out}
        return Config(**small | changes)

    return make
