"""The lecture's CIFAR network against its published counts and against Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.ledger import ledger

IMAGE = (16, 8, 3)


def test_its_layers_are_those_of_the_notebook_with_published_counts():
    # 1,345,066 in all, 1,343,146 of them trainable: Keras' summary in the notebook. By hand:
    # k k c f + f of the layer, 2 f of the normalisation after it.
    table = {
        "conv1_1": ((32, 32, 32), (32, 32, 32), 27 * 32 + 3 * 32),
        "conv1_2": ((32, 32, 32), (16, 16, 32), 288 * 32 + 3 * 32),
        "conv2_1": ((16, 16, 64), (16, 16, 64), 288 * 64 + 3 * 64),
        "conv2_2": ((16, 16, 64), (8, 8, 64), 576 * 64 + 3 * 64),
        "conv3_1": ((8, 8, 128), (8, 8, 128), 576 * 128 + 3 * 128),
        "conv3_2": ((8, 8, 128), (4, 4, 128), 1152 * 128 + 3 * 128),
        "fc7": (None, (512,), 2048 * 512 + 3 * 512),
        "fc8": (None, (10,), 512 * 10 + 10),
    }
    found = ledger(cnnjax.create("cifar_vgg"), (32, 32, 3))
    assert {row.stage: (row.maps, row.output, row.parameters) for row in found.rows} == table
    assert found.total("parameters") == 1_343_146
    assert found.total("parameters") + found.total("statistics") == 1_345_066


def keras_model(image, classes):
    """The notebook's model, with names for its layers."""
    from keras import Sequential, layers

    def normal(name):
        return layers.BatchNormalization(name=f"{name}_normalization")

    model = Sequential([layers.Input(image)])
    for block, filters in enumerate((32, 64, 128), 1):
        for number in (1, 2):
            name = f"conv{block}_{number}"
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
            model.add(normal(name))
        model.add(layers.MaxPooling2D(2, name=f"pool{block}"))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu", name="fc7"))
    model.add(normal("fc7"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(classes, name="fc8"))
    return model


def name_of(path):
    return f"{path[0]}_normalization" if path[-1] == "norm" else path[0]


@pytest.fixture(scope="module")
def both(transplant_keras):
    """(our network without dropout, its variables, Keras' model with the same ones, images)."""
    net, model = cnnjax.create("cifar_vgg", num_classes=5, dropout=0.0), keras_model(IMAGE, 5)
    images = np.random.default_rng(1).normal(0, 1, (4, *IMAGE)).astype(np.float32)
    return net, transplant_keras(net, model, IMAGE, name_of), model, images


def close(found, expected, tolerance=1e-4):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def test_keras_computes_the_same_stage_by_stage(both):
    import keras

    net, variables, model, images = both
    pooled = {"conv1_2": "pool1", "conv2_2": "pool2", "conv3_2": "pool3", "fc8": "fc8"}
    ends = [pooled.get(stage, f"{stage}_normalization") for stage in net.stages]
    inner = keras.Model(model.inputs[0], [model.get_layer(name).output for name in ends])
    x = images
    for stage, expected in zip(net.stages, inner(images, training=False), strict=True):
        x = net.apply(variables, x, start=stage, stop=stage)
        close(x, np.asarray(expected))


def test_keras_computes_the_same_in_training(both):
    net, variables, model, images = both
    logits, moved = net.apply(variables, images, train=True, mutable=["batch_stats"])
    taken = [layer for layer in model.layers if not layer.name.startswith("dropout")]
    expected = images
    for layer in taken:
        expected = layer(expected, training=True)
    close(logits, np.asarray(expected), 1e-3)
    # Keras' layers have moved their means by now, as ours did.
    for stage in ("conv1_1", "fc7"):
        mean = model.get_layer(f"{stage}_normalization").moving_mean
        close(moved["batch_stats"][stage]["norm"]["mean"], np.asarray(mean), 1e-3)


def test_what_is_normalised_is_what_the_nonlinearity_gives(some_variables):
    # Ioffe and Szegedy's order would give numbers of one sign: this one gives both.
    net = cnnjax.create("cifar_vgg")
    images = jax.random.normal(jax.random.key(0), (8, *IMAGE))
    variables = some_variables(net, IMAGE)
    y, _ = net.apply(variables, images, train=True, stop="conv1_1", mutable=["batch_stats"])
    assert y.min() < 0
    beta = variables["params"]["conv1_1"]["norm"]["bias"]
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), beta, atol=1e-5)


def test_dropout_acts_on_the_normalised_output_of_fc7():
    layers = cnnjax.create("cifar_vgg").layers()
    assert layers["fc8"].dropout == 0.5
    assert layers["fc7"].layer.dropout == 0.0


def test_weights_begin_with_glorots_variance_and_biases_at_zero():
    layer = cnnjax.create("cifar_vgg").layers()["conv2_1"]
    params = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 32)), train=False)["params"]
    kernel, bound = np.asarray(params["layer"]["kernel"]), np.sqrt(6 / (9 * 32 + 9 * 64))
    assert 0.95 * bound < np.abs(kernel).max() <= bound
    assert kernel.var() == pytest.approx(bound**2 / 3, rel=0.05)
    assert not params["layer"]["bias"].any()
    assert (params["norm"]["scale"] == 1).all()
