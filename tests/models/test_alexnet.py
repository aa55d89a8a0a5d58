"""The forms of AlexNet: one tower, the paper's two halves, torchvision's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.models.ledger import ledger
from cnnjax.pretrained.alexnet import FORMS, MODULES, torchvision_name

# The first of figure 2's two towers holds the first half of the maps, the second the second.
MAPS = {"conv2": 96, "conv3": 256, "conv4": 384, "conv5": 384}


def test_grouped_halves_the_weights_and_operations_of_conv2_conv4_and_conv5():
    one, grouped = (
        ledger(cnnjax.create("alexnet", variant=variant), (227, 227, 3)).rows
        for variant in ("one_tower", "grouped")
    )
    shares = {
        a.stage: (b.weights / a.weights, b.multiply_adds / a.multiply_adds)
        for a, b in zip(one, grouped, strict=True)
    }
    halved = ("conv2", "conv4", "conv5")
    assert {s for s, share in shares.items() if share == (0.5, 0.5)} == set(halved)
    assert all(share == (1.0, 1.0) for s, share in shares.items() if s not in halved)


def test_the_maps_of_a_half_see_their_own_half_but_in_conv3():
    layers = cnnjax.create("alexnet", variant="grouped").layers()
    for stage, channels in MAPS.items():
        layer, half = layers[stage].clone(norm=None, pool=None), channels // 2
        groups = 1 if stage == "conv3" else 2
        kernel = jnp.ones((*[layer.kernel] * 2, channels // groups, layer.features))
        variables = {"params": {"kernel": kernel, "bias": jnp.zeros(layer.features)}}
        first = jnp.zeros((1, 3, 3, channels)).at[..., :half].set(1.0)
        # Two images: light in the maps of the first half only, and in those of the second only.
        y = layer.apply(variables, jnp.concatenate([first, 1 - first]), train=False)[:, 1, 1] > 0
        sees = np.asarray(y).reshape(2, 2, -1)  # image, half of the outputs, map
        expected = np.ones((2, 2)) if stage == "conv3" else np.eye(2)
        np.testing.assert_array_equal(sees.all(-1), expected, err_msg=stage)
        np.testing.assert_array_equal(sees.any(-1), expected, err_msg=stage)


def test_a_grouped_stage_is_two_convolutions_side_by_side():
    layer = cnnjax.create("alexnet", variant="grouped").layers()["conv2"].clone(norm=None)
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((2, 7, 7, 96), (5, 5, 48, 256))
    )
    bias = rng.standard_normal(256).astype(np.float32)
    y = layer.apply({"params": {"kernel": kernel, "bias": bias}}, x, train=False)

    def half(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), [(2, 2)] * 2, dimension_numbers=numbers)

    halves = [half(x[..., :48], kernel[..., :128]), half(x[..., 48:], kernel[..., 128:])]
    z = np.maximum(np.concatenate(halves, -1) + bias, 0)
    pooled = lax.reduce_window(z, -np.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
    np.testing.assert_allclose(y, pooled, rtol=1e-4, atol=1e-3)


def test_torchvisions_form_has_the_maps_of_one_weird_trick_and_the_published_operations():
    found = ledger(cnnjax.create("alexnet", variant="torchvision"), (224, 224, 3))
    assert {row.stage: (row.output, row.parameters) for row in found.rows} == {
        "conv1": ((27, 27, 64), 64 * (11 * 11 * 3 + 1)),
        "conv2": ((13, 13, 192), 192 * (5 * 5 * 64 + 1)),
        "conv3": ((13, 13, 384), 384 * (3 * 3 * 192 + 1)),
        "conv4": ((13, 13, 256), 256 * (3 * 3 * 384 + 1)),
        "conv5": ((6, 6, 256), 256 * (3 * 3 * 256 + 1)),
        "fc6": ((4096,), 4096 * (6 * 6 * 256 + 1)),
        "fc7": ((4096,), 4096 * 4097),
        "fc8": ((1000,), 1000 * 4097),
    }
    # torchvision 0.29.2, AlexNet_Weights.IMAGENET1K_V1 `_ops`, in 1e9
    assert found.total("multiply_adds") / 1e9 == pytest.approx(0.714, rel=1e-3)


@pytest.mark.parametrize("side", [63, 256])
def test_torchvisions_form_takes_images_of_any_size_with_the_same_weights(side):
    net = cnnjax.create("alexnet", variant="torchvision")
    x = jax.ShapeDtypeStruct((1, side, side + 20, 3), jnp.float32)
    y, variables = jax.eval_shape(net.init_with_output, jax.random.key(0), x)
    assert variables["params"]["fc6"]["kernel"].shape == (6 * 6 * 256, 4096)
    assert y.shape == (1, 1000)


def test_images_that_are_too_small_are_refused_with_the_size_that_is_needed():
    with pytest.raises(CnnjaxError, match="smallest square image it takes is 63 x 63"):
        check_takes(cnnjax.create("alexnet", variant="torchvision"), (62, 62, 3))


def test_dropout_is_where_the_variant_has_it():
    def rates(variant):
        layers = cnnjax.create("alexnet", variant=variant, dropout=0.3).layers()
        return {s for s, layer in layers.items() if getattr(layer, "dropout", 0.0) == 0.3}

    assert rates("one_tower") == rates("grouped") == {"fc7", "fc8"}  # the outputs of fc6 and fc7
    assert rates("torchvision") == {"fc6", "fc7"}


def test_torchvisions_form_normalises_nothing_and_the_papers_conv1_and_conv2():
    def normalised(variant):
        layers = cnnjax.create("alexnet", variant=variant).layers()
        return {stage for stage, layer in layers.items() if getattr(layer, "norm", None)}

    assert normalised("one_tower") == normalised("grouped") == {"conv1", "conv2"}
    assert normalised("torchvision") == set()


def test_torchvisions_form_begins_uniform_within_one_over_the_root_of_the_fan_in():
    layers = cnnjax.create("alexnet", variant="torchvision").layers()
    inputs = {"conv1": (363, 3), "conv2": (1600, 64), "fc8": (4096, 4096)}
    for stage, (fan_in, channels) in inputs.items():
        shape = (1, channels) if stage == "fc8" else (1, 11, 11, channels)
        layer = layers[stage] if stage == "fc8" else layers[stage].clone(pool=None)
        params = layer.init(jax.random.key(1), jnp.zeros(shape), train=False)["params"]
        bound = fan_in**-0.5
        for leaf, tolerance in (("kernel", 0.03), ("bias", 0.35)):
            values = np.asarray(params[leaf])
            assert np.abs(values).max() <= bound, (stage, leaf)
            assert values.var() == pytest.approx(1 / (3 * fan_in), rel=tolerance), (stage, leaf)
            assert abs(values.mean()) < 5 * values.std() / np.sqrt(values.size), (stage, leaf)


def test_every_bias_of_torchvisions_form_has_the_bound_of_its_own_fan_in():
    layers = cnnjax.create("alexnet", variant="torchvision").layers()
    fans = {
        "conv1": 363,
        "conv2": 1600,
        "conv3": 1728,
        "conv4": 3456,
        "conv5": 2304,
        "fc6": 9216,
        "fc7": 4096,
        "fc8": 4096,
    }
    for stage, fan_in in fans.items():
        many = np.asarray(layers[stage].bias_init(jax.random.key(0), (20_000,)))
        assert many.max() == pytest.approx(fan_in**-0.5, rel=1e-3), stage
        assert many.min() == pytest.approx(-(fan_in**-0.5), rel=1e-3), stage


def test_an_unknown_variant_is_refused():
    with pytest.raises(CnnjaxError) as error:
        cnnjax.create("alexnet", variant="group").stages  # noqa: B018
    assert str(error.value) == (
        "AlexNet has no variant 'group'; its variants are one_tower, grouped, torchvision; did you "
        "mean 'grouped'?"
    )


@pytest.mark.slow
def test_torchvision_computes_and_trains_the_same(golden):
    theirs = golden("alexnet")
    net = cnnjax.create("alexnet", variant="torchvision", dropout=0.0)
    variables = theirs.variables(net, torchvision_name, FORMS)
    theirs.check_stages(net, variables, MODULES)
    theirs.check_training(net, variables, torchvision_name, forms=FORMS)
