"""Parameter counts against what papers and lectures print."""

import csv
from ast import literal_eval
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import cnnjax

TABLE = Path(__file__).parents[1] / "tables" / "parameters.csv"
ROWS = list(csv.DictReader(TABLE.open(newline="")))


def shapes(network, image):
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def made(row):
    pairs = (part.split("=") for part in row["arguments"].split("; ") if part)
    return cnnjax.create(row["network"], **{name: literal_eval(value) for name, value in pairs})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['network']}-{row['image']}")
def test_a_network_has_the_number_of_parameters_of_its_source(row):
    image = tuple(int(n) for n in row["image"].split("x"))
    assert count(shapes(made(row), image)["params"]) == int(row["parameters"])


def test_every_registered_network_has_a_row_in_the_table():
    assert {row["network"] for row in ROWS} == set(cnnjax.list_models())


def test_lenet5_has_the_lectures_count_in_every_layer():
    params = shapes(cnnjax.create("lenet5"), (32, 32, 1))["params"]
    assert [count(params[s]) for s in params] == [156, 2416, 48120, 10164, 850]


def test_alexnet_has_the_lectures_count_in_every_convolution_and_biases_in_the_rest():
    params = shapes(cnnjax.create("alexnet"), (227, 227, 3))["params"]
    convolutions = [34_944, 614_656, 885_120, 1_327_488, 884_992]
    dense = [37_748_736 + 4096, 16_777_216 + 4096, 4_096_000 + 1000]
    assert [count(params[s]) for s in params] == convolutions + dense


def test_alexnet_small_has_the_count_of_its_eighth_of_the_filters():
    params = shapes(cnnjax.create("alexnet_small"), (20, 20, 1))["params"]
    by_hand = {
        "conv1": 5 * 5 * 1 * 12 + 12,
        "conv2": 5 * 5 * 12 * 32 + 32,
        "conv3": 3 * 3 * 32 * 48 + 48,
        "conv4": 3 * 3 * 48 * 48 + 48,
        "conv5": 3 * 3 * 48 * 32 + 32,
        "fc6": 32 * 128 + 128,  # 20 -> 9 -> 4 -> 1 pixels
        "fc7": 128 * 128 + 128,
        "fc8": 128 * 10 + 10,
    }
    assert {s: count(params[s]) for s in params} == by_hand
