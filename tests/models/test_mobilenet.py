"""MobileNet against the paper's tables, timm's and Keras' networks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.ledger import multiply_adds
from cnnjax.pretrained.mobilenet import keras_name, timm_modules, timm_name

IMAGE = (224, 224, 3)


def parameters(net):
    image = jax.ShapeDtypeStruct((1, *net.image), jnp.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), image)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("alpha", "millions", "multiply_adds_millions"),
    [(1.0, 4.2, 569), (0.75, 2.6, 325), (0.5, 1.3, 149), (0.25, 0.5, 41)],
)
def test_narrower_networks_cost_what_table_6_prints(alpha, millions, multiply_adds_millions):
    net = cnnjax.create("mobilenet", alpha=alpha)
    assert round(parameters(net) / 1e6, 1) == millions
    found = sum(multiply_adds(net, IMAGE).values())
    assert found / 1e6 == pytest.approx(multiply_adds_millions, abs=1)


@pytest.mark.parametrize(("side", "millions"), [(192, 418), (160, 290), (128, 186)])
def test_smaller_images_cost_what_table_7_prints(side, millions):
    found = sum(multiply_adds(cnnjax.create("mobilenet"), (side, side, 3)).values())
    assert found / 1e6 == pytest.approx(millions, abs=1)


def test_nearly_all_of_the_work_is_in_1_by_1_convolutions_as_table_2_prints():
    # Percent of the multiply-adds and of the parameters, by type of layer. The paper prints
    # 1.19 for the 1.91 of the full convolution, and with it the column adds up to 99.3.
    printed = {
        "1 x 1": (94.86, 74.59),
        "depthwise": (3.06, 1.06),
        "full": (1.91, 0.02),
        "fully connected": (0.18, 24.33),
    }
    net = cnnjax.create("mobilenet")
    work = sum(multiply_adds(net, IMAGE).values())
    kernels = dict.fromkeys(printed, 0)
    times = dict.fromkeys(printed, 0)
    image = jax.ShapeDtypeStruct((1, *IMAGE), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), image)["params"]
    sides = dict(zip(net.stages, [112, 112, *[56] * 2, *[28] * 2, *[14] * 6, 7, 7, 1], strict=True))
    for stage, layers in params.items():
        parts = {"": layers} if stage in ("conv1", "fc") else layers
        for part, layer in parts.items():
            size = layer.get("conv", layer)["kernel"].size
            kind = {"depthwise": "depthwise", "pointwise": "1 x 1"}.get(
                part, "full" if stage == "conv1" else "fully connected"
            )
            kernels[kind] += size
            times[kind] += size * sides[stage] ** 2
    assert sum(times.values()) == work
    for kind, (percent_of_work, percent_of_parameters) in printed.items():
        assert 100 * times[kind] / work == pytest.approx(percent_of_work, abs=0.02), kind
        share = 100 * kernels[kind] / sum(kernels.values())
        assert share == pytest.approx(percent_of_parameters, abs=0.02), kind


def test_a_width_without_maps_is_an_error():
    with pytest.raises(cnnjax.CnnjaxError, match=r"alpha is 0\.01; give one that leaves"):
        _ = cnnjax.create("mobilenet", alpha=0.01).stages


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "efficientnet_b0"])
def test_an_unknown_variant_is_an_error_that_names_those_there_are(name):
    with pytest.raises(cnnjax.CnnjaxError, match=r"no variant 'kears'; its variants are .*keras"):
        _ = cnnjax.create(name, variant="kears").stages


def test_the_keras_form_pads_at_the_end_only_and_says_so_where_nothing_is_left():
    # 17 -> 9 -> 4 -> 2 -> 1 pixels, and one more halving of one pixel.
    with pytest.raises(cnnjax.CnnjaxError, match=r"stage conv13 .* does not fit on 1 pixels"):
        jax.eval_shape(
            cnnjax.create("mobilenet").init, jax.random.key(0), jnp.zeros((1, 17, 17, 3))
        )
    timm = cnnjax.create("mobilenet", variant="timm")
    jax.eval_shape(timm.init, jax.random.key(0), jnp.zeros((1, 17, 17, 3)))


def test_weights_begin_as_in_the_authors_code():
    # A Gaussian of deviation 0.09, cut at two deviations: 0.0792 is left.
    net = cnnjax.create("mobilenet", num_classes=300)
    layers = net.layers()
    x = jnp.zeros((1, 4, 4, 256))
    conv6, fc = (
        jax.jit(partial(layers[stage].init, train=False))(jax.random.key(0), x)["params"]
        for stage in ("conv6", "fc")
    )
    kernels = [conv6[part]["conv"]["kernel"] for part in ("depthwise", "pointwise")]
    for kernel in (*kernels, fc["kernel"]):
        assert np.std(kernel) == pytest.approx(0.8796 * 0.09, rel=0.03)
        assert np.abs(kernel).max() <= 0.18
    assert kernels[0].shape == (3, 3, 1, 256)
    assert not fc["bias"].any()
    for part in conv6.values():
        assert (part["norm"]["scale"] == 1).all()
        assert not part["norm"]["bias"].any()


def test_every_layer_is_normalised_with_the_constants_of_its_source():
    for variant, constants in {"keras": (0.99, 1e-3), "timm": (0.9, 1e-5)}.items():
        layers = cnnjax.create("mobilenet", variant=variant).layers()
        norms = [layer for stage, layer in layers.items() if stage != "fc"]
        assert {(layer.momentum, layer.epsilon) for layer in norms} == {constants}


def test_dropout_is_keras():
    assert cnnjax.create("mobilenet").layers()["fc"].dropout == 0.001


@pytest.mark.slow
def test_timm_computes_the_same_stage_by_stage(golden):
    other, net = golden("timm_mobilenetv1_100"), cnnjax.create("mobilenet", variant="timm")
    assert other.parameters == parameters(net)
    other.check_stages(net, other.variables(net, timm_name), timm_modules(net))


@pytest.mark.slow
def test_timm_trains_with_the_same_loss_and_gradients(golden):
    other = golden("timm_mobilenetv1_100")
    net = cnnjax.create("mobilenet", variant="timm", dropout=0.0)
    other.check_training(net, other.variables(net, timm_name), timm_name)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "image"), [(1.0, IMAGE), (0.5, (60, 97, 3)), (0.25, IMAGE)])
def test_keras_computes_the_same_stage_by_stage(transplant_keras, alpha, image):
    import keras

    other = keras.applications.MobileNet(
        input_shape=image, alpha=alpha, weights=None, classifier_activation=None
    )
    net = cnnjax.create("mobilenet", alpha=alpha)
    variables = transplant_keras(net, other, image, keras_name)
    names = ["conv1_relu", *(f"conv_pw_{i}_relu" for i in range(1, 14)), other.layers[-1].name]
    maps = keras.Model(other.inputs[0], [other.get_layer(name).output for name in names])
    x = np.random.default_rng(1).standard_normal((1, *image)).astype(np.float32)
    for stage, expected in zip(net.stages, maps(x), strict=True):
        found = net.apply(variables, x, start=stage, stop=stage)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=stage)
        x = expected
    norms = [layer for layer in other.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.99, 1e-3)}
