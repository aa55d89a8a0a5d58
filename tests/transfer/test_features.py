"""Features: those of pairs, as NASNet's cells give them, and vectors for shallow classifiers."""

from typing import ClassVar

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.layers import Conv, Dense
from cnnjax.models import Network
from cnnjax.training import classification, momentum_sgd
from cnnjax.transfer import FeatureStore, initialise, pooled_features, train_behind_prefix
from cnnjax.transfer.features import MOST_POOLED, head_inputs

SHAPE = (6, 6, 1)
STACK = cnnjax.create("conv_stack", num_classes=3, kernels=(3, 3), features=4)


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return x, Conv(2, 3, padding=1, name="conv")(x, train=train)


class Joined(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return Dense(4, name="dense")(jnp.concatenate(x, axis=-1), train=train)


class Pairs(Network):
    """A stage that gives a pair of maps, as NASNet's cells do."""

    image: ClassVar = SHAPE

    def layers(self):
        return {"pair": Pair(), "joined": Joined(), "fc": Dense(self.num_classes)}


@pytest.fixture(scope="module")
def images(sets):
    return sets[0].images


@pytest.fixture(scope="module")
def stack():
    return initialise(STACK, SHAPE, seed=0)


@pytest.fixture(scope="module")
def pooled(stack, images):
    return pooled_features(STACK, stack, images, ["conv2", "conv1"], batch_size=16)


def test_of_the_last_stage_they_are_what_the_head_multiplies(pooled, stack, images):
    head = stack["params"]["head"]
    logits = STACK.apply(stack, jnp.asarray(images, jnp.float32) / 127.5 - 1)
    chex.assert_trees_all_close(pooled["conv2"] @ head["kernel"] + head["bias"], logits, atol=1e-5)


def test_of_an_early_stage_they_are_averages_over_cells(pooled, stack, images, monkeypatch):
    maps = STACK.apply(stack, jnp.asarray(images, jnp.float32) / 127.5 - 1, stop="conv1")
    chex.assert_trees_all_close(pooled["conv1"], maps.reshape(len(maps), -1), atol=1e-5)
    monkeypatch.setattr("cnnjax.transfer.features.MOST_POOLED", 4 * 4)
    few = pooled_features(STACK, stack, images, ["conv1"])["conv1"]
    rows, columns = maps.shape[1] // 2, maps.shape[2] // 2
    cells = np.asarray(maps).reshape(len(maps), 2, rows, 2, columns, 4).mean(axis=(2, 4))
    chex.assert_trees_all_close(few, cells.reshape(len(maps), -1), atol=1e-5)


def test_a_head_that_flattens_gets_all_numbers():
    net = cnnjax.create("lenet5")
    assert head_inputs(net, (32, 32, 1)) == 84
    assert head_inputs(cnnjax.create("vgg16", num_classes=0), (224, 224, 3)) == 4096
    assert MOST_POOLED >= 2048


def test_an_unknown_stage_is_an_error(stack, images):
    with pytest.raises(CnnjaxError, match="no stage 'conv3'"):
        pooled_features(STACK, stack, images, ["conv3"])


def test_training_behind_a_stage_that_gives_a_pair_is_training_with_it(sets, tmp_path):
    network = Pairs(num_classes=3)
    variables = initialise(network, SHAPE, seed=1)

    def train(**settings):
        return train_behind_prefix(
            network,
            variables,
            1,
            *sets,
            task=classification,
            optimizer=momentum_sgd(0.05, 6),
            steps=6,
            batch_size=8,
            seed=0,
            **settings,
        )

    uncached = train(cache_limit=0)
    for _ in range(2):
        cached = train(store=FeatureStore(tmp_path))
        chex.assert_trees_all_close(cached.variables, uncached.variables, rtol=1e-4, atol=1e-6)
        assert cached.test["accuracy"] == uncached.test["accuracy"]


def test_of_a_pair_the_last_maps_count(sets):
    network = Pairs(num_classes=3)
    variables = initialise(network, SHAPE, seed=1)
    images = sets[1].images
    maps = network.apply(variables, jnp.asarray(images, jnp.float32) / 127.5 - 1, stop="pair")[1]
    found = pooled_features(network, variables, images, ["pair"])["pair"]
    chex.assert_trees_all_close(found, maps.reshape(len(images), -1), atol=1e-5)
