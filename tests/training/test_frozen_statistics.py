"""Frozen batch normalisation neither updates nor uses batch statistics."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnnjax.models import Network
from cnnjax.training import classification, create_state, partition, train_step


class Normalised(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(self.features)(x.reshape(x.shape[0], -1))
        return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)


class TwoStages(Network):
    def layers(self):
        return {"lower": Normalised(5), "upper": Normalised(self.num_classes)}


NET = TwoStages(num_classes=3)
IMAGES = jax.random.normal(jax.random.key(0), (8, 2, 2, 1))
LABELS = jnp.arange(8) % 3
VARIABLES = NET.init(jax.random.key(1), IMAGES)
SETTINGS = {"network": NET, "task": classification, "optimizer": optax.sgd(0.1)}


def step(frozen):
    trainable, fixed = partition(VARIABLES, frozen)
    state = create_state(trainable, SETTINGS["optimizer"], jax.random.key(0))
    return train_step(state, (IMAGES, LABELS), frozen=fixed, **SETTINGS)


def test_a_trainable_stage_moves_its_batch_statistics():
    state, _ = step(())
    for stage in NET.stages:
        before = VARIABLES["batch_stats"][stage]["BatchNorm_0"]["mean"]
        assert jnp.abs(state.statistics["batch_stats"][stage]["BatchNorm_0"]["mean"] - before).max()


def test_a_frozen_stage_has_no_statistics_in_the_state():
    state, _ = step(("lower",))
    assert set(state.statistics["batch_stats"]) == {"upper"}


def test_a_frozen_stage_normalises_with_its_running_statistics():
    features = NET.apply(VARIABLES, IMAGES, stop="lower")  # evaluation mode
    logits, _ = NET.apply(VARIABLES, features, start="upper", train=True, mutable=["batch_stats"])
    expected = classification.sums(logits, LABELS)["loss"]
    _, sums = step(("lower",))
    chex.assert_trees_all_close(sums["loss"], expected, rtol=1e-6)
