"""Decay, the max-norm constraint and learning rates by stage: alone, chained, in a training."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.training import (
    OPTIMIZERS,
    adam,
    chain,
    classification,
    constrain_max_norm,
    create_optimizer,
    create_state,
    l1_decay,
    momentum,
    momentum_sgd,
    partition,
    scale_by_stage,
    sgd,
    train_step,
    weight_decay,
)

PARAMS = {
    "conv1": {"kernel": jax.random.normal(jax.random.key(0), (3, 3, 2, 4)), "bias": jnp.ones(4)},
    "fc2": {"kernel": jnp.array([[1.0, -2.0], [0.0, 3.0]]), "bias": jnp.array([1.0, -1.0])},
}
GRADIENTS = jax.tree.map(lambda w: jnp.sin(w) + 1, PARAMS)


def update(optimizer, gradients=GRADIENTS, params=PARAMS):
    return optimizer.update(gradients, optimizer.init(params), params)[0]


@partial(jax.jit, static_argnames="optimizer")
def stepped(optimizer, steps, params=PARAMS):
    def step(_, carry):
        params, state = carry
        gradients = jax.tree.map(lambda w: jnp.sin(3 * w) + 1, params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]


@pytest.mark.parametrize(
    ("link", "slope"),  # of 0.3 / 2 |w|² and of 0.3 |w|_1
    [(weight_decay(0.3), lambda w: 0.3 * w), (l1_decay(0.3), lambda w: 0.3 * np.sign(w))],
    ids=["L2", "L1"],
)
def test_decay_adds_the_gradient_of_its_penalty_to_kernels_and_nothing_to_biases(link, slope):
    changed = update(link)
    for stage, arrays in PARAMS.items():
        expected = GRADIENTS[stage]["kernel"] + slope(arrays["kernel"])
        chex.assert_trees_all_close(changed[stage]["kernel"], expected, rtol=1e-6)
        chex.assert_trees_all_equal(changed[stage]["bias"], GRADIENTS[stage]["bias"])


def test_l1_decay_does_not_push_a_weight_that_is_zero():
    assert PARAMS["fc2"]["kernel"][1, 0] == 0
    assert update(l1_decay(0.3))["fc2"]["kernel"][1, 0] == GRADIENTS["fc2"]["kernel"][1, 0]


def test_coupled_decay_in_front_of_momentum_is_momentum_sgd_while_the_rate_is_constant():
    ours = stepped(chain(weight_decay(0.05), momentum(0.1, 0.9)), steps=6)
    endless = 10**9  # a cosine of that length is constant over six steps
    theirs = stepped(momentum_sgd(0.1, endless, weight_decay=0.05), steps=6)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5)


def norms(kernel):
    return np.sqrt(np.square(kernel).sum(axis=tuple(range(kernel.ndim - 1))))


@pytest.mark.parametrize("optimizer", [sgd(0.5), momentum(0.5), adam(0.5)])
def test_after_every_step_no_unit_has_longer_weights_than_the_limit(optimizer):
    constrained = chain(optimizer, constrain_max_norm(1.5))
    for steps in (1, 2, 5):
        params = stepped(constrained, steps)
        for arrays in params.values():
            assert norms(arrays["kernel"]).max() <= 1.5 * (1 + 1e-6)
        assert norms(params["fc2"]["kernel"]).max() == pytest.approx(1.5, rel=1e-6)


def test_the_constraint_shortens_long_units_only_keeps_their_direction_and_no_bias():
    free = optax.apply_updates(PARAMS, update(sgd(0.1)))
    bound = optax.apply_updates(PARAMS, update(chain(sgd(0.1), constrain_max_norm(2.5))))
    for stage in PARAMS:
        length = norms(free[stage]["kernel"])
        expected = free[stage]["kernel"] * np.minimum(1, 2.5 / length)
        chex.assert_trees_all_close(bound[stage]["kernel"], expected, rtol=1e-5, atol=1e-6)
        chex.assert_trees_all_equal(bound[stage]["bias"], free[stage]["bias"])
    lengths = norms(free["fc2"]["kernel"])
    assert lengths.min() < 2.5 < lengths.max()


def test_a_stage_learns_at_its_own_rate_and_the_others_at_the_default():
    scaled = chain(momentum(0.1), scale_by_stage({"conv1": 0.25}, default=2.0))
    apart = {"conv1": momentum(0.1 * 0.25), "fc2": momentum(0.1 * 2.0)}
    whole = stepped(scaled, steps=4)
    for stage, optimizer in apart.items():
        alone = stepped(optimizer, steps=4, params={stage: PARAMS[stage]})
        chex.assert_trees_all_close(whole[stage], alone[stage], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_factor_is_the_stages_learning_rate_in_every_rule(name):
    settings = {"weight_decay": 0.1} if name == "adamw" else {}
    scaled = chain(create_optimizer(name, 0.2, **settings), scale_by_stage({"fc2": 0.5}))
    ends = []
    for optimizer in (scaled, create_optimizer(name, 0.1, **settings)):
        w = {"fc2": PARAMS["fc2"]["kernel"]}
        state = optimizer.init(w)
        for _ in range(4):
            updates, state = optimizer.update({"fc2": 3 * w["fc2"] + 1}, state, w)
            w = optax.apply_updates(w, updates)
        ends.append(w["fc2"])
    chex.assert_trees_all_close(*ends, rtol=1e-5, atol=1e-6)


def test_a_chain_and_its_links_are_one_object_for_one_setting():
    def build():
        return chain(
            weight_decay(0.1),
            l1_decay(0.1),
            momentum(0.1),
            scale_by_stage({"b": 0.1, "a": 1}, default=0.5),
            constrain_max_norm(3.0),
        )

    assert build() is build()
    assert scale_by_stage({"a": 1, "b": 0.1}) is scale_by_stage({"b": 0.1, "a": 1})
    assert scale_by_stage({"a": 0.1}) is not scale_by_stage({"a": 0.2})


def test_a_whole_chain_trains_the_stages_that_are_not_frozen_and_has_state_for_them_alone():
    network = cnnjax.create("mlp", hidden=(6, 5), num_classes=3)
    optimizer = chain(
        weight_decay(1e-3), momentum(0.5), scale_by_stage({"fc2": 0.5}), constrain_max_norm(0.7)
    )
    sizes = {"fc1": (16, 6), "fc2": (6, 5), "fc3": (5, 3)}
    ones = {s: {"kernel": jnp.ones(k), "bias": jnp.ones(k[1])} for s, k in sizes.items()}
    trainable, frozen = partition({"params": ones}, ("fc1",))
    state = create_state(trainable, optimizer, jax.random.key(0))
    batch = jnp.linspace(-1, 1, 8 * 16).reshape(8, 4, 4, 1), jnp.arange(8) % 3
    step = partial(train_step, network=network, task=classification, optimizer=optimizer)
    after, _ = jax.jit(step)(state, batch, frozen=frozen)
    assert set(after.params) == {"fc2", "fc3"}
    for arrays in after.params.values():
        assert norms(arrays["kernel"]).max() <= 0.7 * (1 + 1e-6)
    shapes = {leaf.shape for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim}
    assert shapes == {leaf.shape for leaf in jax.tree.leaves(trainable)}


def test_an_unknown_stage_is_named_with_those_that_are_trained():
    link = scale_by_stage({"conv2": 0.1})
    message = r"stage 'conv2', which is not trained; trained are conv1, fc2; .* mean 'conv1'\?"
    with pytest.raises(CnnjaxError, match=message):
        link.init(PARAMS)


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), "slow", True])
def test_a_factor_that_is_not_positive_is_refused_with_the_advice_to_freeze(factor):
    message = r"learning rate of conv1 cannot be multiplied by .*; .* positive number; .* freeze it"
    with pytest.raises(CnnjaxError, match=message):
        scale_by_stage({"conv1": factor})
    with pytest.raises(CnnjaxError, match="learning rate of default"):
        scale_by_stage({}, default=factor)


@pytest.mark.parametrize("make", [weight_decay, l1_decay])
def test_a_negative_decay_is_one_clear_error(make):
    with pytest.raises(CnnjaxError, match=r"rate=-0.1 cannot be; expected a number from 0 on"):
        make(-0.1)


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_a_limit_that_is_not_positive_is_one_clear_error(limit):
    with pytest.raises(CnnjaxError, match=r"limit=.* expected a positive number; try 3"):
        constrain_max_norm(limit)


@pytest.mark.parametrize("link", [l1_decay(0.1), constrain_max_norm(1.0)])
def test_a_link_that_needs_the_weights_asks_for_them(link):
    with pytest.raises(CnnjaxError, match=r"depends on the weights; .*third argument"):
        link.update(GRADIENTS, link.init(PARAMS))
