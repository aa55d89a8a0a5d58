"""The ledger against the lectures' own figures, and for every network without its weights."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models import NETWORKS, ConvStack
from cnnjax.models.ledger import arithmetic, ledger
from cnnjax.models.residuals import kept_for_backward
from cnnjax.models.trace import multiply_adds, trace


def counted(name, image=None, **arguments):
    return ledger(cnnjax.create(name, **arguments), image or NETWORKS[name].image)


def column(found, name):
    return [getattr(row, name) for row in found.rows]


@pytest.fixture(scope="module")
def lenet5():
    return counted("lenet5")


@pytest.fixture(scope="module")
def alexnet():
    return counted("alexnet")


def test_lenet5_is_counted_as_lecture_2_counts_it(lenet5):
    assert column(lenet5, "arithmetic") == [
        "6·(5·5·1+1)",
        "16·(5·5·6+1)",
        "120·(400+1)",
        "84·(120+1)",
        "10·(84+1)",
    ]
    assert column(lenet5, "parameters") == [156, 2416, 48120, 10164, 850]
    assert lenet5.total("parameters") == 61_706 < 1200 * 1200
    # 28 and 14, then 10 and 5 pixels: c3 has stride 1, not 2 as the slide prints.
    assert [lenet5["c1"].maps, lenet5["c1"].output] == [(28, 28, 6), (14, 14, 6)]
    assert [lenet5["c3"].maps, lenet5["c3"].output] == [(10, 10, 16), (5, 5, 16)]
    assert column(lenet5, "multiply_adds") == [
        28 * 28 * 6 * 25,
        10 * 10 * 16 * 150,
        48000,
        10080,
        840,
    ]


def test_alexnet_has_lecture_5s_rows_with_the_biases_it_leaves_out(alexnet):
    convolutions = [34_944, 614_656, 885_120, 1_327_488, 884_992]
    printed = [37_748_736, 16_777_216, 4_096_000]
    assert column(alexnet, "parameters")[:5] == convolutions
    assert column(alexnet, "weights")[5:] == printed
    assert sum(convolutions + printed) == 62_369_152  # as the slide
    assert alexnet.total("parameters") == 62_378_344
    maps = [row.maps for row in alexnet.rows[:5]]
    assert [m[0] for m in maps] == [55, 27, 13, 13, 13]
    assert [row.output[0] for row in alexnet.rows[:5]] == [27, 13, 13, 13, 6]


def test_alexnets_parameters_are_in_its_fully_connected_layers(alexnet):
    total = alexnet.total("parameters")
    assert alexnet.total("convolutional") == 3_747_200
    assert alexnet.total("dense") == 58_631_144
    assert round(100 * alexnet.total("convolutional") / total) == 6
    assert round(100 * alexnet.total("dense") / total) == 94


def test_alexnets_two_huge_layers_take_a_fifth_of_the_gigabyte_on_the_slide(alexnet):
    huge = alexnet["fc6"].parameter_bytes + alexnet["fc7"].parameter_bytes
    assert huge == 4 * (37_752_832 + 16_781_312)
    assert huge / 1e9 == pytest.approx(0.218, abs=0.001)


def test_alexnets_sixty_million_are_the_form_on_two_gpus(alexnet):
    # Each of conv2, conv4 and conv5 sees half of the maps there (paper, section 3.2).
    halves = [alexnet[stage].weights // 2 for stage in ("conv2", "conv4", "conv5")]
    assert alexnet.total("parameters") - sum(halves) == 60_965_224


def test_the_bottleneck_of_lecture_3_takes_a_tenth_of_the_multiply_adds():
    shared = {"padding": "same", "use_bias": False, "num_classes": 0}
    direct = counted("conv_stack", (28, 28, 192), kernels=(5,), features=32, **shared)
    bottleneck = counted("conv_stack", (28, 28, 192), kernels=(1, 5), features=(16, 32), **shared)
    assert direct.total("multiply_adds") == 120_422_400
    assert column(bottleneck, "multiply_adds") == [2_408_448, 10_035_200]
    assert bottleneck.total("multiply_adds") == 12_443_648
    assert (direct.total("weights"), bottleneck.total("weights")) == (153_600, 15_872)
    assert direct.rows[-1].output == bottleneck.rows[-1].output == (28, 28, 32)


def test_a_stack_of_small_kernels_has_the_weights_and_maps_of_lecture_5():
    plain = {"features": 1, "use_bias": False, "num_classes": 0}
    three, seven = (counted("conv_stack", kernels=k, **plain) for k in ((3, 3, 3), (7,)))
    assert (three.total("parameters"), seven.total("parameters")) == (27, 49)
    assert column(three, "output") == [(7, 7, 1), (5, 5, 1), (3, 3, 1)]
    assert column(seven, "output") == [(3, 3, 1)]
    assert three.rows[-1].field.size == seven.rows[-1].field.size == (7, 7)


@pytest.mark.parametrize("name", cnnjax.list_models())
def test_every_network_has_a_ledger_whose_arithmetic_adds_up(name):
    found = counted(name)
    assert column(found, "stage") == list(cnnjax.create(name).stages)
    for row in found.rows:
        shown, more_terms, _ = row.arithmetic.replace("·", "*").partition(" + …")
        assert eval(shown) < row.parameters if more_terms else eval(shown) == row.parameters
        assert row.convolutional + row.dense <= row.parameters
        assert row.parameter_bytes == 4 * row.parameters
        assert row.kept_bytes > 0
    assert found.rows[-1].field.whole
    assert dict(zip(column(found, "stage"), column(found, "multiply_adds"), strict=True)) == (
        multiply_adds(cnnjax.create(name), NETWORKS[name].image)
    )


def test_every_registered_network_has_the_images_of_its_paper():
    for name in cnnjax.list_models():
        height, width, channels = NETWORKS[name].image
        assert height == width, name
        assert channels in (1, 3), name


def test_running_statistics_are_no_parameters():
    row = counted("vgg11_bn", (32, 32, 3)).rows[0]
    assert row.arithmetic == "64·(3·3·3+1) + 2·64"
    assert (row.parameters, row.statistics) == (64 * 28 + 128, 128)
    assert row.convolutional == 64 * 28


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([], "0"),
        ([{"kernel": (3, 3, 1, 8)}], "8·3·3·1"),
        ([{"scale": (8,)}], "8"),
        ([{"kernel": (2, 3), "bias": (3,), "gate": ()}], "2·3 + 3 + 1"),
        ([{"scale": (4,), "bias": (4,)}, {"kernel": (4, 3)}] * 2, "2·(2·4) + 2·(3·4)"),
        (
            [{"kernel": (i, 2)} for i in range(1, 7)],
            "2·1 + 2·2 + 2·3 + … (3 terms more)",
        ),
    ],
)
def test_arithmetic_is_written_like_the_lectures(layers, text):
    assert arithmetic(layers) == text


def test_half_precision_halves_what_is_kept_and_not_the_parameters():
    full, half = (
        counted("conv_stack", dtype=dtype, num_classes=0) for dtype in (jnp.float32, jnp.bfloat16)
    )
    assert half.total("parameter_bytes") == full.total("parameter_bytes")
    assert half["conv2"].kept_bytes < full["conv2"].kept_bytes


def kept(network, image):
    return kept_for_backward(network, trace(network, image))


def test_what_is_kept_is_what_each_layer_of_the_backward_pass_reads():
    small = cnnjax.create("alexnet_small", dropout=0.5)
    found = kept(small, (20, 20, 1))
    assert found["conv1"] == 4 * 20 * 20 + 20 * 20 * 12 * (1 + 4)  # image, signs, input of pooling
    assert found["conv3"] == 4 * 4 * 4 * 32 + 4 * 4 * 48  # input and signs
    assert found["fc6"] == 4 * 32 + 128  # input and signs
    # Of fc7 the mask of dropout, what is left after it, and the signs.
    assert found["fc7"] == 128 + 4 * 128 + 128


def test_what_two_stages_need_is_counted_once():
    net = ConvStack(kernels=(3, 3), features=2, activation=jnp.exp, num_classes=0)
    # The derivative of exp is its output, which is also what the next layer needs.
    assert kept(net, (9, 9, 1)) == {"conv1": 4 * (81 + 98), "conv2": 4 * 50}


@pytest.mark.parametrize("name", ["lenet5", "alexnet_small", "mlp"])
def test_the_stages_keep_together_what_the_whole_network_keeps(name):
    net, image = cnnjax.create(name), NETWORKS[name].image
    x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), x)["params"]

    def kept_whole(params, x):
        pull = jax.vjp(lambda p, x: net.apply({"params": p}, x, train=True), params, x)[1]
        return jax.tree.leaves(pull)

    jaxpr = jax.make_jaxpr(kept_whole)(params, x).jaxpr
    weights = set(jaxpr.invars[:-1])
    arrays = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)} - weights
    # Zeros that depend on nothing are no memory of the image.
    made_here = {v for e in jaxpr.eqns if e.primitive.name == "broadcast_in_dim" for v in e.outvars}
    whole = sum(
        math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in arrays if v not in made_here
    )
    assert sum(kept(net, image).values()) == whole


def test_no_weight_is_allocated():
    code = """
import resource, cnnjax
from cnnjax.models.ledger import ledger
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
ledger(cnnjax.create("vgg11"), (32, 32, 3))
before = peak()
assert ledger(cnnjax.create("vgg19"), (224, 224, 3)).total("parameter_bytes") > 548 * 2**20
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60  # MiB; the weights would take 548


def test_images_that_do_not_fit_are_refused_with_the_size_that_does():
    with pytest.raises(CnnjaxError, match="smallest square image it takes is 32 x 32"):
        counted("vgg11", (20, 20, 3))
