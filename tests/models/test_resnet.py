"""ResNet, ResNetV2 and ResNeXt against table 1 of their papers and published figures."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.layers import ConvNorm
from cnnjax.models.ledger import ledger
from cnnjax.models.receptive_field import fields_of
from cnnjax.models.resnet import BasicBlock, Bottleneck
from cnnjax.models.trace import count, trace

IMAGE = (224, 224, 3)
SIDES = {"conv2": 56, "conv3": 28, "conv4": 14, "conv5": 7}
# He et al. 2016 and Xie et al. 2017, table 1: the convolutions of a block, and how many blocks.
TABLE_1 = {
    "resnet18": {
        "conv2": ("3x3,64 3x3,64", 2),
        "conv3": ("3x3,128 3x3,128", 2),
        "conv4": ("3x3,256 3x3,256", 2),
        "conv5": ("3x3,512 3x3,512", 2),
    },
    "resnet34": {
        "conv2": ("3x3,64 3x3,64", 3),
        "conv3": ("3x3,128 3x3,128", 4),
        "conv4": ("3x3,256 3x3,256", 6),
        "conv5": ("3x3,512 3x3,512", 3),
    },
    "resnet50": {
        "conv2": ("1x1,64 3x3,64 1x1,256", 3),
        "conv3": ("1x1,128 3x3,128 1x1,512", 4),
        "conv4": ("1x1,256 3x3,256 1x1,1024", 6),
        "conv5": ("1x1,512 3x3,512 1x1,2048", 3),
    },
    "resnet101": {
        "conv2": ("1x1,64 3x3,64 1x1,256", 3),
        "conv3": ("1x1,128 3x3,128 1x1,512", 4),
        "conv4": ("1x1,256 3x3,256 1x1,1024", 23),
        "conv5": ("1x1,512 3x3,512 1x1,2048", 3),
    },
    "resnet152": {
        "conv2": ("1x1,64 3x3,64 1x1,256", 3),
        "conv3": ("1x1,128 3x3,128 1x1,512", 8),
        "conv4": ("1x1,256 3x3,256 1x1,1024", 36),
        "conv5": ("1x1,512 3x3,512 1x1,2048", 3),
    },
    "resnext50_32x4d": {
        "conv2": ("1x1,128 3x3,128 1x1,256", 3),
        "conv3": ("1x1,256 3x3,256 1x1,512", 4),
        "conv4": ("1x1,512 3x3,512 1x1,1024", 6),
        "conv5": ("1x1,1024 3x3,1024 1x1,2048", 3),
    },
}
# Multiply-adds in units of 1e9 (torchvision 0.29.2, `_ops` of the weights' metadata).
TORCHVISION = {
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "resnext50_32x4d": 4.23,
    "resnext101_32x8d": 16.414,
    "resnext101_64x4d": 15.46,
}
PAPER = {"resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8, "resnet101": 7.6, "resnet152": 11.3}
SLOW = ("resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d")


def deep_ones_slow(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


@cache
def traced(name, **arguments):
    return trace(cnnjax.create(name, **arguments), IMAGE)


def multiply_adds(name, **arguments):
    return sum(count(stage.jaxpr) for stage in traced(name, **arguments)) / 1e9


def written(params):
    """The convolutions of a block in the table's words, without the shortcut's."""
    kernels = [params[c]["conv"]["kernel"].shape for c in sorted(params) if c != "shortcut"]
    return " ".join(f"{height}x{width},{filters}" for height, width, _, filters in kernels)


@pytest.mark.parametrize("name", deep_ones_slow(TABLE_1))
def test_a_network_has_the_layers_of_table_1(name):
    first, *blocks, last = traced(name)
    assert first.variables["params"]["conv1"]["conv"]["kernel"].shape == (7, 7, 3, 64)
    assert (first.name, first.outputs.shape) == ("conv1", (1, 56, 56, 64))  # pooled from 112
    assert (last.name, last.outputs.shape) == ("fc", (1, 1000))
    weight_layers = 2
    expected = [
        (f"{group}_{number}", (1, SIDES[group], SIDES[group]), convolutions)
        for group, (convolutions, repeats) in TABLE_1[name].items()
        for number in range(1, repeats + 1)
    ]
    for block, (stage, maps, convolutions) in zip(blocks, expected, strict=True):
        params = block.variables["params"][stage]
        assert (block.name, written(params)) == (stage, convolutions)
        assert block.outputs.shape == (*maps, int(convolutions.split(",")[-1]))
        weight_layers += len(convolutions.split())
        grows = stage.endswith("_1") and (stage != "conv2_1" or "1x1" in convolutions)
        assert ("shortcut" in params) == grows, "projections only where the shape changes"
    assert name.startswith(("resnet" + str(weight_layers), "resnext" + str(weight_layers)))


@pytest.mark.parametrize("name", deep_ones_slow(TORCHVISION))
def test_the_multiply_adds_are_torchvisions(name):
    assert multiply_adds(name) == pytest.approx(TORCHVISION[name], rel=1e-3)


@pytest.mark.parametrize("name", deep_ones_slow(PAPER))
def test_the_paper_prints_the_multiply_adds_of_its_form(name):
    # Table 1, last row. Without bottlenecks all forms have the same convolutions.
    form = {} if name in ("resnet18", "resnet34") else {"variant": "paper"}
    assert multiply_adds(name, **form) == pytest.approx(PAPER[name], abs=0.07)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("resnet50v2", 6.963),
        pytest.param("resnet101v2", 14.387, marks=pytest.mark.slow),
        pytest.param("resnet152v2", 21.811, marks=pytest.mark.slow),
    ],
)
def test_resnet_v2_has_the_published_operations(name, billions):
    # Araujo et al. 2019, "Computing receptive fields of convolutional neural networks": 224 x 224,
    # TF-Slim's network with its strides in the last units, two operations a multiply-add, no fc.
    body = traced(name)[:-1]
    found = 2 * sum(count(stage.jaxpr) for stage in body) / 1e9
    assert found == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "pixels", "strides"),
    [
        ("resnet50", {"variant": "paper"}, (35, 99, 291, 483), (4, 8, 16, 32)),
        ("resnet50", {}, (35, 91, 267, 427), (4, 8, 16, 32)),
        ("resnet50v2", {}, (35, 99, 291, 483), (8, 16, 32, 32)),
    ],
    ids=["paper", "torchvision", "v2"],
)
def test_the_receptive_fields_are_those_of_the_formula_and_of_the_published_table(
    name, arguments, pixels, strides
):
    # Araujo et al. 2019 print 35, 99, 291, 483 for both of TF-Slim's versions, with strides 8, 16,
    # 32, 32. The formula: 1 + sum (k - 1) times the stride so far.
    fields = fields_of(traced(name, **arguments), IMAGE)
    ends = [fields[stage] for stage in ("conv2_3", "conv3_4", "conv4_6", "conv5_3")]
    assert [field.size for field in ends] == [(n, n) for n in pixels]
    assert [field.stride for field in ends] == [(s, s) for s in strides]
    # Padding is the same on all sides, of even images too: the first unit looks at the corner.
    assert [field.start for field in ends] == [(-(n // 2), -(n // 2)) for n in pixels]
    size, step, by_formula = 1 + 6 + 2 * 2, 4, []  # after 7 x 7 / 2 and 3 x 3 / 2
    for repeats, stride in zip((3, 4, 6, 3), strides, strict=True):
        strided = repeats if name == "resnet50v2" else 1  # the number of the block that has it
        for number in range(1, repeats + 1):
            before = stride if arguments and number == strided else step  # in the first 1 x 1
            size += 2 * before
            step = stride if number == strided else step
        by_formula.append(size)
    assert tuple(by_formula) == pixels


def test_the_ledger_of_resnet18_counts_a_block_with_its_shortcut():
    found = ledger(cnnjax.create("resnet18"), IMAGE)
    assert found["conv2_1"].parameters == 2 * (9 * 64 * 64 + 2 * 64)
    convolutions = 9 * 64 * 128 + 9 * 128 * 128 + 64 * 128
    assert found["conv3_1"].parameters == convolutions + 3 * 2 * 128
    assert found["conv3_1"].statistics == 3 * 2 * 128
    assert found.total("parameters") == 11_689_512


def stage(name, place, **arguments):
    return cnnjax.create(name, **arguments).layers()[place]


@pytest.mark.parametrize(
    ("variant", "strides", "bias", "momentum", "epsilon"),
    [
        ("torchvision", (1, 2), False, 0.9, 1e-5),
        ("paper", (2, 1), False, 0.9, 1e-5),
        ("keras", (2, 1), True, 0.99, 1.001e-5),
    ],
)
def test_the_variants_of_resnet50_differ_in_strides_biases_and_batch_norm(
    variant, strides, bias, momentum, epsilon
):
    block = stage("resnet50", "conv3_1", variant=variant)
    assert block.strides == strides
    assert stage("resnet50", "conv3_2", variant=variant).strides == (1, 1)
    made = block.conv(1, 1)
    assert (made.use_bias, made.momentum, made.epsilon) == (bias, momentum, epsilon)


def test_resnet_v2_has_keras_batch_norm():
    layers = cnnjax.create("resnet50v2").layers()
    for name in ("conv2_1", "conv5_3"):
        for norm in (layers[name].norm(), layers[name].conv_norm(1, 1)):
            assert (norm.momentum, norm.epsilon) == (0.99, 1.001e-5)


def begin(layer, channels):
    images = jnp.zeros((1, 2, 2, channels))
    return jax.tree.map(np.asarray, layer.init(jax.random.key(0), images, train=False))["params"]


@pytest.mark.parametrize(
    ("name", "arguments", "fan"),
    [
        ("resnet18", {}, "out"),
        ("resnet50", {"variant": "paper"}, "in"),
        ("resnet50", {"variant": "keras"}, "in"),
        ("resnet50v2", {}, "in"),
        ("resnext50_32x4d", {}, "out"),
    ],
)
def test_kernels_begin_with_hes_variance_and_biases_at_zero(name, arguments, fan):
    layers = cnnjax.create(name, **arguments).layers()
    params = begin(layers["conv1"], 3)
    kernel = params.get("conv", params)["kernel"]
    assert kernel.shape == (7, 7, 3, 64)
    n = 49 * (64 if fan == "out" else 3)
    assert kernel.var() == pytest.approx(2 / n, rel=0.05)
    assert np.abs(kernel).max() > 3.4 * np.sqrt(2 / n)  # not truncated
    assert not params.get("conv", params).get("bias", np.zeros(1)).any()
    assert (params.get("norm", {}).get("scale", np.ones(1)) == 1).all()
    for stage in ("conv3_1", "conv5_2"):
        assert layers[stage].conv(1, 1).kernel_init is layers["conv1"].kernel_init


def test_the_head_begins_as_torchs_or_hes():
    head = begin(stage("resnet18", "fc"), 512)
    assert 0.99 / np.sqrt(512) < np.abs(head["kernel"]).max() <= 1 / np.sqrt(512)
    assert head["kernel"].var() == pytest.approx(1 / (3 * 512), rel=0.02)
    assert not head["bias"].any()
    head = begin(stage("resnet18", "fc", variant="paper"), 512)
    assert head["kernel"].var() == pytest.approx(2 / 512, rel=0.02)


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 64), ("resnet50", 256)])
def test_with_zero_init_a_block_begins_as_its_shortcut(name, channels):
    x = jax.random.normal(jax.random.key(1), (2, 3, 3, channels))
    block = stage(name, "conv2_2", zero_init=True)
    variables = block.init(jax.random.key(0), x, train=False)
    np.testing.assert_array_equal(block.apply(variables, x, train=False), jnp.maximum(x, 0))
    block = stage(name, "conv2_2")
    variables = block.init(jax.random.key(0), x, train=False)
    assert not jnp.array_equal(block.apply(variables, x, train=False), jnp.maximum(x, 0))


def test_a_block_alone_takes_the_type_of_its_convolutions():
    conv = partial(ConvNorm, momentum=0.9, epsilon=1e-5, dtype=jnp.bfloat16)
    x = jnp.ones((1, 3, 3, 8))
    for block in (BasicBlock(8, conv), Bottleneck(4, 8, conv), BasicBlock(12, conv, shortcut="A")):
        y, _ = jax.eval_shape(partial(block.init_with_output, train=False), jax.random.key(0), x)
        assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("name", "variant", "words"),
    [
        ("resnet18", "keras", "no variant 'keras'; its variants are torchvision, paper"),
        ("resnet50", "kears", "torchvision, paper, keras; did you mean 'keras'?"),
        ("resnext50_32x4d", "paper", "ResNeXt50x32x4d has no variant 'paper'; its variants are"),
    ],
)
def test_an_unknown_variant_is_an_error_that_lists_the_known(name, variant, words):
    with pytest.raises(CnnjaxError) as error:
        cnnjax.create(name, variant=variant).layers()
    assert words in str(error.value)
    assert "\n" not in str(error.value)
