"""Xception computes what Keras' and timm's compute, stage by stage."""

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.pretrained.xception import keras_name, timm_modules, timm_name


@pytest.mark.slow
def test_timm_computes_the_same(golden):
    other = golden("timm_legacy_xception")
    net = cnnjax.create("xception", variant="timm")
    other.check_stages(net, other.variables(net, timm_name), timm_modules(net))


@pytest.mark.slow
def test_timm_trains_with_the_same_loss_and_gradients(golden):
    other = golden("timm_legacy_xception")
    net = cnnjax.create("xception", variant="timm", dropout=0.0)
    other.check_training(net, other.variables(net, timm_name), timm_name)


@pytest.mark.slow
def test_keras_computes_the_same_maps_after_every_stage(transplant_keras):
    import keras

    # The four poolings see maps of 56 x 41, 28 x 21, 14 x 11 and 7 x 6: even and odd ones.
    shape = (117, 87, 3)
    keras.utils.clear_session()  # it counts the layers that have no name of their own
    model = keras.applications.Xception(weights=None, input_shape=shape, classifier_activation=None)
    net = cnnjax.create("xception")

    unnamed = [layer.name for layer in model.layers if type(layer) is keras.layers.Add]
    sums = dict(zip(net.stages[1:13], unnamed, strict=True))

    variables = transplant_keras(net, model, shape, keras_name)
    endings = {"block1": "block1_conv2_act", "block14": "block14_sepconv2_act"}
    endings |= sums | {"fc": "predictions"}
    outputs = [model.get_layer(endings[stage]).output for stage in net.stages]
    images = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    x = jnp.asarray(images)
    for stage, expected in zip(
        net.stages, keras.Model(model.inputs[0], outputs)(images), strict=True
    ):
        x = net.apply(variables, x, start=stage, stop=stage)
        assert x.shape == expected.shape, stage
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=stage)
