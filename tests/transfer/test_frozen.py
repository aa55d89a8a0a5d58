"""Training behind a frozen prefix: untouched weights, and cached features that change nothing."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.data import Dataset
from cnnjax.training import classification, momentum_sgd
from cnnjax.transfer import (
    FeatureStore,
    feature_bytes,
    prefix_features,
    train_behind_prefix,
)

NET = cnnjax.create("alexnet_small", num_classes=3, width=3, units=8)
SHAPE = (16, 16, 1)
OPTIMIZER = momentum_sgd(0.05, 12, weight_decay=0.01, warmup=2)


@pytest.fixture(scope="module")
def data():
    labels = (np.arange(30) % 3).astype(np.int32)
    images = np.random.RandomState(0).randint(0, 256, (30, *SHAPE)).astype(np.uint8)
    return Dataset(images, labels, ("a", "b", "c"))


@pytest.fixture(scope="module")
def variables(some_variables):
    return some_variables(NET, SHAPE)


def train(variables, data, frozen, **kwargs):
    settings = {"task": classification, "optimizer": OPTIMIZER, "steps": 12, "batch_size": 8}
    return train_behind_prefix(NET, variables, frozen, data, data, seed=4, **settings, **kwargs)


@pytest.mark.parametrize("frozen", [1, 4])
def test_frozen_stages_are_bitwise_what_they_were_and_the_others_are_not(variables, data, frozen):
    after = train(variables, data, frozen).variables
    for i, stage in enumerate(NET.stages):
        before = variables["params"][stage]
        if i < frozen:
            chex.assert_trees_all_equal(after["params"][stage], before)
        else:
            assert not jnp.array_equal(after["params"][stage]["kernel"], before["kernel"]), stage


@pytest.mark.parametrize("frozen", [1, 4, 7])
def test_cached_and_uncached_training_give_the_same_numbers(variables, data, frozen):
    cached = train(variables, data, frozen)
    uncached = train(variables, data, frozen, cache_limit=0)
    chex.assert_trees_all_close(cached.variables, uncached.variables, rtol=1e-4, atol=1e-6)
    assert cached.test["accuracy"] == uncached.test["accuracy"]
    assert cached.test["loss"] == pytest.approx(uncached.test["loss"], rel=1e-5)


def test_a_shared_store_changes_no_bit(variables, data):
    store = FeatureStore()
    for frozen in (3, 1):
        shared = train(variables, data, frozen, store=store)
        alone = train(variables, data, frozen)
        chex.assert_trees_all_equal(shared.variables, alone.variables)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 256])
def test_features_are_those_of_the_composition_whatever_the_batch_size(variables, data, batch_size):
    images = jnp.asarray(data.images, jnp.float32) / 127.5 - 1
    expected = NET.apply(variables, images, stop="conv4")
    features = prefix_features(NET, variables, data.images, "conv4", batch_size=batch_size)
    chex.assert_trees_all_close(features, expected, rtol=1e-5, atol=1e-5)


def test_the_size_of_features_is_known_without_computing_them(variables, data):
    features = prefix_features(NET, variables, data.images, "conv3")
    assert feature_bytes(NET, SHAPE, "conv3", len(data)) == features.nbytes


def test_training_everything_moves_everything(variables, data):
    after = train(variables, data, 0).variables
    for stage in NET.stages:
        before = variables["params"][stage]["kernel"]
        assert not jnp.array_equal(after["params"][stage]["kernel"], before), stage


def test_the_callers_variables_survive_a_training(variables, data):
    before = jax.tree.map(np.array, variables)
    train(variables, data, 0)
    chex.assert_trees_all_equal(variables, before)
