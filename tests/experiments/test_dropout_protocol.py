"""What the dropout study trains, and what it measures, against the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dropout_arms import ARCHITECTURES, KEPT_UNITS, PARTS, Arm, Penalties, arms
from dropout_networks import (
    SAMPLES,
    UnitMLP,
    activations,
    feature_weights,
    features,
    sampled_accuracies,
    sparsity,
    spread,
)
from dropout_protocol import Protocol, Recipe, held_out

from cnnjax.data import Dataset, Splits
from cnnjax.errors import CnnjaxError
from cnnjax.transfer import initialise

PENALTIES = Penalties(max_norm=2.0, l2=1e-3, l1=1e-4)
RATES = (0.1, 0.5, 1.0)


def all_arms() -> list[Arm]:
    return arms(PARTS, ARCHITECTURES, RATES, KEPT_UNITS, (20, 50, 100), PENALTIES)


@pytest.fixture(scope="module")
def protocol(tiny) -> Protocol:
    recipe = Recipe(
        dataset=f"npz:{tiny}",
        image_size=None,
        width=1.0,
        conv_width=1.0,
        train_images=60,
        steps=5,
        batch_size=8,
        learning_rate=0.01,
        seed=7,
    )
    return Protocol(recipe, all_arms(), seeds=3)


@pytest.fixture(scope="module")
def network() -> UnitMLP:
    return UnitMLP(num_classes=3, hidden=(6,), dropout=0.5, input_dropout=0.2)


@pytest.fixture(scope="module")
def variables(network) -> dict:
    return network.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))


@pytest.fixture(scope="module")
def images() -> Dataset:
    pixels = np.random.RandomState(0).randint(0, 256, (12, 4, 4, 1)).astype(np.uint8)
    return Dataset(pixels, (np.arange(12) % 3).astype(np.int32), ("a", "b", "c"))


def test_figure_4_has_all_combinations_of_2_3_and_4_layers_with_1024_and_2048_units():
    mine = [arm for arm in all_arms() if arm.part == "architectures"]
    assert {arm.hidden for arm in mine} == {(n,) * d for n in (1024, 2048) for d in (2, 3, 4)}
    dropped = [arm for arm in mine if arm.method == "dropout"]
    assert len(dropped) == 6
    assert {(arm.keep, arm.keep_input, arm.max_norm) for arm in dropped} == {(0.5, 0.8, 2.0)}
    assert {(a.keep, a.keep_input, a.max_norm) for a in mine if a not in dropped} == {(1, 1, None)}


def test_the_networks_at_full_width_have_as_many_weights_as_reckoned_by_hand(protocol):
    def size(arm: Arm) -> int:
        network = protocol.network(arm).clone(num_classes=10)
        shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))

    by_stem = {arm.stem: arm for arm in all_arms()}
    assert size(by_stem["architectures-3x1024-dropout"]) == 2_913_290
    assert size(by_stem["rate-n-p0.5"]) == 10_020_874
    assert size(by_stem["regularisers-L2"]) == size(by_stem["size-20-none"]) == 3_973_130


def test_rates_keep_all_pixels_and_either_n_or_pn():
    mine = [arm for arm in all_arms() if arm.part == "rate"]
    assert {arm.keep_input for arm in mine} == {1.0}
    assert {a.hidden for a in mine if a.method == "n fixed"} == {(2048, 2048, 2048)}
    kept = [a for a in mine if a.method == "pn fixed"]
    assert {tuple(round(a.keep * n) for n in a.hidden) for a in kept} == {(256, 256, 512)}
    assert kept[0].hidden == (2560, 2560, 5120)


def test_a_low_p_has_the_equivalent_of_the_paper_s_learning_rate(protocol):
    found = {arm.keep: protocol.learning_rate(arm) for arm in all_arms() if arm.part == "rate"}
    assert found == {0.1: pytest.approx(0.01 * 0.04), 0.5: 0.01, 1.0: 0.01}


def test_regularisers_are_those_of_table_9_on_its_network():
    mine = {arm.method: arm for arm in all_arms() if arm.part == "regularisers"}
    assert {arm.hidden for arm in mine.values()} == {(1024, 1024, 2048)}
    found = {m: (a.l2, a.l1, a.max_norm, a.keep) for m, a in mine.items()}
    assert found == {
        "none": (0, 0, None, 1),
        "L2": (1e-3, 0, None, 1),
        "L1": (0, 1e-4, None, 1),
        "max-norm": (0, 0, 2.0, 1),
        "dropout": (0, 0, None, 0.5),
        "dropout + L2": (1e-3, 0, None, 0.5),
        "dropout + max-norm": (0, 0, 2.0, 0.5),
    }


def test_every_arm_has_the_same_seeds_and_the_same_images_in_the_same_order(protocol):
    by_stem: dict[str, list[int]] = {}
    for run in protocol.plan.runs.values():
        by_stem.setdefault(run.config["stem"], []).append(run.config["seed"])
    assert set(map(tuple, by_stem.values())) == {(7, 8, 9)}
    first, second = (arm for arm in all_arms() if arm.stem.startswith("size-100"))
    a, b = protocol.images(first, 7), protocol.images(second, 7)
    np.testing.assert_array_equal(a.images, b.images)
    assert (protocol.images(first, 8).labels != a.labels).any()


def test_a_small_training_set_is_within_the_larger_and_repeated_to_the_same_length(protocol):
    by_stem = {arm.stem: arm for arm in all_arms()}
    few, more, every = (protocol.images(by_stem[f"size-{n}-none"], 7).images for n in (20, 50, 100))
    assert len(few) == len(more) == len(every) == 100
    np.testing.assert_array_equal(few, np.concatenate([more[:20]] * 5))
    np.testing.assert_array_equal(more[:50], every[:50])


def test_all_other_parts_train_on_as_many_images_as_are_asked_for(protocol):
    by_stem = {arm.stem: arm for arm in all_arms()}
    some = protocol.images(by_stem["regularisers-L2"], 7).images
    assert len(some) == 60
    np.testing.assert_array_equal(some, protocol.images(by_stem["size-100-none"], 7).images[:60])


def test_validation_images_are_held_out_where_there_are_any(images):
    both = held_out(Splits(images, images.take([4, 5]), images.take([0])))
    assert both.labels.tolist() == images.labels[[4, 5, 0]].tolist()
    np.testing.assert_array_equal(both.images, images.images[[4, 5, 0]])
    assert held_out(Splits(images, None, images)) is images


def test_arms_begin_with_the_same_weights(protocol):
    by_stem = {arm.stem: arm for arm in all_arms()}
    none, dropped = (
        initialise(protocol.network(by_stem[f"sparsity-{m}"]), protocol.shape, 7)
        for m in ("none", "dropout")
    )
    jax.tree.map(np.testing.assert_array_equal, none, dropped)


def test_more_training_images_than_there_are_cannot_be_drawn(protocol):
    too_many = arms(("size",), (), (), (), (121,), PENALTIES)
    with pytest.raises(CnnjaxError, match=r"121 training images cannot be drawn; .* choose fewer"):
        Protocol(protocol.recipe, too_many, seeds=1)


def test_black_pixels_are_zeros(network, variables, images):
    black = np.zeros((2, 4, 4, 1), np.uint8)
    assert (activations(network, variables, black) == 0).all()
    kernel = np.asarray(variables["params"]["fc1"]["kernel"])
    expected = np.maximum(images.images.reshape(12, 16) / 255.0 @ kernel, 0)
    found = activations(network, variables, images.images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_averages_of_sampled_networks_are_those_of_a_loop(network, variables, images):
    found = sampled_accuracies(network, variables, images, seed=5)
    assert tuple(found) == SAMPLES
    x = jnp.asarray(images.images, jnp.float32) / 127.5 - 1
    total = np.zeros((12, 3))
    for k in range(3):
        rngs = {"dropout": jax.random.fold_in(jax.random.key(5), k)}
        z = np.asarray(network.apply(variables, x, train=True, rngs=rngs), np.float64)
        total += np.exp(z) / np.exp(z).sum(1, keepdims=True)
        right = 100 * (total.argmax(1) == images.labels).mean()
        assert found[k + 1] == pytest.approx(right)


def test_features_survive_the_table_and_their_spread_is_that_of_the_definition():
    kernel = np.random.RandomState(1).normal(size=(9, 20))
    rows = features(kernel)
    assert [row["x"] for row in rows] == list(range(16))
    for row, column in zip(rows, kernel.T, strict=False):
        largest = np.abs(column).max()
        np.testing.assert_allclose(feature_weights(row), column, atol=largest / 250)
    assert spread(np.ones((9, 2))) == 100.0
    assert spread(np.eye(9)) == pytest.approx(100 / 9, abs=1e-3)
    assert sparsity(np.array([[0.0, 2.0]])) == {"mean_activation": 1.0, "zeros": 50.0}
