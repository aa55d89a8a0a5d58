"""GoogLeNet against the paper's table 1 and a plain reading of its figures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import cnnjax
from cnnjax.models.ledger import ledger
from cnnjax.models.trace import multiply_adds

# Table 1: what comes out, behind the pooling that follows if any; the number of layers; the six
# filter columns; "params" and "ops".
TABLE_1 = {
    "conv1": ((56, 56, 64), 1, None, 2.7, 34),
    "conv2": ((28, 28, 192), 2, (None, 64, 192, None, None, None), 112, 360),
    "inception_3a": ((28, 28, 256), 2, (64, 96, 128, 16, 32, 32), 159, 128),
    "inception_3b": ((14, 14, 480), 2, (128, 128, 192, 32, 96, 64), 380, 304),
    "inception_4a": ((14, 14, 512), 2, (192, 96, 208, 16, 48, 64), 364, 73),
    "inception_4b": ((14, 14, 512), 2, (160, 112, 224, 24, 64, 64), 437, 88),
    "inception_4c": ((14, 14, 512), 2, (128, 128, 256, 24, 64, 64), 463, 100),
    "inception_4d": ((14, 14, 528), 2, (112, 144, 288, 32, 64, 64), 580, 119),
    "inception_4e": ((7, 7, 832), 2, (256, 160, 320, 32, 128, 128), 840, 170),
    "inception_5a": ((7, 7, 832), 2, (256, 160, 320, 32, 128, 128), 1072, 54),
    "inception_5b": ((7, 7, 1024), 2, (384, 192, 384, 48, 128, 128), 1388, 71),
    "linear": ((1000,), 1, None, 1000, 1),
}
WRONG_PARAMS = {
    "conv1": 9.2,
    "inception_4a": 366.8,
    "inception_4c": 497.5,
    "inception_4d": 590.5,
    "inception_4e": 847,
    "inception_5a": 1018,
    "inception_5b": 1409,
}
WRONG_OPS = {"conv1": 118, "inception_5a": 51.1}
COLUMNS = ("conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "projection")


@pytest.fixture(scope="module")
def paper():
    net = cnnjax.create("googlenet", variant="paper", auxiliary=False)
    return ledger(net, (224, 224, 3)), shapes(net, (224, 224, 3))["params"]


def shapes(net, image):
    return jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *image)))


def test_the_paper_variant_has_the_maps_layers_and_filters_of_table_1(paper):
    found, params = paper
    assert {row.stage: row.output for row in found.rows} == {s: r[0] for s, r in TABLE_1.items()}
    for stage, (_, depth, filters, _, _) in TABLE_1.items():
        assert (2 if "reduce3x3" in params[stage] else 1) == depth
        if filters:
            branches = {name: params[stage].get(name) for name in COLUMNS}
            widths = [p and p["kernel"].shape[-1] for p in branches.values()]
            assert tuple(widths) == filters, stage
            windows = {name: p["kernel"].shape[:2] for name, p in branches.items() if p}
            assert windows == {
                n: {"conv3x3": (3, 3), "conv5x5": (5, 5)}.get(n, (1, 1)) for n in windows
            }
    assert sum(depth for _, depth, *_ in TABLE_1.values()) == 22  # section 5: "22 layers deep"


def test_the_weights_and_multiply_adds_are_table_1s_where_it_adds_up(paper):
    found, _ = paper
    for stage, (*_, params, ops) in TABLE_1.items():
        expected = pytest.approx(WRONG_PARAMS.get(stage, params), abs=1)
        assert found[stage].weights / 1024 == expected, stage
        expected = pytest.approx(WRONG_OPS.get(stage, ops), abs=1)
        assert found[stage].multiply_adds / 1e6 == expected, stage
    assert all(abs(TABLE_1[s][3] - right) > 1 for s, right in WRONG_PARAMS.items())
    # The figures of conv1 are those of a separable convolution: 8 maps of each colour, then 1 x 1.
    separable = 7 * 7 * 3 * 8 + 24 * 64
    assert (round(separable / 1000, 1), round(separable * 112 * 112 / 1e6)) == (2.7, 34)


def test_torchvisions_variant_takes_its_multiply_adds():
    found = multiply_adds(cnnjax.create("googlenet"), (224, 224, 3))
    assert sum(found.values()) / 1e9 == pytest.approx(1.498, rel=1e-3)  # its metadata, 0.29.2


def test_auxiliary_heads_have_section_5s_layers_on_4a_and_4d():
    params = shapes(cnnjax.create("googlenet", variant="paper"), (224, 224, 3))["params"]
    for stage, channels in (("inception_4a", 512), ("inception_4d", 528)):
        found = {name: p["kernel"].shape for name, p in params[stage].pop("auxiliary").items()}
        maps = 4 * 4 * 128
        assert found == {"conv": (1, 1, channels, 128), "fc1": (maps, 1024), "fc2": (1024, 1000)}
    assert not any("auxiliary" in group for group in params.values())
    assert cnnjax.create("googlenet").auxiliary_weight == 0.3
    features = shapes(cnnjax.create("googlenet", num_classes=0), (32, 32, 3))["params"]
    assert not any("auxiliary" in group for group in features.values())


def conv(x, p, padding=0, stride=1):
    pads = ((padding, padding),) * 2
    y = lax.conv_general_dilated(
        x, p["kernel"], (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return np.maximum(np.asarray(y) + p["bias"], 0)


def pool(x, stride=2, before=0):
    """3 x 3 maxima of the windows that begin inside of the image, with nothing behind its end."""
    rows, columns = (range(-before, n - 1, stride) for n in x.shape[1:3])
    return np.stack(
        [
            np.stack([x[:, max(i, 0) : i + 3, max(j, 0) : j + 3].max((1, 2)) for j in columns], 1)
            for i in rows
        ],
        1,
    )


def lrn(x):
    """Caffe's, with alpha divided by the 5 channels and k = 1."""
    squares = np.pad(x**2, ((0, 0),) * 3 + ((2, 2),))
    sums = sum(squares[..., i : i + x.shape[-1]] for i in range(5))
    return x / (1 + 1e-4 / 5 * sums) ** 0.75


def module(x, p):
    return np.concatenate(
        [
            conv(x, p["conv1x1"]),
            conv(conv(x, p["reduce3x3"]), p["conv3x3"], 1),
            conv(conv(x, p["reduce5x5"]), p["conv5x5"], 2),
            conv(pool(x, stride=1, before=1), p["projection"]),
        ],
        axis=-1,
    )


@pytest.mark.slow
def test_the_paper_variant_computes_figure_3(some_variables):
    image = (83, 81, 3)
    net = cnnjax.create("googlenet", num_classes=5, variant="paper", auxiliary_dropout=0.0)
    variables = some_variables(net, image)
    p = jax.tree.map(np.asarray, variables["params"])
    x = np.random.default_rng(1).normal(0, 100, (1, *image)).astype(np.float32)

    found = net.apply(variables, x, stop="conv2")
    y = lrn(pool(conv(x, p["conv1"], 3, stride=2)))
    y = pool(lrn(conv(conv(y, p["conv2"]["reduce3x3"]), p["conv2"]["conv3x3"], 1)))
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-4 * y.max())

    found, side = net.apply(
        variables, y, start="inception_3a", stop="inception_4a", train=True, mutable=["auxiliary"]
    )
    y = pool(module(module(y, p["inception_3a"]), p["inception_3b"]))
    y = module(y, p["inception_4a"])
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-4 * y.max())
    head = p["inception_4a"]["auxiliary"]
    mean = y[:, :5, :5].mean((1, 2), keepdims=True)
    assert y.shape[1:3] == (5, 5)
    hidden = conv(mean, head["conv"]).reshape(1, -1) @ head["fc1"]["kernel"] + head["fc1"]["bias"]
    logits = np.maximum(hidden, 0) @ head["fc2"]["kernel"] + head["fc2"]["bias"]
    found = side["auxiliary"]["inception_4a"]["logits"]
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())

    y = np.random.default_rng(2).uniform(0, 100, (1, 3, 4, 528)).astype(np.float32)
    found = net.apply(variables, y, start="inception_4e")
    y = pool(module(y, p["inception_4e"]))
    y = module(module(y, p["inception_5a"]), p["inception_5b"])
    logits = y.mean((1, 2)) @ p["linear"]["kernel"] + p["linear"]["bias"]
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())


def test_dropout_acts_on_the_averages_and_on_the_1024_units_of_the_heads():
    def rates(net):
        layers = net.layers()
        head = layers["inception_4a"].auxiliary
        return layers["linear"].dropout, head.keywords["dropout"]

    assert rates(cnnjax.create("googlenet")) == (0.2, 0.7)
    assert rates(cnnjax.create("googlenet", variant="paper")) == (0.4, 0.7)
    assert rates(cnnjax.create("googlenet", dropout=0.0, auxiliary_dropout=0.5)) == (0.0, 0.5)
    net = cnnjax.create("googlenet", variant="paper", num_classes=1)
    head = net.layers()["inception_4a"].auxiliary()
    ones = {"kernel": np.zeros((128, 1024), np.float32), "bias": np.ones(1024, np.float32)}
    params = {
        "conv": {"kernel": np.zeros((1, 1, 4, 128), np.float32), "bias": np.zeros(128, np.float32)},
        "fc1": ones,
        "fc2": {"kernel": np.eye(1024, 1, dtype=np.float32), "bias": np.zeros(1, np.float32)},
    }
    run = jax.vmap(
        lambda key: head.apply(
            {"params": params}, jnp.ones((1, 5, 5, 4)), train=True, rngs={"dropout": key}
        )
    )
    draws = run(jax.random.split(jax.random.key(0), 30))
    np.testing.assert_allclose(sorted(set(draws.ravel().tolist())), [0.0, 1 / 0.3], rtol=1e-5)


def test_running_statistics_move_by_a_tenth():
    layer = cnnjax.create("googlenet").layers()["inception_3a"].conv(8, 1)
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
    variables = layer.init(jax.random.key(1), x, train=False)
    _, moved = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    mean = (x @ variables["params"]["conv"]["kernel"][0, 0]).mean((0, 1, 2))
    found = moved["batch_stats"]["norm"]["mean"]
    np.testing.assert_allclose(found, 0.1 * mean, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("variant", "sd", "bias"), [("torchvision", 0.01, None), ("paper", (1 / 480) ** 0.5, 0.2)]
)
def test_weights_begin_with_the_variance_of_their_source(variant, sd, bias):
    net = cnnjax.create("googlenet", variant=variant, num_classes=7)
    stage = net.layers()["inception_4a"]
    init = jax.jit(stage.init, static_argnames="train")
    params = init(jax.random.key(0), jnp.zeros((1, 5, 5, 480)), train=False)["params"]
    layer = params["conv1x1"].get("conv", params["conv1x1"])
    assert np.std(layer["kernel"]) == pytest.approx(sd, rel=0.02)
    head = params["auxiliary"]
    units = head["fc1"]["kernel"].shape[0]
    sd = sd if variant == "torchvision" else units**-0.5
    assert np.std(head["fc1"]["kernel"]) == pytest.approx(sd, rel=0.02)
    if bias is not None:
        biases = [layer, params["projection"], head["conv"], head["fc1"]]
        assert all((p["bias"] == bias).all() for p in biases)
        widest = np.abs(layer["kernel"]).max()
        assert widest == pytest.approx((3 / 480) ** 0.5, rel=0.01)  # uniform
    assert not head["fc2"]["bias"].any()


@pytest.mark.slow
def test_images_begin_at_15_pixels_the_papers_at_31_and_for_auxiliary_heads_at_79():
    net = cnnjax.create("googlenet", auxiliary=False)
    assert shapes(net, (15, 15, 1))
    with pytest.raises(cnnjax.CnnjaxError, match="a window of 3 does not fit on 1 pixels"):
        shapes(net, (14, 16, 3))
    net = net.clone(variant="paper")
    assert shapes(net, (31, 31, 1))
    assert shapes(net.clone(auxiliary=True), (79, 79, 1))
    with pytest.raises(cnnjax.CnnjaxError, match="a window of 3 does not fit on 1 pixels"):
        shapes(net, (30, 32, 3))
    with pytest.raises(cnnjax.CnnjaxError) as error:
        shapes(net.clone(auxiliary=True), (78, 80, 3))
    assert str(error.value) == (
        "stage inception_4a of GoogLeNet: the auxiliary head averages 5 x 5 pixels and its maps "
        "are 4 x 5; give larger images, or auxiliary=False"
    )


def test_an_unknown_variant_is_told_which_there_are():
    with pytest.raises(cnnjax.CnnjaxError) as error:
        cnnjax.create("googlenet", variant="papers").stages  # noqa: B018
    assert str(error.value) == (
        "GoogLeNet has no variant 'papers'; its variants are torchvision, paper; "
        "did you mean 'paper'?"
    )
