"""ResNet's Keras form and ResNetV2 against keras.applications, block by block, with all weights
and statistics random."""

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.pretrained.resnet import keras_name

ODD = (65, 49, 3)  # each halving rounds up, and not in both directions at the same time


def output_name(stage, is_v2):
    if stage in ("conv1", "fc"):
        return {"conv1": "pool1_pool", "fc": "predictions"}[stage]
    if is_v2 and stage == "conv5_3":
        return "post_relu"
    return f"{stage.replace('_', '_block')}_out"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "keras_class", "image"),
    [
        ("resnet50", "ResNet50", (224, 224, 3)),
        ("resnet50", "ResNet50", ODD),
        ("resnet101", "ResNet101", ODD),
        ("resnet152", "ResNet152", ODD),
        ("resnet50v2", "ResNet50V2", (224, 224, 3)),
        ("resnet50v2", "ResNet50V2", ODD),
        ("resnet101v2", "ResNet101V2", ODD),
        ("resnet152v2", "ResNet152V2", ODD),
    ],
)
def test_keras_computes_the_same_block_by_block(transplant_keras, name, keras_class, image):
    import keras

    is_v2 = name.endswith("v2")
    net = cnnjax.create(name, **({} if is_v2 else {"variant": "keras"}))
    model = getattr(keras.applications, keras_class)(
        weights=None, input_shape=image, classifier_activation=None
    )
    variables = transplant_keras(net, model, image, keras_name)
    images = np.random.default_rng(1).standard_normal((1, *image)).astype(np.float32)
    layers = [model.get_layer(output_name(stage, is_v2)).output for stage in net.stages]
    x = jnp.asarray(images)
    for stage, expected in zip(
        net.stages, keras.Model(model.inputs[0], layers)(images), strict=True
    ):
        x = net.apply(variables, x, start=stage, stop=stage)
        scale = float(jnp.abs(expected).max())
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=stage)
