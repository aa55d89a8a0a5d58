"""DenseNets compute what torchvision's and Keras' compute, stage by stage."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.pretrained.densenet import keras_name, torchvision_modules, torchvision_name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "densenet161"])
def test_torchvision_computes_the_same(name, golden):
    other, net = golden(name), cnnjax.create(name)
    variables = other.variables(net, torchvision_name)
    other.check_stages(net, variables, torchvision_modules(net))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "densenet161"])
def test_torchvision_trains_with_the_same_loss_and_gradients(name, golden):
    other, net = golden(name), cnnjax.create(name)
    other.check_training(net, other.variables(net, torchvision_name), torchvision_name)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [121, 169, 201])
def test_keras_computes_the_same_maps_after_every_stage(depth, transplant_keras):
    import keras

    shape = (51, 38, 3)
    make = getattr(keras.applications, f"DenseNet{depth}")
    model = make(weights=None, input_shape=shape, classifier_activation=None)
    net = cnnjax.create(f"densenet{depth}", variant="keras")
    variables = transplant_keras(net, model, shape, keras_name)

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
