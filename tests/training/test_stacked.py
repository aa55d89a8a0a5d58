"""Trainings side by side in one program give the numbers of trainings one by one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data import batch_indices
from cnnjax.training import (
    OPTIMIZERS,
    adam,
    classification,
    create_optimizer,
    create_state,
    momentum,
    rate_in_state,
    set_rate,
    sgd,
    stack,
    train_stacked,
    train_steps,
    unstack,
)
from cnnjax.transfer import initialise

STEPS, BATCH, SIZE = 5, 8, 30
MLP = cnnjax.create("mlp", hidden=(12,), num_classes=3, dropout=0.5)
CONV = cnnjax.create("conv_stack", num_classes=3, kernels=(3,), features=4)


@pytest.fixture(scope="module")
def data():
    images = jax.random.randint(jax.random.key(1), (SIZE, 8, 8, 1), 0, 256).astype(jnp.uint8)
    return images, jnp.arange(SIZE) % 3


def start(network, optimizer, seed, rate=None):
    variables = initialise(network, (8, 8, 1), seed)
    state = create_state(variables, optimizer, jax.random.key(seed))
    return state if rate is None else set_rate(state, rate)


def rows(seed):
    return batch_indices(SIZE, BATCH, seed, 0, STEPS)


def one_by_one(states, seeds, data, **settings):
    """What `fit` does, without its host side."""
    done = [
        train_steps(state, *data, jnp.asarray(rows(seed)), jnp.int32(STEPS), {}, **settings)
        for state, seed in zip(states, seeds, strict=True)
    ]
    return [state for state, _ in done], [log for _, log in done]


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("network", "rule"), [(MLP, momentum), (CONV, sgd)], ids=["mlp", "conv_stack"]
)
def test_seeds_and_rates_side_by_side_give_what_they_give_one_by_one(network, rule, data):
    optimizer = rate_in_state(rule(1.0))
    settings = {"network": network, "task": classification, "optimizer": optimizer}
    seeds, rates = (0, 1, 0), (0.1, 0.1, 0.02)
    make = partial(start, network, optimizer)
    alone, logs = one_by_one(map(make, seeds, rates), seeds, data, **settings)
    indices = jnp.stack([jnp.asarray(rows(seed)) for seed in seeds])
    states, log = train_stacked(stack([*map(make, seeds, rates)]), *data, indices, **settings)
    for i, state in enumerate(unstack(states)):
        assert int(state.step) == STEPS
        assert_same(state, alone[i])
        assert_same({name: sums[i] for name, sums in log.items()}, logs[i])
    final = [float(sums) for sums in log["loss"][:, -1]]
    assert len(set(final)) == 3  # neither the seed nor the rate was ignored


def test_a_member_may_be_further_than_another(data):
    optimizer = rate_in_state(momentum(1.0))
    settings = {"network": MLP, "task": classification, "optimizer": optimizer}
    make = partial(start, MLP, optimizer, rate=0.1)
    once, _ = one_by_one([make(0), make(1)], [0, 1], data, **settings)
    three = stack([once[0], make(0), make(1)])
    indices = jnp.stack([jnp.asarray(rows(seed)) for seed in (0, 0, 1)])
    states, _ = train_stacked(three, *data, indices, **settings)
    assert states.step.tolist() == [2 * STEPS, STEPS, STEPS]
    assert_same(unstack(states)[1:], once)


def test_states_of_different_kinds_are_not_stacked():
    with pytest.raises(CnnjaxError, match="2 states of 2 kinds cannot be stacked"):
        stack([start(MLP, sgd(0.1), 0), start(MLP, adam(0.1), 0)])
    with pytest.raises(CnnjaxError, match="0 states of 0 kinds"):
        stack([])


def test_indices_of_another_number_of_members_are_refused(data):
    states = stack([start(MLP, sgd(0.1), seed) for seed in range(2)])
    with pytest.raises(CnnjaxError, match=r"shape \(5, 8\) do not suit 2 stacked states; expected"):
        train_stacked(
            states,
            *data,
            jnp.asarray(rows(0)),
            network=MLP,
            task=classification,
            optimizer=sgd(0.1),
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rule_with_its_rate_in_the_state_takes_the_steps_of_the_rule_at_that_rate(name):
    own = {"weight_decay": 0.01} if name == "adamw" else {}
    theta = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([0.5, 3.0])}
    places = []
    for rule, rate in ((create_optimizer(name, 0.03, **own), None), (None, 0.03)):
        rule = rule or rate_in_state(create_optimizer(name, 1.0, **own))
        state = create_state({"params": theta}, rule, jax.random.key(0))
        state = state if rate is None else set_rate(state, rate)
        params, opt_state = state.params, state.opt_state
        for _ in range(4):
            gradients = jax.tree.map(lambda w: w * jnp.array([1.0, 10.0]), params)
            updates, opt_state = rule.update(gradients, opt_state, params)
            params = jax.tree.map(jnp.add, params, updates)
        places.append(params)
    assert_same(*places)


def test_a_negative_rate_is_refused():
    state = start(MLP, rate_in_state(sgd(1.0)), 0)
    with pytest.raises(CnnjaxError, match=r"learning_rate=-1.0 is no rate"):
        set_rate(state, -1.0)


def test_all_rates_share_one_program(data):
    optimizer = rate_in_state(momentum(1.0))
    settings = {"network": MLP, "task": classification, "optimizer": optimizer}
    sizes = []
    for rate in (0.1, 0.2, 0.3):
        one_by_one([start(MLP, optimizer, 0, rate)], [0], data, **settings)
        sizes.append(train_steps._cache_size())
    assert len(set(sizes)) == 1
