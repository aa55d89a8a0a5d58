"""Parameter counts against what papers and lectures print, and what types networks have.

Both are seen where the network is traced in half precision on its paper's images, once.
"""

import csv
from ast import literal_eval
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import cnnjax
from cnnjax.models import NETWORKS

TABLE = Path(__file__).parents[1] / "tables" / "parameters.csv"
ROWS = list(csv.DictReader(TABLE.open(newline="")))


@cache
def traced(network, image):
    """(logits, variables), as shapes."""
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return jax.eval_shape(network.init_with_output, jax.random.key(0), images)


def shapes(network, image):
    return traced(network, image)[1]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def half(name, **arguments):
    return cnnjax.create(name, dtype=jnp.bfloat16, **arguments)


def made(row):
    pairs = (part.split("=") for part in row["arguments"].split("; ") if part)
    return half(row["network"], **{name: literal_eval(value) for name, value in pairs})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['network']}-{row['image']}")
def test_a_network_has_the_number_of_parameters_of_its_source(row):
    image = tuple(int(n) for n in row["image"].split("x"))
    assert count(shapes(made(row), image)["params"]) == int(row["parameters"])


@pytest.mark.parametrize("name", cnnjax.list_models())
def test_half_precision_computes_float32_logits_from_float32_variables(name):
    net = half(name)
    logits, variables = traced(net, NETWORKS[name].image)
    assert (logits.shape, logits.dtype) == ((1, net.num_classes), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", cnnjax.list_models())
def test_half_precision_features_stay_in_half_precision(name):
    net = half(name)
    first = jax.eval_shape(
        lambda key, x: net.init_with_output(key, x, stop=net.stages[0])[0],
        jax.random.key(0),
        jnp.zeros((1, *NETWORKS[name].image)),
    )
    assert {x.dtype for x in jax.tree.leaves(first)} == {jnp.dtype(jnp.bfloat16)}


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
