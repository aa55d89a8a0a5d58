"""Files that Keras itself writes, of its own networks with random weights: what comes out of ours
for the same pictures is what comes out of Keras'."""

from importlib import import_module

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import pretrained
from cnnjax.training import scale_pixels

CLASSES = 7
# network: (class of keras.applications, its module, side of the images, more arguments)
MODELS = {
    "mobilenet": ("MobileNet", "mobilenet", 32, {"alpha": 0.25}),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2", 64, {"alpha": 0.35}),
    "vgg16": ("VGG16", "vgg16", 224, {}),
    "vgg19": ("VGG19", "vgg19", 224, {}),
    "resnet50": ("ResNet50", "resnet", 64, {}),
    "resnet101": ("ResNet101", "resnet", 64, {}),
    "resnet152": ("ResNet152", "resnet", 64, {}),
    "resnet50v2": ("ResNet50V2", "resnet_v2", 64, {}),
    "resnet101v2": ("ResNet101V2", "resnet_v2", 64, {}),
    "resnet152v2": ("ResNet152V2", "resnet_v2", 64, {}),
    "densenet121": ("DenseNet121", "densenet", 64, {}),
    "densenet169": ("DenseNet169", "densenet", 64, {}),
    "densenet201": ("DenseNet201", "densenet", 64, {}),
    "inception_v3": ("InceptionV3", "inception_v3", 96, {}),
    "xception": ("Xception", "xception", 96, {}),
    "nasnet_mobile": ("NASNetMobile", "nasnet", 224, {}),
    "nasnet_large": ("NASNetLarge", "nasnet", 331, {}),
    **{f"efficientnet_b{i}": (f"EfficientNetB{i}", "efficientnet", 64, {}) for i in range(8)},
}
FORMATS = ("h5", "weights.h5", "npz")


def fill(model):
    """Random weights with which activations stay of one size. The last scale of a block that is
    added to its input is small: in 50 blocks with larger ones a rounding error of the first becomes
    as large as the logits."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        shape, kind = tuple(weight.shape), weight.path.rpartition("/")[2]
        if "kernel" in kind:
            fan_in = np.prod(shape[:-1]) / (shape[2] if shape[-1] == 1 else 1)
            values = rng.normal(0, np.sqrt(2 / fan_in), shape)
        elif kind == "gamma" and "project" in weight.path:
            values = rng.uniform(0.1, 0.3, shape)
        elif kind in ("gamma", "moving_variance", "variance"):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.normal(0, 0.1, shape)
        if kind not in ("count", "seed_generator_state"):
            weight.assign(values.astype(np.float32))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization computes with a copy of its weights
            layer.finalize_state()


def write(model, path):
    if path.suffix == ".npz":
        arrays = {f"{la.name}/{w.name}": w.numpy() for la in model.layers for w in la.weights}
        np.savez(path, **arrays)
    elif path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)


def build(name):
    import keras

    make, _, side, more = MODELS[name]
    keras.layers.Conv2D(1, 1)  # names that Keras counts begin anywhere
    model = getattr(keras.applications, make)(
        weights=None,
        input_shape=(side, side, 3),
        classes=CLASSES,
        classifier_activation=None,
        **more,
    )
    fill(model)
    return model


def test_what_keras_writes_is_read_in_every_format(tmp_path):
    model, found = build("mobilenet"), []
    for suffix in FORMATS:
        path = tmp_path / f"weights.{suffix}"
        write(model, path)
        found.append(pretrained.load("mobilenet", path, alpha=0.25))
        assert found[-1].network.num_classes == CLASSES
    theirs = sorted(float(weight.numpy().sum()) for weight in model.weights)
    ours = sorted(
        float(np.sum(leaf)) for leaf in map(np.asarray, jax.tree.leaves(found[0].variables))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    for other in found[1:]:
        chex.assert_trees_all_equal(*(jax.device_get(one.variables) for one in (other, found[0])))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network_of_keras_gives_what_it_gives_there(name, tmp_path):
    _, module, side, more = MODELS[name]
    model = build(name)
    images = np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    prepare = import_module(f"keras.applications.{module}").preprocess_input
    expected = np.asarray(model(prepare(images.astype(np.float32))))
    path = tmp_path / f"{name}.{FORMATS[list(MODELS).index(name) % len(FORMATS)]}"  # in turn
    write(model, path)
    found = pretrained.load(name, path, **more)
    logits = jax.jit(found.network.apply)(found.variables, scale_pixels(jnp.asarray(images)))
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())


def test_every_network_that_keras_publishes_is_here():
    assert set(MODELS) == {p.network for p in pretrained.passports() if p.source == "keras"}
