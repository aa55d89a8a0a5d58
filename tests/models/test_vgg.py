"""VGG against lecture 5's table, torchvision's figures and independent implementations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import cnnjax
from cnnjax.models.ledger import ledger

# Multiply-adds in units of 1e9 (torchvision 0.29.2, `_ops` of the weights' metadata).
TORCHVISION = {"vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.47, "vgg19": 19.632}
SMALL = (2, 32, 32, 3)


def test_vgg16_has_the_layers_of_lecture_5():
    # Keras' summary on the slide; of a stage that ends a block the maps before and after pooling.
    table = {
        "conv1_1": ((224, 224, 64), (224, 224, 64), 1_792),
        "conv1_2": ((224, 224, 64), (112, 112, 64), 36_928),
        "conv2_1": ((112, 112, 128), (112, 112, 128), 73_856),
        "conv2_2": ((112, 112, 128), (56, 56, 128), 147_584),
        "conv3_1": ((56, 56, 256), (56, 56, 256), 295_168),
        "conv3_2": ((56, 56, 256), (56, 56, 256), 590_080),
        "conv3_3": ((56, 56, 256), (28, 28, 256), 590_080),
        "conv4_1": ((28, 28, 512), (28, 28, 512), 1_180_160),
        "conv4_2": ((28, 28, 512), (28, 28, 512), 2_359_808),
        "conv4_3": ((28, 28, 512), (14, 14, 512), 2_359_808),
        "conv5_1": ((14, 14, 512), (14, 14, 512), 2_359_808),
        "conv5_2": ((14, 14, 512), (14, 14, 512), 2_359_808),
        "conv5_3": ((14, 14, 512), (7, 7, 512), 2_359_808),
        "fc6": (None, (4096,), 102_764_544),
        "fc7": (None, (4096,), 16_781_312),
        "fc8": (None, (2,), 8_194),
    }
    found = ledger(cnnjax.create("vgg16", num_classes=2), (224, 224, 3))
    assert {row.stage: (row.maps, row.output, row.parameters) for row in found.rows} == table
    assert found.total("parameters") == 134_268_738
    assert found.total("convolutional") == 14_714_688


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_the_multiply_adds_are_torchvisions(name, suffix):
    found = ledger(cnnjax.create(name + suffix), (224, 224, 3))
    assert found.total("multiply_adds") / 1e9 == pytest.approx(TORCHVISION[name], rel=1e-3)
    assert len(found.rows) == int(name[3:])  # the weight layers that the paper counts


def drawn(net, seed=0):
    """Variables with He's variance; the running variances of batch norm are positive."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros(SMALL))

    def draw(path, leaf):
        if len(leaf.shape) > 1:
            spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return rng.standard_normal(leaf.shape, np.float32) * np.float32(spread)
        return rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def images(seed=1):
    return np.random.default_rng(seed).standard_normal(SMALL).astype(np.float32)


def by_hand(variables, x, blocks, head=("fc6", "fc7", "fc8")):
    """Table 1 written out with plain lax: 3 x 3 convolutions, ReLU, 2 x 2 pooling, three layers."""
    params, stats = variables["params"], variables.get("batch_stats", {})
    for block, count in enumerate(blocks, 1):
        for number in range(1, count + 1):
            stage = f"conv{block}_{number}"
            p = params[stage]
            conv = p.get("conv", p)
            x = lax.conv_general_dilated(
                x, conv["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = x + conv["bias"]
            if "norm" in p:
                mean, var = stats[stage]["norm"]["mean"], stats[stage]["norm"]["var"]
                x = (x - mean) / jnp.sqrt(var + 1e-5) * p["norm"]["scale"] + p["norm"]["bias"]
            x = jnp.maximum(x, 0)
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
    x = x.reshape(len(x), -1)
    for stage in head:
        x = x @ params[stage]["kernel"] + params[stage]["bias"]
        x = x if stage == "fc8" else jnp.maximum(x, 0)
    return x


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg11_computes_table_1(name):
    net = cnnjax.create(name, num_classes=5)
    variables = drawn(net)
    logits = jax.jit(net.apply)(variables, images())
    expected = jax.jit(lambda v, x: by_hand(v, x, (1, 1, 2, 2, 2)))(variables, images())
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_other_configurations_compute_table_1_too():
    # Their convolutions alone, by block: what vgg11 shows of the head holds for them.
    for name, blocks in (("vgg13", (2, 2, 2, 2, 2)), ("vgg16", (2, 2, 3, 3, 3))):
        stages = cnnjax.create(name).stages
        expected = [f"conv{b}_{i}" for b, n in enumerate(blocks, 1) for i in range(1, n + 1)]
        assert stages == (*expected, "fc6", "fc7", "fc8")


def test_dropout_acts_on_the_outputs_of_fc6_and_fc7():
    layers = cnnjax.create("vgg16").layers()
    rates = {name: getattr(layer, "dropout", 0.0) for name, layer in layers.items()}
    assert {name for name, rate in rates.items() if rate} == {"fc7", "fc8"}  # at their inputs
    assert rates["fc7"] == rates["fc8"] == 0.5


def test_batch_norm_uses_the_batch_in_training_and_moves_slowly():
    stage = cnnjax.create("vgg11_bn").layers()["conv1_1"]
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 3)) * 3 + 1
    variables = stage.init(jax.random.key(1), x, train=False)
    assert set(variables["params"]) == {"conv", "norm"}
    y, moved = stage.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.shape == (4, 4, 4, 64)
    assert y.min() >= 0
    fresh, after = variables["batch_stats"]["norm"]["mean"], moved["batch_stats"]["norm"]["mean"]
    conv = stage.clone(pool=None)
    plain = by_hand_conv(variables["params"]["conv"], x)
    np.testing.assert_allclose(
        after - fresh, 0.1 * plain.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4
    )
    unpooled, _ = conv.apply(variables, x, train=True, mutable=["batch_stats"])
    normal = (plain - plain.mean(axis=(0, 1, 2))) / plain.std(axis=(0, 1, 2))
    np.testing.assert_allclose(unpooled, jnp.maximum(normal, 0), rtol=1e-3, atol=1e-4)


def by_hand_conv(params, x):
    y = lax.conv_general_dilated(
        x, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + params["bias"]


@pytest.mark.parametrize("stage", ["conv1_1", "conv2_1"])
def test_weights_begin_with_glorots_variance_and_biases_at_zero(stage):
    layer = cnnjax.create("vgg16").layers()[stage]
    channels = {"conv1_1": 3, "conv2_1": 64}[stage]
    params = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, channels)), train=False)["params"]
    kernel, features = np.asarray(params["kernel"]), params["kernel"].shape[-1]
    bound = np.sqrt(6 / (9 * channels + 9 * features))
    assert 0.95 * bound < np.abs(kernel).max() <= bound
    assert kernel.var() == pytest.approx(bound**2 / 3, rel=0.05)
    assert not params["bias"].any()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keras_name"), [("vgg16", "VGG16"), ("vgg19", "VGG19")])
def test_keras_computes_the_same_maps_after_every_block(name, keras_name):
    import keras

    other = getattr(keras.applications, keras_name)(
        include_top=False, weights=None, input_shape=SMALL[1:]
    )
    net = cnnjax.create(name, num_classes=0)
    variables = drawn(net)
    for stage in net.stages:
        if stage.startswith("conv"):
            layer = other.get_layer(f"block{stage[4]}_conv{stage[6]}")
            p = variables["params"][stage]
            layer.set_weights([p["kernel"], p["bias"]])
    blocks = keras.Model(
        other.inputs[0], [other.get_layer(f"block{i}_pool").output for i in range(1, 6)]
    )
    last = {stage[4]: stage for stage in net.stages if stage.startswith("conv")}
    for expected, stage in zip(blocks(images()), last.values(), strict=True):
        found = net.apply(variables, images(), stop=stage)
        np.testing.assert_allclose(
            found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max())
        )
