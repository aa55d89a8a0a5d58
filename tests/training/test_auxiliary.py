"""Auxiliary heads in training: whose losses count, how much, and when they run at all."""

from functools import partial
from typing import ClassVar

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.layers import ConvNorm, Dense, PoolDense
from cnnjax.models.network import Network, keep_auxiliary, wants_auxiliary
from cnnjax.training import (
    classification,
    create_state,
    evaluate,
    fit,
    momentum_sgd,
    partition,
    train_step,
)
from cnnjax.transfer import initialise

SGD = optax.sgd(1.0)


class WithHead(nn.Module):
    """A convolution; in training a classifier on it."""

    features: int
    classes: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, *, train):
        conv = ConvNorm(
            self.features,
            3,
            0.9,
            1e-3,
            padding=1,
            activation=nn.relu,
            dtype=self.dtype,
            name="conv",
        )
        y = conv(x, train=train)
        if self.classes and wants_auxiliary(self, train):
            head = PoolDense(self.classes, dtype=self.dtype, name="auxiliary")
            keep_auxiliary(self, head(y, train=train))
        return y


class Small(Network):
    """Two stages with auxiliary heads, one without, and the head."""

    num_classes: int = 3

    image: ClassVar = (6, 6, 1)
    auxiliary_weight: ClassVar = 0.3

    def layers(self):
        return {
            "one": WithHead(4, self.num_classes, self.dtype),
            "two": WithHead(5, 0, self.dtype),
            "three": WithHead(6, self.num_classes, self.dtype),
            "head": Dense(self.num_classes, dtype=self.dtype),
        }


NET = Small()


@pytest.fixture
def variables(some_variables):
    return some_variables(NET, NET.image)


@pytest.fixture
def batch():
    images = jax.random.normal(jax.random.key(1), (8, *NET.image))
    return images, jnp.arange(8) % 3


def cross_entropy(logits, labels):
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()


def gradient_taken(net, variables, batch, frozen=(), start=None):
    """What a step of SGD with rate 1 takes away from the parameters, and its metrics."""
    trainable, rest = partition(variables, frozen)
    settings = {"network": net, "task": classification, "optimizer": SGD, "start": start}
    step = jax.jit(lambda state, batch, rest: train_step(state, batch, frozen=rest, **settings))
    state = create_state(trainable, SGD, jax.random.key(0))
    after, sums = step(state, batch, rest)
    return jax.tree.map(np.subtract, trainable["params"], after.params), sums


def gradient(variables, batch, stages, **kwargs):
    """The mean loss of the logits, and the gradient of it plus 0.3 times that of each head."""
    images, labels = batch

    def loss(params):
        logits, updated = NET.apply(
            variables | {"params": variables["params"] | params},
            images,
            train=True,
            mutable=["batch_stats", "auxiliary"],
            **kwargs,
        )
        side = updated["auxiliary"]
        assert set(side) == set(stages)
        main = cross_entropy(logits, labels)
        heads = [cross_entropy(side[stage]["logits"], labels) for stage in stages]
        return main + 0.3 * sum(heads), main

    frozen = kwargs.get("frozen", ())
    params = {s: p for s, p in variables["params"].items() if s not in frozen}
    (_, main), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return main, gradients


def test_the_gradient_is_that_of_the_logits_loss_and_the_weighted_auxiliary_losses(
    variables, batch
):
    main, expected = gradient(variables, batch, ["one", "three"])
    for net in (NET, Small(remat=True)):
        found, sums = gradient_taken(net, variables, batch)
        chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(found["one"]["auxiliary"]["kernel"]).max() > 1e-3
        # The metrics are those of the logits alone.
        assert sums["count"] == 8
        assert sums["loss"] / 8 == pytest.approx(float(main), rel=1e-5)


def test_the_head_of_a_frozen_stage_has_no_loss(variables, batch):
    _, expected = gradient(variables, batch, ["three"], frozen=("one",))
    found, _ = gradient_taken(NET, variables, batch, ("one",))
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_slice_behind_a_head_trains_without_it_and_without_its_variables(variables, batch):
    features = jax.random.normal(jax.random.key(2), (8, 6, 6, 4))
    behind = {c: {s: v for s, v in g.items() if s != "one"} for c, g in variables.items()}
    _, expected = gradient(behind, (features, batch[1]), ["three"], start="two")
    found, _ = gradient_taken(NET, behind, (features, batch[1]), start="two")
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_heads_run_in_training_only_and_only_if_somebody_takes_their_logits(variables, batch):
    # A head that ran would miss its weights.
    bare = {
        collection: {
            stage: {name: part for name, part in parts.items() if name != "auxiliary"}
            for stage, parts in group.items()
        }
        for collection, group in variables.items()
    }
    for train, mutable in ((False, ["batch_stats", "auxiliary"]), (True, ["batch_stats"])):
        apply = partial(NET.apply, train=train, mutable=mutable)
        logits, updated = jax.jit(apply)(bare, batch[0])
        assert set(updated) == {"batch_stats"}
        assert jnp.isfinite(logits).all()
    scores = evaluate(NET, classification, bare, batch, batch_size=4)
    assert np.isfinite(scores["loss"])


def test_auxiliary_logits_are_float32_whatever_the_network_computes_in(variables, batch):
    apply = partial(
        Small(dtype=jnp.bfloat16).apply, train=True, mutable=["batch_stats", "auxiliary"]
    )
    _, updated = jax.eval_shape(apply, variables, batch[0])
    assert {v["logits"].dtype for v in updated["auxiliary"].values()} == {jnp.dtype("float32")}


def test_fresh_variables_are_those_of_init_heads_included():
    found = initialise(NET, NET.image, 5)
    expected = jax.jit(NET.init)(jax.random.key(5), jnp.zeros((1, *NET.image)))
    chex.assert_trees_all_equal(found, expected)


def test_a_network_with_auxiliary_heads_learns(variables):
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 3).astype(np.int32)
    images = rng.standard_normal((60, *NET.image)).astype(np.float32)
    images[np.arange(60), labels, labels] += 4
    optimizer = momentum_sgd(0.05, 60, weight_decay=0.0)
    _, lines = fit(
        create_state(variables, optimizer, jax.random.key(0)),
        (jnp.asarray(images), jnp.asarray(labels)),
        network=NET,
        task=classification,
        optimizer=optimizer,
        steps=60,
        batch_size=20,
        seed=0,
    )
    assert lines[-1]["accuracy"] > 0.9
