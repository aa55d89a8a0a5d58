"""MobileNetV2 against torchvision's and Keras' networks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.ledger import multiply_adds
from cnnjax.models.mobilenet_v2 import make_divisible
from cnnjax.pretrained.mobilenet_v2 import (
    keras_block,
    keras_name,
    torchvision_modules,
    torchvision_name,
)

IMAGE = (224, 224, 3)


def shapes(net):
    image = jax.ShapeDtypeStruct((1, *net.image), jnp.float32)
    return jax.eval_shape(net.init, jax.random.key(0), image)["params"]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_multiply_adds_are_torchvisions():
    found = sum(multiply_adds(cnnjax.create("mobilenet_v2"), IMAGE).values())
    assert found / 1e9 == pytest.approx(0.301, rel=2e-3)  # "300M" in table 4 of the paper


def test_the_wider_network_of_table_4_costs_what_is_printed():
    # Its parameters are Keras' (below) and the authors', 6.1 million; the paper prints 6.9.
    found = sum(multiply_adds(cnnjax.create("mobilenet_v2", alpha=1.4), IMAGE).values())
    assert found / 1e6 == pytest.approx(585, rel=0.01)


def test_numbers_of_maps_are_multiples_of_8_that_lose_no_more_than_a_tenth():
    # By the width multipliers of the paper, from the maps of table 2.
    assert [make_divisible(c * 0.35) for c in (32, 16, 24, 64, 320)] == [16, 8, 8, 24, 112]
    assert [make_divisible(c * 0.75) for c in (32, 16, 24, 96)] == [24, 16, 24, 72]
    assert [make_divisible(c * 1.4) for c in (32, 16, 24, 1280)] == [48, 24, 32, 1792]
    assert make_divisible(11.0) == 16  # 8 would be 27 % less
    for maps in np.linspace(1.0, 3000.0, 997):
        rounded = make_divisible(maps)
        assert rounded % 8 == 0
        assert 0.9 * maps <= rounded <= max(8, maps + 8)


def test_the_last_convolution_grows_with_the_width_but_never_shrinks():
    for alpha, maps in ((0.35, 1280), (1.0, 1280), (1.3, 1664), (1.4, 1792)):
        assert cnnjax.create("mobilenet_v2", alpha=alpha).layers()["conv2"].features == maps


def test_a_width_of_nothing_is_an_error():
    with pytest.raises(cnnjax.CnnjaxError, match="alpha is 0; give a positive one"):
        _ = cnnjax.create("mobilenet_v2", alpha=0).stages


def test_weights_begin_as_torchvisions():
    layers = cnnjax.create("mobilenet_v2", num_classes=300).layers()
    block, fc = (
        jax.jit(partial(layers[stage].init, train=False))(jax.random.key(0), x)["params"]
        for stage, x in (("bottleneck8", jnp.zeros((1, 4, 4, 64))), ("fc", jnp.zeros((1, 1280))))
    )
    kernels = {part: np.asarray(layer["conv"]["kernel"]) for part, layer in block.items()}
    # 2 / fan_out, with all 384 maps of the depthwise kernel.
    for part, fan_out in {"expand": 384, "depthwise": 9 * 384, "project": 64}.items():
        assert kernels[part].var() == pytest.approx(2 / fan_out, rel=0.07), part
    assert np.std(fc["kernel"]) == pytest.approx(0.01, rel=0.01)
    assert not fc["bias"].any()


def test_every_layer_is_normalised_with_the_constants_of_its_source():
    for variant, constants in {"torchvision": (0.9, 1e-5), "keras": (0.999, 1e-3)}.items():
        layers = cnnjax.create("mobilenet_v2", variant=variant).layers()
        norms = [layer for stage, layer in layers.items() if stage != "fc"]
        assert {(layer.momentum, layer.epsilon) for layer in norms} == {constants}


def test_dropout_is_torchvisions():
    assert cnnjax.create("mobilenet_v2").layers()["fc"].dropout == 0.2


@pytest.mark.slow
def test_torchvision_computes_the_same_stage_by_stage(golden):
    other, net = golden("mobilenet_v2"), cnnjax.create("mobilenet_v2")
    variables = other.variables(net, torchvision_name)
    other.check_stages(net, variables, torchvision_modules(net))


@pytest.mark.slow
def test_torchvision_trains_with_the_same_loss_and_gradients(golden):
    other, net = golden("mobilenet_v2"), cnnjax.create("mobilenet_v2", dropout=0.0)
    other.check_training(net, other.variables(net, torchvision_name), torchvision_name)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "image"), [(1.0, IMAGE), (0.5, (60, 97, 3)), (1.3, (96, 64, 3))])
def test_keras_computes_the_same_stage_by_stage(transplant_keras, alpha, image):
    import keras

    other = keras.applications.MobileNetV2(
        input_shape=image, alpha=alpha, weights=None, classifier_activation=None
    )
    net = cnnjax.create("mobilenet_v2", alpha=alpha, variant="keras")
    variables = transplant_keras(net, other, image, keras_name)
    layers = {layer.name: layer for layer in other.layers}

    def last(stage):
        if stage.startswith("bottleneck"):
            block = keras_block(stage)
            return layers.get(f"{block}_add", layers[f"{block}_project_BN"])
        return layers[{"conv1": "Conv1_relu", "conv2": "out_relu", "fc": "predictions"}[stage]]

    maps = keras.Model(other.inputs[0], [last(stage).output for stage in net.stages])
    x = np.random.default_rng(1).standard_normal((1, *image)).astype(np.float32)
    for stage, expected in zip(net.stages, maps(x), strict=True):
        found = net.apply(variables, x, start=stage, stop=stage)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=stage)
        x = expected
    norms = [layer for layer in other.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.999, 1e-3)}


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_keras_has_as_many_parameters_at_every_width(alpha):
    import keras

    other = keras.applications.MobileNetV2(alpha=alpha, weights=None)
    trainable = sum(int(np.prod(weight.shape)) for weight in other.trainable_weights)
    assert count(shapes(cnnjax.create("mobilenet_v2", alpha=alpha))) == trainable
