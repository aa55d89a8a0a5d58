"""Transplanting: what is copied, what is fresh, and what is refused."""

import chex
import jax
import jax.numpy as jnp
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.transfer import first_stages, initialise, transplant, variable_shapes
from cnnjax.transfer.treatments import TREATMENTS, copies_from, start_treatment

NET = cnnjax.create("alexnet_small", num_classes=3, width=3, units=8)
SHAPE = (16, 16, 1)


@pytest.fixture(scope="module")
def source(some_variables):
    return some_variables(NET, SHAPE, seed=1)


@pytest.fixture(scope="module")
def fresh(some_variables):
    return some_variables(NET, SHAPE, seed=2)


@pytest.mark.parametrize("n", range(8))
def test_the_first_n_stages_come_from_the_source_and_the_rest_stays(source, fresh, n):
    stages = first_stages(NET, n)
    mixed = transplant(source, fresh, stages)
    for stage in NET.stages:
        origin = source if stage in stages else fresh
        chex.assert_trees_all_equal(mixed["params"][stage], origin["params"][stage])


def test_transplanting_changes_neither_argument(source, fresh):
    before = jax.tree.map(jnp.copy, (source, fresh))
    transplant(source, fresh, NET.stages)
    chex.assert_trees_all_equal((source, fresh), before)


def test_a_copied_prefix_computes_what_the_source_computes(source, fresh):
    images = jax.random.normal(jax.random.key(0), (2, *SHAPE))
    mixed = transplant(source, fresh, first_stages(NET, 5))
    chex.assert_trees_all_equal(
        NET.apply(mixed, images, stop="conv5"), NET.apply(source, images, stop="conv5")
    )


def test_batch_statistics_are_copied_with_their_stage():
    given = {"params": {"a": {"w": jnp.ones(2)}}, "batch_stats": {"a": {"mean": jnp.ones(2)}}}
    target = jax.tree.map(jnp.zeros_like, given)
    chex.assert_trees_all_equal(transplant(given, target, ["a"]), given)


def test_all_stages_that_do_not_fit_are_named_at_once(some_variables, fresh):
    other = cnnjax.create("alexnet_small", num_classes=5, width=6, units=8)
    with pytest.raises(CnnjaxError) as error:
        transplant(some_variables(other, SHAPE), fresh, ["conv1", "fc7", "fc8", "conv9"])
    message = str(error.value)
    assert "\n" not in message
    assert "params/conv1: bias is float32[6] in the source and float32[3] in the target" in message
    assert "params/fc8" in message
    assert "conv9" in message
    assert "fc7" not in message


@pytest.mark.parametrize("n", [-1, 8, 9])
def test_at_least_the_last_stage_must_be_new(n):
    with pytest.raises(CnnjaxError, match="between 0 and 7"):
        first_stages(NET, n)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_fresh_variables_are_those_of_the_networks_own_init(num_classes):
    net = cnnjax.create("conv_stack", num_classes=num_classes, kernels=(3, 3), features=4)
    own = net.init(jax.random.key(5), jnp.zeros((1, *SHAPE)))
    drawn = initialise(net, SHAPE, seed=5)
    chex.assert_trees_all_close(drawn, own, rtol=1e-6)
    assert tuple(drawn["params"]) == net.stages


def test_shapes_are_those_of_the_variables_themselves():
    shapes = variable_shapes(NET, SHAPE)
    assert jax.tree.map(
        lambda a: (a.shape, a.dtype), initialise(NET, SHAPE, seed=5)
    ) == jax.tree.map(lambda a: (a.shape, a.dtype), shapes)


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_treatment_begins_as_the_papers_table_says(source, fresh, treatment):
    trained = source if copies_from(treatment) else None
    start = start_treatment(NET, treatment, 3, fresh, trained)
    kept = first_stages(NET, 3)
    for stage in NET.stages:
        copied = stage in kept and copies_from(treatment)
        origin = source if copied else fresh
        chex.assert_trees_all_equal(start.variables["params"][stage], origin["params"][stage])
    assert start.frozen == (3 if treatment in ("BnB", "AnB", "random") else 0)


def test_copies_come_from_the_half_that_the_name_says():
    assert {t: copies_from(t) for t in TREATMENTS} == {
        "base": None,
        "base2x": None,
        "BnB": "target",
        "BnB+": "target",
        "AnB": "source",
        "AnB+": "source",
        "random": None,
    }


def test_an_unknown_treatment_is_an_error(fresh):
    with pytest.raises(CnnjaxError, match=r"BnC.*base, base2x, BnB"):
        start_treatment(NET, "BnC", 1, fresh, None)
