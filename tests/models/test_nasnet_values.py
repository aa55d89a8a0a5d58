"""NASNet-A against the values of Keras and of timm, cell by cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.nasnet import NASNet
from cnnjax.pretrained.nasnet import keras_ids, keras_name, timm_modules, timm_name


class SmallNASNet(NASNet):
    """NASNet-A (2 @ 96): both cells, at odd and at even sizes."""

    num_classes: int = 7
    repeats, features, stem, skip = 2, 96, 6, False


class SkippingNASNet(SmallNASNet):
    """As nasnet_large."""

    skip = True


def check_against_keras(net, model, image_shape, transplant_keras):
    import keras

    variables = transplant_keras(net, model, image_shape, keras_name(net))
    layers, ids = {"conv0": "stem_bn1"}, keras_ids(net)
    for stage in net.stages[1:-1]:
        kind = "reduction" if "stem" in stage or "reduction" in stage else "normal"
        layers[stage] = f"{kind}_concat_{ids[stage]}"
    outputs = [model.get_layer(name).output for name in layers.values()]
    images = np.random.default_rng(1).standard_normal((2, *image_shape)).astype(np.float32)
    *maps, logits = keras.Model(model.inputs[0], [*outputs, model.outputs[0]])(images)
    x = jnp.asarray(images)
    for stage, expected in zip(layers, maps, strict=True):
        x = net.apply(variables, x, start=stage, stop=stage)
        if stage == net.stages[-2]:
            expected = np.maximum(expected, 0)  # the ReLU that Keras has behind it
        close(jax.tree.leaves(x)[-1], expected, stage)
    close(net.apply(variables, x, start="final_layer"), logits, "logits")


def close(found, expected, what):
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=what)


def keras_model(net, image_shape):
    from keras.src.applications.nasnet import NASNet as KerasNASNet

    return KerasNASNet(
        input_shape=image_shape,
        penultimate_filters=net.features,
        num_blocks=net.repeats,
        stem_block_filters=net.stem,
        skip_reduction=net.skip,
        weights=None,
        classes=net.num_classes,
        classifier_activation=None,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "image_shape"),
    [(SmallNASNet(dropout=0.0), (52, 41, 3)), (SkippingNASNet(dropout=0.0), (33, 46, 3))],
    ids=["as_mobile", "as_large"],
)
def test_keras_builds_the_same_small_network(net, image_shape, transplant_keras):
    check_against_keras(net, keras_model(net, image_shape), image_shape, transplant_keras)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "image_shape"), [("nasnet_mobile", (224, 224, 3)), ("nasnet_large", (97, 128, 3))]
)
def test_keras_computes_the_same_cell_by_cell(name, image_shape, transplant_keras):
    import keras

    net = cnnjax.create(name)
    if name == "nasnet_mobile":
        model = keras.applications.NASNetMobile(weights=None, classifier_activation=None)
    else:
        model = keras_model(net, image_shape)
    check_against_keras(net, model, image_shape, transplant_keras)


@pytest.fixture(scope="module")
def timm(golden):
    theirs = golden("timm_nasnetalarge")
    net = cnnjax.create("nasnet_large", variant="timm", dropout=0.0)
    return theirs, net, theirs.variables(net, timm_name(net))


@pytest.mark.slow
def test_timm_computes_the_same_cell_by_cell(timm):
    theirs, net, variables = timm
    theirs.check_stages(net, variables, timm_modules(net))


@pytest.mark.slow
def test_timm_trains_with_the_same_loss_and_gradients(timm):
    theirs, net, variables = timm
    theirs.check_training(net, variables, timm_name(net), chaotic=True)
