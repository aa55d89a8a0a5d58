"""Xception against the paper's figure 5 and a form of its modules written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.errors import CnnjaxError
from cnnjax.models.ledger import ledger


@pytest.fixture(scope="module")
def found():
    return ledger(cnnjax.create("xception"), (299, 299, 3))


def separable(maps, features):
    """Weights of a separable convolution and its norm (section 2)."""
    return 3 * 3 * maps + maps * features + 2 * features


def projection(maps, features):
    return maps * features + 2 * features


def test_xception_has_the_modules_of_figure_5(found):
    # The figure gives 299 x 299 x 3 at the entrance, 19 x 19 x 728 after the entry flow and in the
    # middle flow, and a vector of 2048 at the end; each stride 2 halves the maps.
    table = {
        "block1": (147, 147, 64),
        "block2": (74, 74, 128),
        "block3": (37, 37, 256),
        "block4": (19, 19, 728),
        **{f"block{i}": (19, 19, 728) for i in range(5, 13)},
        "block13": (10, 10, 1024),
        "block14": (10, 10, 2048),
        "fc": (1000,),
    }
    assert {row.stage: row.output for row in found.rows} == table


def test_each_module_has_the_weights_of_figure_5(found):
    middle = 3 * separable(728, 728)
    table = {
        "block1": (27 * 32 + 2 * 32) + (9 * 32 * 64 + 2 * 64),
        "block2": separable(64, 128) + separable(128, 128) + projection(64, 128),
        "block3": separable(128, 256) + separable(256, 256) + projection(128, 256),
        "block4": separable(256, 728) + separable(728, 728) + projection(256, 728),
        **{f"block{i}": middle for i in range(5, 13)},
        "block13": separable(728, 728) + separable(728, 1024) + projection(728, 1024),
        "block14": separable(1024, 1536) + separable(1536, 2048),
        "fc": 2048 * 1000 + 1000,
    }
    assert {row.stage: row.parameters for row in found.rows} == table
    assert found.total("parameters") == 22_855_952
    assert found.total("statistics") == 22_910_480 - 22_855_952  # what Keras counts besides


def test_xception_takes_as_many_multiply_adds_as_zoph_et_al_print(found):
    # Zoph et al. 2018, "Learning transferable architectures", table 2: 8.38 billion.
    assert found.total("multiply_adds") / 1e9 == pytest.approx(8.38, rel=0.01)


def test_it_has_36_convolutions_in_14_modules():
    net = cnnjax.create("xception")
    assert net.stages == (*(f"block{i}" for i in range(1, 15)), "fc")
    variables = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 71, 71, 3)))
    inner = [set(params) - {"shortcut"} for params in variables["params"].values()]
    assert sum(map(len, inner[:-1])) == 36  # section 3; the projections of shortcuts aside


def depthwise(x, kernel):
    h, w = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        padded[:, i : i + h, j : j + w] * kernel[i, j, 0] for i in (0, 1, 2) for j in (0, 1, 2)
    ]
    return np.sum(shifted, axis=0)


def norm(x, params, stats, epsilon):
    y = (x - stats["mean"]) / np.sqrt(stats["var"] + epsilon)
    return y * params["scale"] + params["bias"]


def pool(x, before, after):
    """The maximum of 3 x 3 pixels with stride 2, so many rows and columns of padding around."""
    h, w = x.shape[1:3]
    sides = [(b, a) for b, a in zip(before, after, strict=True)]
    padded = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=-np.inf)
    rows, columns = ((size + sum(s) - 3) // 2 + 1 for size, s in zip((h, w), sides, strict=True))
    return np.stack(
        [
            np.stack(
                [
                    padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2))
                    for j in range(columns)
                ],
                1,
            )
            for i in range(rows)
        ],
        1,
    )


def by_hand(variables, x, epsilon, relu_first=True, pads=None):
    """A module of figure 5 with its shortcut; `pads` of its pooling, if it has one."""
    params, stats = variables["params"], variables["batch_stats"]
    y = x
    for i in range(1, len(params) + 1):
        if (name := f"sepconv{i}") not in params:
            continue
        p = params[name]
        y = np.maximum(y, 0) if i > 1 or relu_first else y
        y = depthwise(y, p["conv"]["depthwise"]["kernel"]) @ p["conv"]["pointwise"]["kernel"][0, 0]
        y = norm(y, p["norm"], stats[name]["norm"], epsilon)
    if pads is None:
        return y + x
    p, s = params["shortcut"], stats["shortcut"]
    beside = norm(x[:, ::2, ::2] @ p["conv"]["kernel"][0, 0], p["norm"], s["norm"], epsilon)
    return pool(y, *pads) + beside


def drawn(layer, shape, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(
        lambda k, x: layer.init(k, x, train=False), jax.random.key(0), jnp.zeros(shape)
    )

    def draw(path, leaf):
        if len(leaf.shape) > 1:
            spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return (rng.standard_normal(leaf.shape) * spread).astype(np.float32)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "var") else (-0.3, 0.3)
        return rng.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


# TensorFlow's "same": 8 pixels are padded by (0, 1), 5 by (1, 1).
@pytest.mark.parametrize(
    ("stage", "channels", "variant", "epsilon", "pads"),
    [
        ("block2", 64, "keras", 1e-3, ((0, 1), (1, 1))),
        ("block3", 128, "keras", 1e-3, ((0, 1), (1, 1))),
        ("block3", 128, "timm", 1e-5, ((1, 1), (1, 1))),
        ("block5", 728, "keras", 1e-3, None),
    ],
)
def test_a_module_computes_figure_5(stage, channels, variant, epsilon, pads):
    layer = cnnjax.create("xception", variant=variant).layers()[stage]
    variables = drawn(layer, (1, 8, 5, channels))
    x = np.random.default_rng(1).standard_normal((2, 8, 5, channels)).astype(np.float32)
    expected = by_hand(variables, x, epsilon, relu_first=stage != "block2", pads=pads)
    result = layer.apply(variables, x, train=False)
    assert result.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(("stage", "channels"), [("block1", 3), ("block14", 1024)])
def test_the_first_and_the_last_module_have_a_relu_behind_each_norm(stage, channels):
    layer = cnnjax.create("xception").layers()[stage]
    variables = drawn(layer, (1, 9, 7, channels))
    # All of the second's inputs are 0 if its weights meet no positive number: then the bias is all.
    p = variables["params"]
    p["conv1"]["norm"]["bias"] = np.full_like(p["conv1"]["norm"]["bias"], -1e4)
    p["conv2"]["norm"]["bias"] = np.linspace(-1, 1, p["conv2"]["norm"]["bias"].size, dtype="f")
    s = variables["batch_stats"]["conv2"]["norm"]
    s["mean"] = np.zeros_like(s["mean"])
    y = layer.apply(variables, jnp.ones((1, 9, 7, channels)), train=False)
    assert jnp.array_equal(y[0, 0, 0], np.maximum(p["conv2"]["norm"]["bias"], 0))


def test_weights_begin_with_glorots_variance_as_in_keras():
    layer = cnnjax.create("xception").layers()["block2"]
    x = jnp.zeros((1, 4, 4, 64))
    params = layer.init(jax.random.key(0), x, train=False)["params"]
    # Keras' fans of a depthwise kernel [3, 3, C, 1] are 9 C and 9.
    fans = {
        ("sepconv1", "conv", "depthwise"): 9 * 64 + 9,
        ("sepconv1", "conv", "pointwise"): 64 + 128,
        ("sepconv2", "conv", "depthwise"): 9 * 128 + 9,
        ("shortcut", "conv"): 64 + 128,
    }
    for path, both in fans.items():
        kernel = params
        for name in (*path, "kernel"):
            kernel = kernel[name]
        kernel = np.asarray(kernel)
        bound = np.sqrt(6 / both)
        assert 0.95 * bound < np.abs(kernel).max() <= bound, path
        assert kernel.var() == pytest.approx(2 / both, rel=0.1), path
    norm = params["sepconv2"]["norm"]
    assert (norm["scale"] == 1).all()
    assert not norm["bias"].any()


def test_half_of_what_the_logistic_regression_takes_is_dropped_in_training():
    head = cnnjax.create("xception").layers()["fc"]
    assert head.dropout == 0.5
    assert cnnjax.create("xception", dropout=0.0).layers()["fc"].dropout == 0.0
    x = jnp.ones((4, 3, 3, 8))
    variables = head.init(jax.random.key(0), x, train=False)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (8, 1000)
    key = {"dropout": jax.random.key(1)}
    logits = head.apply(variables, x, train=True, rngs=key)
    # Each logit is a sum of doubled weights of the kept averages: find which they are.
    kept = np.linalg.lstsq(kernel.T, logits.T, rcond=None)[0]
    assert set(np.round(kept, 3).ravel()) == {0.0, 2.0}


def test_the_variants_differ_in_momentum_epsilon_and_pooling():
    constants = {}
    for variant in ("keras", "timm"):
        layers = cnnjax.create("xception", variant=variant).layers()
        norms = [layers["block1"].first(), layers["block14"].second()]
        norms += [layers["block5"].separable(728), layers["block4"].projection(728)]
        (numbers,) = {(norm.momentum, norm.epsilon) for norm in norms}
        padding = {layers[b].pool.keywords["padding"] for b in ("block2", "block4", "block13")}
        constants[variant] = (*numbers, *padding)
    assert constants == {"keras": (0.99, 1e-3, "same"), "timm": (0.9, 1e-5, 1)}


def test_an_unknown_variant_is_named_with_those_there_are():
    with pytest.raises(
        CnnjaxError, match="Xception has no variant 'tim'; its variants are keras, timm"
    ):
        cnnjax.create("xception", variant="tim").slice()
