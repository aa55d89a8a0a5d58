"""New heads: what is kept, what is fresh, and a classifier that becomes one."""

from functools import partial
from typing import ClassVar

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.layers import Dense
from cnnjax.models import Network
from cnnjax.models.network import keep_auxiliary, wants_auxiliary
from cnnjax.transfer import Head, initialise, new_head
from cnnjax.transfer.heads import fold_standardisation

SHAPE = (6, 6, 1)


class Stage(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, *, train):
        x = Dense(4, name="dense")(x, train=train)
        if self.classes and wants_auxiliary(self, train):
            hidden = Dense(3, name="auxiliary_hidden")(x, train=train)
            keep_auxiliary(self, Auxiliary(self.classes, name="auxiliary")(hidden, train=train))
        return x


class Auxiliary(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, *, train):
        x = Dense(2, name="hidden")(x, train=train)
        return Dense(self.classes, name="logits")(x, train=train)


class Watched(Network):
    """A network with an auxiliary head on its first stage."""

    auxiliary: bool = True
    image: ClassVar = SHAPE
    auxiliary_weight: ClassVar = 0.3

    def layers(self):
        classes = self.num_classes if self.auxiliary else 0
        return {"body": Stage(classes), "fc": Dense(self.num_classes)}


@pytest.fixture(scope="module")
def watched():
    return initialise(Watched(num_classes=5), SHAPE, seed=0)


def test_all_stages_but_the_head_are_kept(network, pretrained):
    new, variables = new_head(network, pretrained, 3, seed=1, image_shape=SHAPE)
    assert new.num_classes == 3
    for stage in ("fc1", "fc2"):
        chex.assert_trees_all_equal(variables["params"][stage], pretrained["params"][stage])
    chex.assert_trees_all_equal(variables["batch_stats"], pretrained["batch_stats"])


def test_the_head_is_the_networks_own_for_that_seed(network, pretrained):
    new, variables = new_head(network, pretrained, 3, seed=1, image_shape=SHAPE)
    fresh = initialise(new, SHAPE, seed=1)
    chex.assert_trees_all_close(variables["params"]["fc3"], fresh["params"]["fc3"], rtol=1e-6)


def test_a_network_without_a_head_gets_one(network, pretrained):
    body = {"params": {s: pretrained["params"][s] for s in ("fc1", "fc2")}} | {
        "batch_stats": pretrained["batch_stats"]
    }
    new, variables = new_head(network.clone(num_classes=0), body, 3, seed=1, image_shape=SHAPE)
    assert variables["params"]["fc3"]["kernel"].shape == (5, 3)
    assert new.stages == ("fc1", "fc2", "fc3")


def test_an_auxiliary_head_gets_logits_for_the_new_classes_and_keeps_the_rest(watched):
    new, variables = new_head(Watched(num_classes=5), watched, 3, seed=1)
    body, before = variables["params"]["body"], watched["params"]["body"]
    chex.assert_trees_all_equal(body["dense"], before["dense"])
    chex.assert_trees_all_equal(body["auxiliary"]["hidden"], before["auxiliary"]["hidden"])
    assert body["auxiliary"]["logits"]["kernel"].shape == (2, 3)
    outputs = jax.eval_shape(
        partial(new.apply, train=True, mutable=["auxiliary"]), variables, jnp.zeros((4, *SHAPE))
    )
    assert [leaf.shape for leaf in jax.tree.leaves(outputs)] == [(4, 3), (4, 3)]


def test_auxiliary_heads_that_the_network_no_longer_has_are_left_out(watched):
    small = dict(watched["params"]["body"])
    small.pop("auxiliary_hidden")
    given = {"params": watched["params"] | {"body": small}}
    _, variables = new_head(Watched(num_classes=5, auxiliary=False), given, 3, seed=1)
    assert set(variables["params"]["body"]) == {"dense"}


def test_variables_of_another_network_are_named(network, pretrained):
    other = network.clone(hidden=(7, 5))
    with pytest.raises(CnnjaxError, match=r"float32\[6\].*float32\[7\]") as error:
        new_head(other, pretrained, 3, seed=0, image_shape=SHAPE)
    assert "\n" not in str(error.value)


def test_a_head_of_another_shape_is_named(network, pretrained):
    head = Head(np.zeros((4, 3), np.float32), np.zeros(3, np.float32))
    with pytest.raises(CnnjaxError, match=r"params/fc3/kernel is float32\[4, 3\]"):
        new_head(network, pretrained, 3, seed=0, head=head, image_shape=SHAPE)


def test_at_least_one_class(network, pretrained):
    with pytest.raises(CnnjaxError, match="0 classes"):
        new_head(network, pretrained, 0, seed=0)


@pytest.mark.parametrize("classes", [2, 4])
def test_standardisation_is_folded_into_the_head(classes):
    rng = np.random.RandomState(0)
    rows = 1 if classes == 2 else classes
    x, weights, intercepts = rng.normal(3, 2, (9, 5)), rng.normal(size=(rows, 5)), rng.rand(rows)
    mean, deviation = x.mean(0), x.std(0)
    z = (x - mean) / deviation @ weights.T + intercepts
    head = fold_standardisation(weights, intercepts, mean, deviation)
    logits = x @ head.kernel + head.bias
    expected = np.concatenate([-z / 2, z / 2], axis=1) if classes == 2 else z
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stage"), [("googlenet", "inception_4a"), ("inception_v3", "mixed_6e")]
)
def test_networks_with_auxiliary_heads_get_new_classes(some_variables, name, stage):
    network = cnnjax.create(name)
    variables = some_variables(network, network.image)
    new, renewed = new_head(network, variables, 3, seed=0)
    kept = jax.tree.map(lambda a: a.shape, variables["params"][stage]["auxiliary"])
    found = jax.tree.map(lambda a: a.shape, renewed["params"][stage]["auxiliary"])
    assert kept != found
    shapes = jax.eval_shape(new.init, jax.random.key(0), jnp.zeros((1, *network.image)))
    chex.assert_trees_all_equal_shapes(renewed, shapes)
