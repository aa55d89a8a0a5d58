"""DenseNets compute what torchvision's and Keras' compute, stage by stage."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax


def torchvisions(place):
    """torchvision's name of one of our modules."""
    stage, *inner = place
    match re.match(r"([a-z]+)(\d*)_?(\d*)", stage).groups():
        case ("conv", _, _):
            module = {"conv": "conv0", "norm": "norm0"}[inner.pop()]
        case ("dense", block, layer):
            module = f"denseblock{block}.denselayer{layer}"
        case ("transition", block, _):
            module = f"transition{block}"
        case ("norm", _, _):
            module = "norm5"
        case ("fc", _, _):
            return "classifier"
    return ".".join(["features", module, *inner])


def kerases(place):
    """Keras' name of one of our modules: its block 1 is the stem, the first dense block is 2."""
    stage, *inner = place
    match re.match(r"([a-z]+)(\d*)_?(\d*)", stage).groups():
        case ("conv", _, _):
            return {"conv": "conv1_conv", "norm": "conv1_bn"}[inner[0]]
        case ("dense", block, layer):
            part = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}
            return f"conv{int(block) + 1}_block{layer}_{part[inner[0]]}"
        case ("transition", block, _):
            return f"pool{int(block) + 1}_{ {'norm': 'bn', 'conv': 'conv'}[inner[0]] }"
    return {"norm": "bn", "fc": "predictions"}[stage]


def last_layers(net):
    """{block: the stage that ends it}."""
    return {stage[5]: stage for stage in net.stages if stage.startswith("dense")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "densenet161"])
def test_torchvision_computes_the_same(name, golden):
    other, net = golden(name), cnnjax.create(name)
    variables = other.variables(net, torchvisions)
    modules = {"conv1": "features.pool0"}
    modules |= {stage: f"features.denseblock{b}" for b, stage in last_layers(net).items()}
    modules |= {f"transition{b}": f"features.transition{b}" for b in (1, 2, 3)}
    other.check_stages(net, variables, modules)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "densenet161"])
def test_torchvision_trains_with_the_same_loss_and_gradients(name, golden):
    other, net = golden(name), cnnjax.create(name)
    other.check_training(net, other.variables(net, torchvisions), torchvisions)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [121, 169, 201])
def test_keras_computes_the_same_maps_after_every_stage(depth, transplant_keras):
    import keras

    shape = (51, 38, 3)
    make = getattr(keras.applications, f"DenseNet{depth}")
    model = make(weights=None, input_shape=shape, classifier_activation=None)
    net = cnnjax.create(f"densenet{depth}", variant="keras")
    variables = transplant_keras(net, model, shape, kerases)

    def ending(stage):
        match re.match(r"([a-z]+)(\d*)_?(\d*)", stage).groups():
            case ("dense", block, layer):
                return f"conv{int(block) + 1}_block{layer}_concat"
            case ("transition", block, _):
                return f"pool{int(block) + 1}_pool"
        return {"conv1": "pool1", "norm": "relu", "fc": "predictions"}[stage]

    outputs = [model.get_layer(ending(stage)).output for stage in net.stages]
    images = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    x = jnp.asarray(images)
    for stage, expected in zip(
        net.stages, keras.Model(model.inputs[0], outputs)(images), strict=True
    ):
        x = net.apply(variables, x, start=stage, stop=stage)
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=stage)
