"""VGG against what torchvision 0.28 computes, stage by stage.

tests/golden/NAME.npz holds 24 numbers of the output of each of torchvision's modules, the logits,
and the loss and some gradients in training. Every weight is drawn from a generator named after it,
so that none needs storing; the images are drawn from the generator "input".
"""

import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGES = (2, 224, 224, 3)


def generator(name):
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def entry(name, *shape):
    """An entry of torch's state dict, in torch's shape."""
    g = generator(name)
    if len(shape) > 1:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return g.standard_normal(shape).astype(np.float32) * scale
    if name.endswith(("running_mean", "bias")):
        return (g.standard_normal(shape) * 0.1).astype(np.float32)
    return g.uniform(0.5, 1.5, shape).astype(np.float32)


def modules(net):
    """{stage: (number of its convolution in torch's `features`, of its last module)}."""
    places, position = {}, 0
    for stage, layer in net.layers().items():
        if stage.startswith("conv"):
            last = position + 1 + net.batch_norm + (layer.pool is not None)
            places[stage] = (position, last)
            position = last + 1
    return places


def torchvisions(net):
    """The variables that torchvision's model has, with fc6 for maps in the order [H, W, C]."""
    params, stats, channels = {}, {}, 3
    for stage, (place, _) in modules(net).items():
        features = net.layers()[stage].features
        weight = entry(f"features.{place}.weight", features, channels, 3, 3)
        conv = {
            "kernel": weight.transpose(2, 3, 1, 0),
            "bias": entry(f"features.{place}.bias", features),
        }
        params[stage] = conv
        if net.batch_norm:
            norm = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
            found = {k: entry(f"features.{place + 1}.{v}", features) for k, v in norm.items()}
            params[stage] = {"conv": conv, "norm": {k: found[k] for k in ("scale", "bias")}}
            stats[stage] = {"norm": {k: found[k] for k in ("mean", "var")}}
        channels = features
    for stage, place, shape in (("fc6", 0, (512, 7, 7)), ("fc7", 3, (4096,)), ("fc8", 6, (4096,))):
        units = 1000 if stage == "fc8" else 4096
        weight = entry(f"classifier.{place}.weight", units, int(np.prod(shape)))
        if stage == "fc6":
            weight = weight.reshape(units, *shape).transpose(0, 2, 3, 1).reshape(units, -1)
        params[stage] = {"kernel": weight.T, "bias": entry(f"classifier.{place}.bias", units)}
    return {"params": params} | ({"batch_stats": stats} if stats else {})


def close(found, expected, tolerance=1e-4):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_torchvision_computes_the_same_stage_by_stage(name):
    net = cnnjax.create(name, dropout=0.0)
    variables = torchvisions(net)
    images = generator("input").standard_normal(IMAGES).astype(np.float32)
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as golden:
        x = jnp.asarray(images)
        for stage in net.stages:
            x = net.apply(variables, x, start=stage, stop=stage)
            if stage in modules(net):
                module = f"features.{modules(net)[stage][1]}"
            else:
                module = {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}[
                    stage
                ]
            flat = np.asarray(x).reshape(-1)
            close(flat[golden[f"eval/{module}/index"]], golden[f"eval/{module}/value"])
        close(x, golden["eval_logits"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_torchvision_trains_with_the_same_loss_and_gradients(name):
    net = cnnjax.create(name, dropout=0.0)
    variables = torchvisions(net)
    images = generator("input").standard_normal(IMAGES).astype(np.float32)
    others = [collection for collection in variables if collection != "params"]

    def loss(params):
        logits, _ = net.apply(variables | {"params": params}, images, train=True, mutable=others)
        labels = jnp.arange(len(images))
        return -jax.nn.log_softmax(logits)[labels, labels].mean(), logits

    (value, logits), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as golden:
        close(logits, golden["train_logits"], 1e-3)
        close(value, golden["train_loss"], 1e-3)
        first = gradients["conv1_1"]
        first = first.get("conv", first)["kernel"].transpose(3, 2, 0, 1)
        last = gradients["fc8"]["kernel"].T
        for gradient, weight in ((first, "features.0.weight"), (last, "classifier.6.weight")):
            norm = golden[f"grad/{weight}/norm"]
            assert np.linalg.norm(gradient) == pytest.approx(float(norm), rel=1e-2)
            found = np.asarray(gradient).reshape(-1)[golden[f"grad/{weight}/index"]]
            close(found, golden[f"grad/{weight}/value"], 1e-2)
