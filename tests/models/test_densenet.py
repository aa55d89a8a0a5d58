"""DenseNets against the paper's tables, torchvision's figures and a form written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import cnnjax
from cnnjax.errors import CnnjaxError
from cnnjax.models.densenet import DenseNet, DenseNetBC
from cnnjax.models.ledger import ledger

# Layers of the four dense blocks (the paper's table 1; 161, with k = 48, is in the authors' code),
# and torchvision 0.29.2's multiply-adds in units of 1e9 (`_ops` of the weights' metadata).
NETWORKS = {
    "densenet121": (32, (6, 12, 24, 16), 2.834),
    "densenet169": (32, (6, 12, 32, 32), 3.36),
    "densenet201": (32, (6, 12, 48, 32), 4.291),
    "densenet161": (48, (6, 12, 36, 24), 7.728),
}


class SmallBC(DenseNetBC):
    """Three blocks, of 2, 1 and 1 layers, k = 3."""

    growth = 3
    blocks = (2, 1, 1)


class Small(DenseNet):
    """Four blocks, of 2, 1, 1 and 1 layers, k = 4."""

    growth = 4
    blocks = (2, 1, 1, 1)


SHAPE = (2, 9, 7, 3)


def images(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def drawn(net, shape=SHAPE, seed=0):
    """Variables all of which matter: He's variance, scales and variances far from 1."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros(shape))

    def draw(path, leaf):
        if len(leaf.shape) > 1:
            spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return jnp.asarray(rng.standard_normal(leaf.shape) * spread, jnp.float32)
        positive = path[-1].key in ("scale", "var")
        low, high = (0.5, 1.5) if positive else (-0.3, 0.3)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def close(found, expected, tolerance=1e-5):
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.fixture(scope="module")
def densenet121():
    return ledger(cnnjax.create("densenet121"), (224, 224, 3))


def test_densenet121_has_the_layers_of_table_1(densenet121):
    # Output sizes of table 1; maps: 2 k, then k more with each layer, half of them after each
    # transition (section 3).
    table = {"conv1": (56, 56, 64)}
    maps = 64
    for block, (count, side) in enumerate(((6, 56), (12, 28), (24, 14), (16, 7)), 1):
        for layer in range(1, count + 1):
            maps += 32
            table[f"dense{block}_{layer}"] = (side, side, maps)
        if block < 4:
            maps //= 2
            table[f"transition{block}"] = (side // 2, side // 2, maps)
    assert densenet121["conv1"].maps == (112, 112, 64)
    assert densenet121["dense3_24"].output == (14, 14, 1024)
    assert densenet121["dense4_1"].arithmetic == "128·1·1·512 + 32·3·3·128 + 2·512 + 2·128"
    assert {row.stage: row.output for row in densenet121.rows} == table | {
        "norm": (7, 7, 1024),
        "fc": (1000,),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stages_are_the_layers_that_the_name_counts(name):
    _, blocks, _ = NETWORKS[name]
    net = cnnjax.create(name)
    dense = [f"dense{b}_{i}" for b, count in enumerate(blocks, 1) for i in range(1, count + 1)]
    assert [stage for stage in net.stages if stage.startswith("dense")] == dense
    others = [stage for stage in net.stages if not stage.startswith("dense")]
    assert others == ["conv1", "transition1", "transition2", "transition3", "norm", "fc"]
    # Two convolutions a layer; conv1, three transitions and fc have one each.
    assert 2 * len(dense) + len(others) - 1 == int(name.removeprefix("densenet"))


def test_densenet_161_has_growth_48_and_the_others_32():
    assert {name: cnnjax.create(name).growth for name in NETWORKS} == {
        name: growth for name, (growth, _, _) in NETWORKS.items()
    }


def test_densenet121_takes_torchvisions_multiply_adds(densenet121):
    assert densenet121.total("multiply_adds") / 1e9 == pytest.approx(2.834, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet169", "densenet201", "densenet161"])
def test_the_other_depths_take_torchvisions_multiply_adds(name):
    found = ledger(cnnjax.create(name), (224, 224, 3))
    assert found.total("multiply_adds") / 1e9 == pytest.approx(NETWORKS[name][2], rel=1e-3)


def test_densenet_bc_has_the_parameters_that_section_3_gives():
    k, maps = 12, 24
    expected = {"conv1": 3 * 3 * 3 * maps}
    for block in (1, 2, 3):
        for layer in range(1, 17):
            bottleneck = 2 * maps + maps * 4 * k
            expected[f"dense{block}_{layer}"] = bottleneck + 2 * 4 * k + 3 * 3 * 4 * k * k
            maps += k
        if block < 3:
            expected[f"transition{block}"] = 2 * maps + maps * (maps // 2)
            maps //= 2
    expected |= {"norm": 2 * maps, "fc": maps * 10 + 10}
    net = cnnjax.create("densenet_bc_100_12")
    variables = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    found = {
        stage: sum(leaf.size for leaf in jax.tree.leaves(params))
        for stage, params in variables["params"].items()
    }
    assert found == expected
    assert sum(found.values()) == 769_162  # 0.8 million in table 2
    # Convolutions and fc: L = 100.
    assert 2 * sum(stage.startswith("dense") for stage in net.stages) + 4 == 100


def conv(x, kernel, pad=0, stride=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def norm_relu(x, p, s, epsilon=1e-5):
    y = (x - s["mean"]) / np.sqrt(s["var"] + epsilon) * p["scale"] + p["bias"]
    return np.maximum(y, 0)


def by_hand(variables, x, blocks):
    """DenseNet-BC for CIFAR as section 3 says, all maps of a block in a list."""
    params, stats = variables["params"], variables["batch_stats"]
    given = [conv(x, params["conv1"]["kernel"], pad=1)]
    for block, layers in enumerate(blocks, 1):
        for layer in range(1, layers + 1):
            p, s = params[f"dense{block}_{layer}"], stats[f"dense{block}_{layer}"]
            y = norm_relu(np.concatenate(given, axis=-1), p["norm1"], s["norm1"])
            y = conv(y, p["conv1"]["kernel"])
            y = norm_relu(y, p["norm2"], s["norm2"])
            given.append(conv(y, p["conv2"]["kernel"], pad=1))
        maps = np.concatenate(given, axis=-1)
        if block < len(blocks):
            p, s = params[f"transition{block}"], stats[f"transition{block}"]
            y = np.asarray(conv(norm_relu(maps, p["norm"], s["norm"]), p["conv"]["kernel"]))
            n, h, w, c = y.shape
            y = y[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
            given = [y.mean(axis=(2, 4))]
    pooled = norm_relu(maps, params["norm"], stats["norm"]).mean(axis=(1, 2))
    return pooled @ params["fc"]["kernel"] + params["fc"]["bias"]


@pytest.mark.slow
def test_densenet_bc_computes_section_3():
    net = SmallBC()
    variables = drawn(net)
    close(net.apply(variables, images()), by_hand(variables, images(), net.blocks))


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "epsilon"), [("torchvision", 1e-5), ("keras", 1.001e-5)])
def test_the_stem_of_imagenet_computes_table_1(variant, epsilon):
    net = Small(variant=variant)
    shape = (2, 12, 10, 3)  # even, so that the paddings before and after matter
    variables = drawn(net, (1, 32, 32, 3))
    p, s = variables["params"]["conv1"], variables["batch_stats"]["conv1"]
    s["norm"]["var"] = jnp.full(8, 1e-4)  # so small that epsilon matters
    y = conv(images(shape), p["conv"]["kernel"], pad=3, stride=2)
    y = np.asarray(norm_relu(y, p["norm"], s["norm"], epsilon))
    padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = np.max(
        [padded[:, i : i + 5 : 2, j : j + 5 : 2] for i in (0, 1, 2) for j in (0, 1, 2)], axis=0
    )
    expected = expected[:, :3, :3]
    close(net.apply(variables, images(shape), stop="conv1"), expected)


def test_the_keras_variant_differs_in_epsilon_and_momentum_only():
    layers = {v: cnnjax.create("densenet121", variant=v).layers() for v in ("torchvision", "keras")}
    for variant, constants in {"torchvision": (0.9, 1e-5), "keras": (0.99, 1.001e-5)}.items():
        stem = layers[variant]["conv1"]
        norms = [stem, layers[variant]["norm"]]
        norms += [layers[variant][stage].make_norm() for stage in ("dense1_1", "transition3")]
        assert {(norm.momentum, norm.epsilon) for norm in norms} == {constants}
    shapes = [
        jax.eval_shape(Small(variant=v).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        for v in ("torchvision", "keras")
    ]
    assert shapes[0] == shapes[1]


def test_an_unknown_variant_is_named_with_those_there_are():
    expected = "DenseNet121 has no variant 'keas'; its variants are torchvision, keras"
    with pytest.raises(CnnjaxError, match=expected):
        cnnjax.create("densenet121", variant="keas").slice()
