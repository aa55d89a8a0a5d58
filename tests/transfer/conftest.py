import numpy as np
import pytest

import cnnjax
from cnnjax.data import Dataset
from cnnjax.transfer import initialise

SHAPE = (6, 6, 1)


def labelled(count, seed, classes=("a", "b", "c")):
    """Noise, brighter from class to class, so that there is something to learn."""
    labels = (np.arange(count) % len(classes)).astype(np.int32)
    noise = np.random.RandomState(seed).randint(0, 160, (count, *SHAPE))
    return Dataset((noise + 40 * labels[:, None, None, None]).astype(np.uint8), labels, classes)


@pytest.fixture(scope="session")
def sets():
    """(train, test)"""
    return labelled(45, 0), labelled(24, 1)


@pytest.fixture(scope="session")
def two_classes():
    return labelled(40, 2, ("a", "b")), labelled(20, 3, ("a", "b"))


@pytest.fixture(scope="session")
def network():
    """Pretrained on five classes: fully connected, normalised, so that little is compiled."""
    return cnnjax.create("mlp", hidden=(6, 5), num_classes=5, batch_norm=True)


@pytest.fixture(scope="session")
def pretrained(network):
    variables = initialise(network, SHAPE, seed=3)
    rng = np.random.RandomState(4)
    for stage in variables["batch_stats"].values():
        stage["norm"]["mean"] = rng.normal(0, 0.3, stage["norm"]["mean"].shape).astype(np.float32)
    return variables
