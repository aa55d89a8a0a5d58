"""What the layers become on each kind of device: stock operations on GPU and TPU, and on the CPU
the spellings that XLA's library takes. Lowering for a device needs no such device."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cnnjax.layers import conv2d, max_pool

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
