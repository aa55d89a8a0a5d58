"""What the layers become on each kind of device: stock operations on GPU and TPU, and on the CPU
the spellings that XLA's library takes. Lowering for a device needs no such device."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cnnjax.layers import avg_pool, conv2d, max_pool

IMAGES, KERNELS = jnp.zeros((4, 12, 12, 24)), jnp.zeros((5, 5, 24, 64))
WEIGHTED = ("convolution", "dot_general", "select_and_scatter", "reduce_window", "maximum")


def ours(x, w):
    return jnp.sum(max_pool(conv2d(x, w, stride=1, padding=2), window=3, stride=2) ** 2)


def stock(x, w):
    y = lax.conv_general_dilated(
        x, w, (1, 1), ((2, 2), (2, 2)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.sum(nn.max_pool(y, (3, 3), strides=(2, 2)) ** 2)


def scanned(loss):
    return lambda x, w: lax.scan(lambda w, _: (jax.grad(loss, 1)(x, w), None), w, None, length=2)


USES = {
    "forward": lambda loss: loss,
    "gradients": lambda loss: jax.grad(loss, (0, 1)),
    "gradients over a vmap": lambda loss: (
        lambda x, w: jax.vmap(jax.grad(loss), (0, None))(x[None], w)
    ),
    "gradients in a scan": scanned,
}


def lowered(function, platform):
    return jax.jit(function).trace(IMAGES, KERNELS).lower(lowering_platforms=(platform,)).as_text()


def weighty(text):
    """The operations that cost time: how many of each, and the geometry of every convolution."""
    counts = {name: len(re.findall(rf"stablehlo\.{name}\b", text)) for name in WEIGHTED}
    return counts, sorted(re.findall(r"dim_numbers = .*?window = \{.*?\}", text))


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_accelerators_get_the_stock_operations_and_nothing_else(platform, use):
    assert weighty(lowered(use(ours), platform)) == weighty(lowered(use(stock), platform))


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_on_the_cpu_every_convolution_has_the_one_fast_spelling(use):
    text = lowered(use(ours), "cpu")
    convolutions = re.findall(r"stablehlo\.convolution.*", text)
    assert convolutions
    for line in convolutions:
        assert "dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
        assert "lhs_dilate = [1, 1]" in line
        assert "batch_group_count = 1" in line
        assert "feature_group_count = 1" in line


def test_on_the_cpu_pooling_scatters_nothing():
    text = lowered(jax.grad(ours, (0, 1)), "cpu")
    assert "select_and_scatter" not in text
    assert "reduce_window" not in text


# (kernels, settings): grouped, depthwise, dilated
GROUPED = {
    "grouped": ((3, 3, 6, 32), {"groups": 4}),
    "depthwise": ((3, 3, 1, 24), {"groups": 24, "stride": 2}),
    "dilated": ((3, 3, 24, 32), {"dilation": 2}),
}


def geometry(settings, shape):
    one = {"groups": 1, "stride": 1, "dilation": 1} | settings
    return {
        "window_strides": (one["stride"],) * 2,
        "padding": ((shape[0] // 2,) * 2,) * 2,
        "rhs_dilation": (one["dilation"],) * 2,
        "feature_group_count": one["groups"],
        "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
    }


def lowered_gradients(convolution, shape, platform):
    loss = lambda x, w: jnp.sum(convolution(x, w) ** 2)  # noqa: E731
    traced = jax.jit(jax.grad(loss, (0, 1))).trace(IMAGES, jnp.zeros(shape))
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(("shape", "settings"), GROUPED.values(), ids=GROUPED.keys())
def test_accelerators_get_the_stock_grouped_convolution(shape, settings, platform):
    ours = lowered_gradients(lambda x, w: conv2d(x, w, padding=1, **settings), shape, platform)
    stock = lowered_gradients(
        lambda x, w: lax.conv_general_dilated(x, w, **geometry(settings, shape)), shape, platform
    )
    assert weighty(ours) == weighty(stock)
    counts = [sorted(re.findall(r"feature_group_count = \d+", text)) for text in (ours, stock)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("shape", "settings"), GROUPED.values(), ids=GROUPED.keys())
def test_on_the_cpu_no_convolution_has_groups(shape, settings):
    text = lowered_gradients(lambda x, w: conv2d(x, w, padding=1, **settings), shape, "cpu")
    assert "lhs_dilate = [2" not in text
    for line in re.findall(r"stablehlo\.convolution.*", text):
        assert "batch_group_count = 1" in line
        assert "feature_group_count = 1 " in line
        assert "dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
    assert ("stablehlo.convolution" in text) == (settings.get("groups") != 24)


@pytest.mark.parametrize(("shape", "settings"), GROUPED.values(), ids=GROUPED.keys())
def test_the_last_form_of_a_convolution_is_the_textbooks_with_its_groups(shape, settings):
    jaxpr = jax.make_jaxpr(lambda x, w: conv2d(x, w, padding=1, **settings))(
        IMAGES, jnp.zeros(shape)
    )
    text = str(jaxpr)
    last = text[text.rindex("conv_general_dilated[") :]
    assert f"feature_group_count={settings.get('groups', 1)}" in last


@pytest.mark.parametrize("window", [2, 3])
def test_average_pooling_is_stock_on_accelerators_and_slices_where_windows_overlap_on_the_cpu(
    window,
):
    def ours(x):
        return jnp.sum(avg_pool(x, window, 2) ** 2)

    def stock(x):
        return jnp.sum(nn.avg_pool(x, (window, window), strides=(2, 2)) ** 2)

    texts = [
        jax.jit(jax.grad(f)).trace(IMAGES).lower(lowering_platforms=("cuda",)).as_text()
        for f in (ours, stock)
    ]
    assert weighty(texts[0]) == weighty(texts[1])
    on_cpu = jax.jit(jax.grad(ours)).trace(IMAGES).lower(lowering_platforms=("cpu",)).as_text()
    assert ("reduce_window" in on_cpu) == (window == 2)
