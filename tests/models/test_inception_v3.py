"""Inception v3 against the paper's table 1, torchvision's and Keras' counts and Keras' values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.inception_v3 import BLOCKS
from cnnjax.models.ledger import ledger
from cnnjax.pretrained.inception_v3 import keras_name, torchvision_modules, torchvision_name

# Table 1: window, stride and input of each row; its modules in the order of its rows.
TABLE_1 = {
    "conv_1a": ((3, 3), 2, (299, 299, 3)),
    "conv_2a": ((3, 3), 1, (149, 149, 32)),
    "conv_2b": ((3, 3), 1, (147, 147, 32)),  # "conv padded", and the pooling that follows
    "conv_3b": ((3, 3), 1, (73, 73, 64)),
    "conv_4a": ((3, 3), 2, (71, 71, 80)),
    "mixed_5c": (None, None, (35, 35, 288)),  # 3 x, of figure 5
    "mixed_6b": (None, None, (17, 17, 768)),  # 5 x, of figure 6
    "mixed_7b": (None, None, (8, 8, 1280)),  # 2 x, of figure 7
    "linear": (None, None, (8, 8, 2048)),
}
# What the released network has in these places: 1 x 1 filters in front of 3 x 3 ones that leave
# the halving to a pooling, and 256 channels in front of the second module.
RELEASED = {
    "conv_3b": ((1, 1), 1, (73, 73, 64)),
    "conv_4a": ((3, 3), 1, (73, 73, 80)),
    "mixed_5c": (None, None, (35, 35, 256)),
}


def shapes(net, image):
    return jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *image)))["params"]


@pytest.fixture(scope="module")
def params():
    net = cnnjax.create("inception_v3")
    return shapes(net, net.image)


@pytest.fixture(scope="module")
def rows():
    return ledger(cnnjax.create("inception_v3"), (299, 299, 3)).rows


def test_the_stages_take_the_maps_of_table_1_or_of_the_released_network(rows):
    layers = cnnjax.create("inception_v3").layers()
    inputs = dict(zip(layers, [(299, 299, 3), *(row.output for row in rows)], strict=False))
    for stage, expected in (TABLE_1 | RELEASED).items():
        layer = layers[stage]
        window = (layer.kernel, layer.kernel) if stage.startswith("conv") else None
        stride = layer.stride if window else None
        assert (window, stride, inputs[stage]) == expected, stage
    numbers = {
        figure: sum(s.startswith(figure) for s in layers)
        for figure in ["mixed_5", "mixed_6", "mixed_7"]
    }
    assert numbers == {"mixed_5": 3, "mixed_6": 1 + 4, "mixed_7": 1 + 2}


def test_the_multiply_adds_are_torchvisions(rows):
    found = sum(row.multiply_adds for row in rows)
    assert found / 1e9 == pytest.approx(5.713, rel=1e-3)  # its metadata, 0.29.2


def test_every_module_has_the_branches_of_its_figure(params):
    def windows(stage):
        """{branch: windows of its layers in order}, the branches by the names' first parts."""
        found = {}
        for name in sorted(params[stage].keys() - {"auxiliary"}):
            kernel = params[stage][name]["conv"]["kernel"].shape
            found.setdefault(name.partition("_")[0], []).append(kernel[:2])
        return found

    one, three, row, column = (1, 1), (3, 3), (1, 7), (7, 1)
    assert windows("mixed_5d") == {
        "branch1x1": [one],
        "branch5x5": [one, (5, 5)],
        "branch3x3dbl": [one, three, three],
        "branch": [one],
    }
    assert windows("mixed_6a") == {"branch3x3": [three], "branch3x3dbl": [one, three, three]}
    for stage in ("mixed_6b", "mixed_6e"):
        assert windows(stage) == {
            "branch1x1": [one],
            "branch7x7": [one, row, column],
            "branch7x7dbl": [one, column, row, column, row],
            "branch": [one],
        }
    assert windows("mixed_7a") == {
        "branch3x3": [one, three],
        "branch7x7x3": [one, row, column, three],
    }
    assert windows("mixed_7c") == {
        "branch1x1": [one],
        "branch3x3": [one, (1, 3), (3, 1)],
        "branch3x3dbl": [one, three, (1, 3), (3, 1)],
        "branch": [one],
    }


def test_the_auxiliary_head_is_figure_8s_on_the_last_17_x_17_maps(params):
    head = params["mixed_6e"]["auxiliary"]
    assert head["conv0"]["conv"]["kernel"].shape == (1, 1, 768, 128)
    assert head["conv1"]["conv"]["kernel"].shape == (5, 5, 128, 768)
    assert head["fc"]["kernel"].shape == (768, 1000)
    assert [stage for stage, group in params.items() if "auxiliary" in group] == ["mixed_6e"]
    # The authors' code: tensorflow/models, inception_model.py, weight=0.4 of the "aux_loss".
    assert cnnjax.create("inception_v3").auxiliary_weight == 0.4


def test_the_variants_differ_in_batch_norm_padding_dropout_and_first_weights():
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 64)) + 1
    for variant, kept, sd in (("torchvision", 0.9, 0.1), ("keras", 0.99, (2 / 128) ** 0.5)):
        net = cnnjax.create("inception_v3", variant=variant)
        assert net.layers()["linear"].dropout == {"torchvision": 0.5, "keras": 0.0}[variant]
        assert net.clone(dropout=0.1).layers()["linear"].dropout == 0.1
        module = net.layers()["mixed_5c"]
        layer = module.conv(64, 1)
        variables = jax.jit(layer.init, static_argnames="train")(jax.random.key(1), x, train=False)
        params = variables["params"]
        assert ("scale" in params["norm"]) == (variant == "torchvision")
        assert np.std(params["conv"]["kernel"]) == pytest.approx(sd, rel=0.05)
        _, moved = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        mean = (x @ params["conv"]["kernel"][0, 0]).mean((0, 1, 2))
        found = moved["batch_stats"]["norm"]["mean"]
        np.testing.assert_allclose(found, (1 - kept) * mean, rtol=1e-3, atol=1e-6)
        # Of the window around a corner 4 of 9 pixels lie in the image.
        corner = x[:, :2, :2].mean((1, 2)) * (4 / 9 if variant == "torchvision" else 1)
        np.testing.assert_allclose(module.average(x)[:, 0, 0], corner, rtol=1e-5, atol=1e-6)


def test_the_auxiliary_head_begins_with_smaller_weights_as_in_torchvision():
    head = cnnjax.create("inception_v3", num_classes=50).layers()["mixed_6e"].auxiliary()
    x = jnp.zeros((1, 17, 17, 4))
    init = jax.jit(head.init, static_argnames="train")
    params = init(jax.random.key(0), x, train=False)["params"]
    assert np.std(params["conv0"]["conv"]["kernel"]) == pytest.approx(0.1, rel=0.1)
    assert np.std(params["conv1"]["conv"]["kernel"]) == pytest.approx(0.01, rel=0.02)
    assert np.std(params["fc"]["kernel"]) == pytest.approx(0.001, rel=0.02)


@pytest.mark.slow
def test_images_begin_at_75_pixels_and_for_the_auxiliary_head_at_299():
    net = cnnjax.create("inception_v3", auxiliary=False)
    assert shapes(net, (75, 75, 1))
    with pytest.raises(cnnjax.CnnjaxError, match="window of 3 does not fit on 2 pixels"):
        shapes(net, (74, 76, 3))
    head = cnnjax.create("inception_v3").layers()["mixed_6e"].auxiliary()
    with pytest.raises(cnnjax.CnnjaxError) as error:
        head.init(jax.random.key(0), jnp.zeros((1, 17, 16, 4)), train=False)
    assert str(error.value) == (
        "the auxiliary head takes maps of 17 x 17 at least and these are 17 x 16; give images of "
        "299 x 299 at least, or auxiliary=False"
    )


def test_an_unknown_variant_is_told_which_there_are():
    with pytest.raises(cnnjax.CnnjaxError) as error:
        cnnjax.create("inception_v3", variant="kears").stages  # noqa: B018
    assert str(error.value) == (
        "InceptionV3 has no variant 'kears'; its variants are torchvision, keras; "
        "did you mean 'keras'?"
    )


@pytest.fixture(scope="module")
def torchvisions(golden):
    theirs = golden("inception_v3")
    net = cnnjax.create("inception_v3", dropout=0.0)
    return theirs, net, theirs.variables(net, torchvision_name)


@pytest.mark.slow
def test_torchvision_computes_the_same_stage_by_stage(torchvisions):
    theirs, net, variables = torchvisions
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == theirs.parameters
    theirs.check_stages(net, variables, torchvision_modules(net))


@pytest.mark.slow
def test_torchvision_trains_with_the_same_logits_in_both_heads_loss_and_gradients(torchvisions):
    theirs, net, variables = torchvisions
    heads = {"mixed_6e": "train_aux"}
    theirs.check_training(net, variables, torchvision_name, auxiliary=heads, chaotic=True)


@pytest.mark.slow
@pytest.mark.parametrize("image", [(99, 107, 3)])
def test_keras_computes_the_same_module_by_module(transplant_keras, image):
    import keras

    keras.utils.clear_session()
    model = keras.applications.InceptionV3(
        weights=None, input_shape=image, classes=7, classifier_activation=None
    )
    net = cnnjax.create("inception_v3", num_classes=7, variant="keras", auxiliary=False)
    variables = transplant_keras(net, model, image, keras_name(net))
    images = np.random.default_rng(1).standard_normal((2, *image)).astype(np.float32)
    stages = dict(zip(BLOCKS, (f"mixed{i}" for i in range(11)), strict=True))
    inner = keras.Model(
        model.inputs[0], [*(model.get_layer(name).output for name in stages.values()), model.output]
    )
    *expected, logits = inner(images)
    x = net.apply(variables, images, stop="conv_4a")
    for stage, theirs in zip(stages, expected, strict=True):
        x = net.apply(variables, x, start=stage, stop=stage)
        close(x, theirs, stage)
    close(net.apply(variables, x, start="linear"), logits, "logits")


def close(found, expected, what):
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=what)
