"""The composition: any slice runs alone, and slices make up the whole."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models import check_takes

IMAGES = {  # legal and small, so that the tests are quick
    "mlp": (5, 6, 2),
    "lenet5": (24, 22, 1),
    "alexnet": (67, 83, 3),
    "alexnet_small": (17, 20, 3),
    "conv_stack": (9, 8, 2),
}
QUICK = ("mlp", "lenet5", "alexnet_small", "conv_stack")


@pytest.fixture(scope="module")
def made(some_variables):
    @cache
    def make(name, **kwargs):
        net = cnnjax.create(name, num_classes=4, **kwargs)
        images = np.random.default_rng(7).normal(size=(2, *IMAGES[name])).astype(np.float32)
        return net, some_variables(net, IMAGES[name]), jnp.asarray(images)

    return make


def only(variables, stages):
    return {c: {s: g[s] for s in stages if s in g} for c, g in variables.items()}


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(QUICK), st.data())
def test_slices_at_any_cuts_compose_to_the_whole_and_need_only_their_own_variables(
    made, name, data
):
    net, variables, images = made(name)
    inner = st.integers(1, len(net.stages) - 1)
    cuts = sorted(data.draw(st.sets(inner, max_size=3)))
    x = images
    for first, last in zip([0, *cuts], [*cuts, len(net.stages)], strict=True):
        stages = net.stages[first:last]
        x = net.apply(only(variables, stages), x, start=stages[0], stop=stages[-1])
    assert jnp.array_equal(x, net.apply(variables, images))


@pytest.mark.slow  # sampled cuts of the smaller networks are above
@pytest.mark.parametrize("cut", range(1, 8))
def test_alexnet_composes_at_every_cut(made, cut):
    net, variables, images = made("alexnet")
    first, second = net.stages[:cut], net.stages[cut:]
    features = net.apply(only(variables, first), images, stop=first[-1])
    logits = net.apply(only(variables, second), features, start=second[0])
    chex.assert_trees_all_close(logits, net.apply(variables, images), rtol=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_every_parameter_receives_a_finite_gradient_that_is_not_zero(made, name):
    net, variables, images = made(name)

    def loss(params):
        logits = net.apply({"params": params}, images, train=True)
        return (logits * jnp.arange(1.0, 5.0)).sum()

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        assert jnp.isfinite(gradient).all(), name
        assert jnp.abs(gradient).max() > 0, name


@pytest.mark.parametrize("name", ["mlp", "conv_stack"])
def test_half_precision_computes_float32_logits_from_float32_parameters(made, name):
    _, variables, images = made(name)
    half = cnnjax.create(name, num_classes=4, dtype=jnp.bfloat16)
    logits = half.apply(variables, images)
    assert logits.dtype == jnp.float32
    chex.assert_trees_all_close(logits, made(name)[0].apply(variables, images), atol=0.1, rtol=0.1)
    fresh = jax.eval_shape(half.init, jax.random.key(0), images)
    assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", [*QUICK, pytest.param("alexnet", marks=pytest.mark.slow)])
def test_without_classes_a_network_ends_with_its_features(made, name):
    net, variables, images = made(name)
    headless = cnnjax.create(name, num_classes=0)
    features = headless.apply(only(variables, headless.stages), images)
    chex.assert_trees_all_close(
        features, net.apply(variables, images, stop=net.stages[-2]), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["mlp", "alexnet_small"])
def test_dropout_draws_in_training_only_and_from_its_key(made, name):
    net, variables, images = made(name, dropout=0.5)

    def run(seed):
        return net.apply(variables, images, train=True, rngs={"dropout": jax.random.key(seed)})

    assert jnp.array_equal(run(1), run(1))
    assert not jnp.array_equal(run(1), run(2))
    assert jnp.array_equal(net.apply(variables, images), made(name)[0].apply(variables, images))


def test_a_frozen_stage_runs_in_evaluation_mode(made):
    net, variables, images = made("mlp", dropout=0.5)
    trained = net.apply(
        variables, images, train=True, frozen=net.stages, rngs={"dropout": jax.random.key(0)}
    )
    assert jnp.array_equal(trained, net.apply(variables, images))


def test_the_second_call_compiles_nothing(made):
    net, variables, images = made("alexnet_small")
    chex.clear_trace_counter()
    run = jax.jit(chex.assert_max_traces(lambda v, x: net.apply(v, x), n=1))
    run(variables, images)
    run(variables, images + 1)


def test_seeds_can_be_stacked_with_vmap(made):
    net, _, images = made("lenet5")
    keys = jax.random.split(jax.random.key(3), 2)
    init = jax.jit(net.init)
    stacked = jax.jit(jax.vmap(net.init, in_axes=(0, None)))(keys, images)
    logits = jax.jit(jax.vmap(net.apply, in_axes=(0, None)))(stacked, images)
    for i, key in enumerate(keys):
        alone = net.apply(init(key, images), images)
        chex.assert_trees_all_close(logits[i], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            lambda: cnnjax.create("alexnt"),
            ["alexnt", "list_models()", "--list", "did you mean 'alexnet'"],
        ),
        (lambda: cnnjax.create("mlp", widht=3), ["widht", "hidden", "num_classes"]),
        (lambda: cnnjax.create("alexnet_small", width=10).stages, ["width", "10", "3"]),
        (
            lambda: cnnjax.create("lenet5", num_classes=4).slice("c4"),
            ["c4", "c1, c3, c5, f6, output"],
        ),
        (lambda: cnnjax.create("lenet5", num_classes=4).slice("f6", "c1"), ["empty", "f6", "c1"]),
        (lambda: cnnjax.create("lenet5").apply({}, jnp.ones((32, 32, 1))), ["[N, H, W, C]"]),
        (
            lambda: cnnjax.create("lenet5").apply({}, jnp.ones((1, 9, 9, 1), jnp.uint8)),
            ["uint8", "255"],
        ),
        (lambda: check_takes(cnnjax.create("alexnet_small"), (8, 8, 1)), ["conv5", "15 x 15"]),
    ],
)
def test_a_mistake_is_one_line_that_says_what_exists(act, words):
    with pytest.raises(CnnjaxError) as error:
        act()
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_weights_of_another_shape_are_named(made):
    net, variables, _ = made("lenet5")
    images = jnp.ones((1, 40, 40, 1))
    with pytest.raises(CnnjaxError, match="c5"):
        net.apply(variables, images)
