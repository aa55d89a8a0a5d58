"""Small weights as others write them."""

import csv
import gzip
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cnnjax
from cnnjax.pretrained.conversion import export
from cnnjax.pretrained.mobilenet import SOURCES

TABLES = Path(__file__).parents[1] / "tables"
SMALL = {"num_classes": 5, "alpha": 0.25}


@pytest.fixture(scope="session")
def small(some_variables):
    """A narrow MobileNet in Keras' form, and its variables."""
    network = cnnjax.create("mobilenet", **SMALL)
    variables = some_variables(network, (32, 32, 3))
    rng = np.random.default_rng(3)
    variables["batch_stats"] = {
        stage: _statistics(group, rng) for stage, group in variables["batch_stats"].items()
    }
    return network, variables


def _statistics(group, rng):
    if isinstance(group, dict):
        return {name: _statistics(inner, rng) for name, inner in group.items()}
    return rng.uniform(0.5, 1.5, group.shape).astype(np.float32)


@pytest.fixture
def keras_arrays(small):
    """The same in Keras' names; a test may change them."""
    network, variables = small
    arrays = export(variables, network, SOURCES["keras"])
    return {name: array.copy() for name, array in arrays.items()}


@pytest.fixture
def timm_arrays(small):
    """The same in timm's names, with the counters that its files have."""
    network, variables = small
    arrays = export(variables, network, SOURCES["timm"])
    counters = [name.replace("running_var", "num_batches_tracked") for name in arrays]
    return arrays | {name: np.array(7) for name in counters if name.endswith("tracked")}


@pytest.fixture
def keras_file(keras_arrays, tmp_path):
    path = tmp_path / "keras.npz"
    np.savez(path, **keras_arrays)
    return path


@cache
def _state_dicts():
    found = {}
    with gzip.open(TABLES / "state_dicts.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            shape = tuple(int(n) for n in row["shape"].split("x") if n)
            found.setdefault(row["file"], {})[row["name"]] = shape
    return found


@pytest.fixture(scope="session")
def state_dicts():
    """{network: {name: shape}}: what torchvision 0.28's state dicts hold, and timm 1.0.31's
    (timm_*)."""
    return _state_dicts()
