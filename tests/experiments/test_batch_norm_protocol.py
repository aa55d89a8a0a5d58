"""The networks, the arms and the measures of the study of batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batch_norm_arms import Arm, ConvNet, arms
from batch_norm_measures import (
    PERCENTILES,
    as_line,
    batch_accuracy,
    drift,
    sigmoid_inputs,
)
from batch_norm_protocol import black_and_white

from cnnjax.data import Dataset
from cnnjax.models.ledger import ledger
from cnnjax.training import evaluate, scale_pixels
from cnnjax.training.tasks import classification

PLAIN = Arm("figure1", False, "sigmoid", 1.0, 60)
NORMALISED = Arm("figure1", True, "sigmoid", 1.0, 60)
SHAPE = (4, 4, 1)


@pytest.fixture(scope="module")
def data():
    images = np.random.RandomState(0).randint(0, 256, (11, *SHAPE)).astype(np.uint8)
    labels = (np.arange(11) % 3).astype(np.int32)
    return Dataset(images, labels, ("a", "b", "c"))


@pytest.fixture(scope="module", params=[PLAIN, NORMALISED], ids=["plain", "normalised"])
def drawn(request):
    network = request.param.network(3, 0.5)
    variables = request.param.initialise(network, SHAPE, 1)
    if request.param.normalised:  # numbers that a formula without them would not give
        noise = np.random.RandomState(1)
        for stage, arrays in variables["params"].items():
            if "norm" in arrays:
                moved = {
                    k: jnp.asarray(noise.normal(1, 0.3, v.shape)) for k, v in arrays["norm"].items()
                }
                variables["params"][stage] = {**arrays, "norm": moved}
    return network, variables


def by_hand(variables, images):
    """(inputs of the third layer of sigmoids, logits), with the statistics of this batch."""
    x = np.asarray(scale_pixels(jnp.asarray(images)), np.float64).reshape(len(images), -1)
    for stage in ("fc1", "fc2", "fc3"):
        arrays = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"][stage])
        if "norm" in arrays:
            z = x @ arrays["dense"]["kernel"]
            z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
            z = z * arrays["norm"]["scale"] + arrays["norm"]["bias"]
        else:
            z = x @ arrays["kernel"] + arrays["bias"]
        x = 1 / (1 + np.exp(-z))
    last = variables["params"]["fc4"]
    return z, x @ np.asarray(last["kernel"]) + np.asarray(last["bias"])


def test_the_network_of_figure_1_has_the_papers_parameters():
    plain, normalised = (
        ledger(arm.network(10, 0.1), (28, 28, 1)).total("parameters") for arm in (PLAIN, NORMALISED)
    )
    assert plain == 99_710
    assert normalised == 99_710 - 300 + 600  # a gamma and a beta for each unit, and no bias


def test_the_convolutional_network_differs_by_its_normalisation_alone():
    plain, normalised = (
        ledger(ConvNet(num_classes=43, batch_norm=norm), (20, 20, 1)) for norm in (False, True)
    )
    assert [row.output for row in plain.rows] == [(10, 10, 16), (5, 5, 32), (2, 2, 32), (43,)]
    assert [row.output for row in normalised.rows] == [row.output for row in plain.rows]
    maps = 16 + 32 + 32
    assert normalised.total("parameters") - plain.total("parameters") == 2 * maps - maps


def test_the_arms_are_the_papers_in_pairs():
    found = list(arms(("figure1", "rates", "batches"), 60, 32, (2, 64)))
    assert [arm.stem for arm in found] == [
        *("figure1-plain", "figure1-bn"),
        *("x1-plain", "x5-plain", "x30-plain", "x1-bn", "x5-bn", "x30-bn"),
        *("x5-plain-sigmoid", "x5-bn-sigmoid"),
        *("batch2-plain", "batch2-bn", "batch64-plain", "batch64-bn"),
    ]
    assert {arm.batch_size for arm in found if arm.part == "figure1"} == {60}
    assert {arm.activation for arm in found if arm.part == "figure1"} == {"sigmoid"}


def test_the_arms_of_a_seed_have_the_same_kernels():
    plain, normalised = (
        arm.initialise(arm.network(3, 0.5), SHAPE, 7)["params"] for arm in (PLAIN, NORMALISED)
    )
    for stage in ("fc1", "fc2", "fc3"):
        np.testing.assert_array_equal(plain[stage]["kernel"], normalised[stage]["dense"]["kernel"])
    np.testing.assert_array_equal(plain["fc4"]["kernel"], normalised["fc4"]["kernel"])
    assert 0.4 < float(plain["fc2"]["kernel"].std()) < 0.6


def test_batches_of_test_images_are_normalised_by_themselves(data, drawn):
    network, variables = drawn
    _, logits = by_hand(variables, data.images)
    expected = np.mean(logits.argmax(-1) == data.labels)
    assert batch_accuracy(network, data, len(data))(variables) == pytest.approx(expected)


def test_every_test_image_counts_once_whatever_the_batch(data):
    network = PLAIN.network(3, 0.5)
    variables = PLAIN.initialise(network, SHAPE, 1)
    arrays = jnp.asarray(data.images), jnp.asarray(data.labels)
    expected = evaluate(network, classification, variables, arrays)["accuracy"]
    assert batch_accuracy(network, data, 4)(variables) == pytest.approx(expected)


def test_percentiles_are_of_what_enters_the_last_sigmoids(data, drawn):
    network, variables = drawn
    inputs, _ = by_hand(variables, data.images)
    found = sigmoid_inputs(network, data)(variables)
    assert found.shape == (3, 100)
    np.testing.assert_allclose(found, np.percentile(inputs, PERCENTILES, axis=0), atol=1e-4)


def test_the_drift_is_how_far_percentiles_move_and_the_typical_unit_has_the_median():
    apart = np.array([[-1], [0], [1]])
    moments = [np.array([t, 0, 3 * t]) + apart for t in (-1, 1)]
    mean, unit = drift([as_line(percentiles) for percentiles in moments], units=3)
    assert mean == pytest.approx(4 / 3)
    assert unit == 0


def test_black_and_white_has_two_values_and_cuts_in_the_middle(data):
    found = black_and_white(data)
    assert set(np.unique(found.images)) == {0, 255}
    np.testing.assert_array_equal(found.images == 255, data.images >= 128)
