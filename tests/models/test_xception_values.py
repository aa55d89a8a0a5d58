"""Xception computes what Keras' and timm's compute, stage by stage."""

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax

# Our blocks 2 to 13 are timm's 1 to 12, what is around them stands in its network itself.
AROUND = {
    ("block1", "conv1", "conv"): "conv1",
    ("block1", "conv1", "norm"): "bn1",
    ("block1", "conv2", "conv"): "conv2",
    ("block1", "conv2", "norm"): "bn2",
    ("block14", "conv1", "conv", "depthwise"): "conv3.conv1",
    ("block14", "conv1", "conv", "pointwise"): "conv3.pointwise",
    ("block14", "conv1", "norm"): "bn3",
    ("block14", "conv2", "conv", "depthwise"): "conv4.conv1",
    ("block14", "conv2", "conv", "pointwise"): "conv4.pointwise",
    ("block14", "conv2", "norm"): "bn4",
    ("fc",): "fc",
}


def timms(place):
    """timm's name of one of our modules: its blocks are lists of ReLU, convolution, norm."""
    if place in AROUND:
        return AROUND[place]
    stage, part, *inner = place
    block = int(stage.removeprefix("block")) - 1
    if part == "shortcut":
        return f"block{block}.{ {'conv': 'skip', 'norm': 'skipbn'}[inner[0]] }"
    position = 3 * (int(part.removeprefix("sepconv")) - 1) + (0 if block == 1 else 1)
    match inner:
        case ["norm"]:
            return f"block{block}.rep.{position + 1}"
        case ["conv", "depthwise"]:
            return f"block{block}.rep.{position}.conv1"
        case ["conv", "pointwise"]:
            return f"block{block}.rep.{position}.pointwise"


@pytest.mark.slow
def test_timm_computes_the_same(golden):
    other = golden("timm_legacy_xception")
    net = cnnjax.create("xception", variant="timm")
    modules = {f"block{i}": f"block{i - 1}" for i in range(2, 14)}
    modules |= {"block1": "act2", "block14": "act4"}
    other.check_stages(net, other.variables(net, timms), modules)


@pytest.mark.slow
def test_timm_trains_with_the_same_loss_and_gradients(golden):
    other = golden("timm_legacy_xception")
    net = cnnjax.create("xception", variant="timm", dropout=0.0)
    other.check_training(net, other.variables(net, timms), timms)


@pytest.mark.slow
def test_keras_computes_the_same_maps_after_every_stage(transplant_keras):
    import keras

    # The four poolings see maps of 56 x 41, 28 x 21, 14 x 11 and 7 x 6: even and odd ones.
    shape = (117, 87, 3)
    model = keras.applications.Xception(weights=None, input_shape=shape, classifier_activation=None)
    net = cnnjax.create("xception")
    shortcuts = ["block2", "block3", "block4", "block13"]

    def unnamed(kind):
        """The layers without a name of Keras' own, which are the shortcuts', in order."""
        return [
            layer.name
            for layer in model.layers
            if type(layer) is kind and not layer.name.startswith(("block", "pred"))
        ]

    projections = dict(zip(shortcuts, unnamed(keras.layers.Conv2D), strict=True))
    norms = dict(zip(shortcuts, unnamed(keras.layers.BatchNormalization), strict=True))
    sums = dict(zip(net.stages[1:13], unnamed(keras.layers.Add), strict=True))

    def kerases(place):
        stage, part, *inner = (*place, "")
        if stage == "fc":
            return "predictions"
        if part == "shortcut":
            return {"conv": projections, "norm": norms}[inner[0]][stage]
        part = part.replace("conv", "sepconv") if stage == "block14" else part
        return f"{stage}_{part}" + ("_bn" if inner[0] == "norm" else "")

    variables = transplant_keras(net, model, shape, kerases)
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
