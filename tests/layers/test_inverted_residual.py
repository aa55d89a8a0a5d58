"""The inverted residual and the squeeze-and-excitation against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import InvertedResidual, SqueezeExcite, relu, relu6, silu

EPSILON = 1e-3


def drawn(module, x):
    """Variables of which no part is trivial."""
    rng = np.random.default_rng(3)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), x)

    def draw(path, leaf):
        if len(leaf.shape) > 1:
            return rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        if path[-1].key in ("bias", "mean"):
            return rng.normal(0, 0.5, leaf.shape)
        return rng.uniform(0.5, 1.5, leaf.shape)

    variables = jax.tree_util.tree_map_with_path(draw, shapes)
    return jax.tree.map(lambda a: a.astype(np.float32), variables)


def images(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_squeeze_excite_scales_each_map_by_equations_2_to_4():
    x = images(2, 3, 4, 6)
    module = SqueezeExcite(2, relu)
    variables = drawn(module, x)
    p = variables["params"]
    z = x.mean(axis=(1, 2))
    hidden = np.maximum(z @ p["squeeze"]["kernel"][0, 0] + p["squeeze"]["bias"], 0)
    s = sigmoid(hidden @ p["excite"]["kernel"][0, 0] + p["excite"]["bias"])
    found = module.apply(variables, x, train=False)
    np.testing.assert_allclose(found, x * s[:, None, None, :], rtol=1e-5, atol=1e-6)


def by_hand(variables, x, *, kernel, stride, activation):
    """expand, depthwise, squeeze and excite, project, in NumPy; padding of (kernel - 1) / 2."""
    p, stats = variables["params"], variables["batch_stats"]

    def norm(y, part):
        mean, var = stats[part]["norm"]["mean"], stats[part]["norm"]["var"]
        scaled = (y - mean) / np.sqrt(var + EPSILON)
        return scaled * p[part]["norm"]["scale"] + p[part]["norm"]["bias"]

    y = x
    if "expand" in p:
        y = activation(norm(y @ p["expand"]["conv"]["kernel"][0, 0], "expand"))
    pad = (kernel - 1) // 2
    padded = np.pad(y, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = ((n - 1) // stride + 1 for n in y.shape[1:3])
    filtered = sum(
        padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride][
            :, :rows, :columns
        ]
        * p["depthwise"]["conv"]["kernel"][i, j, 0]
        for i in range(kernel)
        for j in range(kernel)
    )
    y = activation(norm(filtered, "depthwise"))
    if "squeeze_excite" in p:
        squeeze, excite = p["squeeze_excite"]["squeeze"], p["squeeze_excite"]["excite"]
        hidden = activation(y.mean(axis=(1, 2)) @ squeeze["kernel"][0, 0] + squeeze["bias"])
        s = sigmoid(hidden @ excite["kernel"][0, 0] + excite["bias"])
        y = y * s[:, None, None, :]
    return norm(y @ p["project"]["conv"]["kernel"][0, 0], "project")


@pytest.mark.parametrize(
    ("arguments", "adds"),
    [
        ({"features": 5, "kernel": 3, "expansion": 6}, True),
        ({"features": 5, "kernel": 5, "expansion": 2, "stride": 2, "squeezed": 1}, False),
        ({"features": 4, "kernel": 3, "expansion": 1, "squeezed": 2}, False),
    ],
)
def test_a_block_expands_filters_projects_and_adds_where_it_can(arguments, adds):
    x = images(2, 5, 6, 5)
    act, numpy_act = relu6, lambda v: np.clip(v, 0, 6)
    if "squeezed" in arguments:
        act, numpy_act = silu, lambda v: v * sigmoid(v)
    pad = (arguments["kernel"] - 1) // 2
    module = InvertedResidual(
        **arguments, momentum=0.9, epsilon=EPSILON, padding=pad, activation=act
    )
    variables = drawn(module, x)
    assert ("expand" in variables["params"]) == (arguments["expansion"] > 1)
    expected = by_hand(
        variables,
        x,
        kernel=arguments["kernel"],
        stride=arguments.get("stride", 1),
        activation=numpy_act,
    )
    if adds:
        expected = x + expected
    found = module.apply(variables, x, train=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def block(features=3, **arguments):
    return InvertedResidual(
        features, kernel=3, expansion=2, momentum=0.9, epsilon=EPSILON, padding=1, **arguments
    )


def train(module, variables, x, seed=0):
    y, _ = module.apply(
        variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(seed)}
    )
    return y


def test_a_dropped_branch_leaves_the_input_and_a_kept_one_is_scaled_up():
    x = images(64, 4, 4, 3)
    variables = drawn(block(), x)
    branch = train(block(), variables, x) - x
    found = np.asarray(train(block(drop=0.25), variables, x) - x)
    kept = np.abs(found).max(axis=(1, 2, 3)) > 1e-6
    assert 0.5 < kept.mean() < 0.95
    np.testing.assert_allclose(found[kept], branch[kept] / 0.75, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[~kept], 0, atol=1e-6)


def test_nothing_is_dropped_in_evaluation_nor_without_a_shortcut():
    x = images(16, 4, 4, 3)
    variables = drawn(block(), x)
    dropping = block(drop=0.9)
    assert jnp.array_equal(
        dropping.apply(variables, x, train=False), block().apply(variables, x, train=False)
    )
    wider = drawn(block(features=4), x)
    assert jnp.array_equal(
        train(block(features=4, drop=0.9), wider, x), train(block(features=4), wider, x)
    )


def test_half_precision_stays_half_where_the_input_is_not():
    x = images(1, 4, 4, 3)
    variables = drawn(block(), x)
    assert block(dtype=jnp.bfloat16).apply(variables, x, train=False).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop": 1.0}, "dropout is 1.0; give a probability"),
        ({"expansion": 0}, "expansion of 0; give an integer of at least 1"),
    ],
)
def test_a_block_that_cannot_be_is_an_error(arguments, message):
    with pytest.raises(CnnjaxError, match=message):
        drawn(block().clone(**arguments), images(1, 4, 4, 3))
