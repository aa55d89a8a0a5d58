"""ConvNorm, SeparableConv and PoolDense, against NumPy."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import ConvNorm, PoolDense, SeparableConv, constant, max_pool

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 6, 4, 3)).astype(np.float32)
NORM = {"momentum": 0.9, "epsilon": 0.5}


def shapes(variables):
    return jax.tree.map(jnp.shape, variables)


def drawn(layer, x=X):
    """Variables with positive scales and variances that are not 1."""
    rng = np.random.default_rng(1)
    found = jax.eval_shape(partial(layer.init, train=False), KEY, x)
    return jax.tree.map(lambda a: rng.uniform(0.5, 1.5, a.shape).astype(a.dtype), found)


def test_conv_norm_has_a_convolution_without_bias_and_a_normalisation():
    found = shapes(jax.eval_shape(partial(ConvNorm(8, 3, **NORM).init, train=False), KEY, X))
    assert found == {
        "params": {"conv": {"kernel": (3, 3, 3, 8)}, "norm": {"scale": (8,), "bias": (8,)}},
        "batch_stats": {"norm": {"mean": (8,), "var": (8,)}},
    }


def test_conv_norm_normalises_then_activates_then_pools():
    pool = partial(max_pool, window=2, stride=2)
    layer = ConvNorm(5, 1, **NORM, activation=nn.relu, pool=pool, use_bias=True)
    variables = drawn(layer)
    variables["params"]["norm"]["bias"] -= 2.0  # so that ReLU has something to do
    conv, norm = variables["params"]["conv"], variables["params"]["norm"]
    stats = variables["batch_stats"]["norm"]
    y = X @ conv["kernel"][0, 0] + conv["bias"]  # a 1 x 1 convolution is a product
    y = (y - stats["mean"]) / np.sqrt(stats["var"] + 0.5) * norm["scale"] + norm["bias"]
    y = np.maximum(y, 0).reshape(2, 3, 2, 2, 2, 5).max(axis=(2, 4))
    assert (y == 0).any()
    assert (y > 0).any()
    found = layer.apply(variables, X, train=False)
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)


def test_conv_norm_takes_the_batch_s_statistics_in_training_and_moves_the_running_ones():
    layer = ConvNorm(5, 1, **NORM)
    variables = drawn(layer)
    y, moved = layer.apply(variables, X, train=True, mutable=["batch_stats"])
    norm = variables["params"]["norm"]
    z = X @ variables["params"]["conv"]["kernel"][0, 0]
    mean, var = z.mean((0, 1, 2)), z.var((0, 1, 2))
    wanted = (z - mean) / np.sqrt(var + 0.5) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    kept = variables["batch_stats"]["norm"]["mean"]
    running = moved["batch_stats"]["norm"]["mean"]
    np.testing.assert_allclose(running, 0.9 * kept + 0.1 * mean, rtol=1e-5)


def test_conv_norm_passes_on_its_geometry_and_its_initialisers():
    layer = ConvNorm(
        6,
        (3, 5),
        **NORM,
        stride=(2, 1),
        padding=((0, 1), (2, 2)),
        groups=3,
        kernel_init=constant(1.0),
        scale_init=constant(0.0),
    )
    y, variables = layer.init_with_output(KEY, X, train=False)
    assert variables["params"]["conv"]["kernel"].shape == (3, 5, 1, 6)
    assert (variables["params"]["conv"]["kernel"] == 1).all()
    assert y.shape == (2, 3, 4, 6)
    assert (y == 0).all()  # a block that ends with this begins as the identity


def test_conv_norm_can_go_without_a_scale():
    found = jax.eval_shape(
        partial(ConvNorm(8, 3, **NORM, use_scale=False).init, train=False), KEY, X
    )
    assert set(found["params"]["norm"]) == {"bias"}


def test_a_separable_convolution_has_two_kernels_and_no_bias():
    found = shapes(jax.eval_shape(partial(SeparableConv(8, (3, 2)).init, train=False), KEY, X))
    assert found == {
        "params": {"depthwise": {"kernel": (3, 2, 1, 3)}, "pointwise": {"kernel": (1, 1, 3, 8)}}
    }


def test_a_separable_convolution_goes_over_each_channel_then_over_the_channels():
    layer = SeparableConv(5, 3, stride=2, padding=1)
    variables = drawn(layer)
    deep, point = (variables["params"][name]["kernel"] for name in ("depthwise", "pointwise"))
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((2, 3, 2, 3))
    for i, j, u, v in np.ndindex(3, 2, 3, 3):
        y[:, i, j] += padded[:, 2 * i + u, 2 * j + v] * deep[u, v, 0]
    found = layer.apply(variables, X, train=False)
    np.testing.assert_allclose(found, y @ point[0, 0], rtol=1e-4, atol=1e-5)


def test_nothing_stands_between_the_two_convolutions():
    layer = SeparableConv(5, 3)
    variables = drawn(layer)
    y = layer.apply(variables, X, train=False)
    np.testing.assert_allclose(layer.apply(variables, -X, train=False), -y, rtol=1e-6)


def test_pool_dense_is_a_dense_layer_on_the_average_of_each_map():
    layer = PoolDense(7)
    variables = drawn(layer)
    assert shapes(variables) == {"params": {"kernel": (3, 7), "bias": (7,)}}
    params = variables["params"]
    wanted = X.mean(axis=(1, 2)) @ params["kernel"] + params["bias"]
    found = layer.apply(variables, X, train=False)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    averaged = layer.apply(variables, X.mean(axis=(1, 2)), train=False)
    np.testing.assert_allclose(averaged, wanted, rtol=1e-5, atol=1e-6)


def test_pool_dense_drops_averages_in_training_only():
    layer = PoolDense(4, dropout=0.25)
    variables = {"params": {"kernel": jnp.eye(4), "bias": jnp.zeros(4)}}
    x = jnp.ones((5_000, 2, 1, 4)).at[:, 0].set(3.0)  # averages of 2
    y = layer.apply(variables, x, train=True, rngs={"dropout": KEY})
    np.testing.assert_allclose(np.unique(y), [0.0, 2 / 0.75], rtol=1e-6)
    assert (np.asarray(y) == 0).mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(layer.apply(variables, x, train=False), jnp.full((5_000, 4), 2.0))


@pytest.mark.parametrize(
    "layer",
    [ConvNorm(8, 3, **NORM), SeparableConv(8, 3), PoolDense(8)],
    ids=lambda x: type(x).__name__,
)
def test_computing_in_bfloat16_stores_float32(layer):
    half = layer.clone(dtype=jnp.bfloat16)
    y, variables = jax.eval_shape(partial(half.init_with_output, train=False), KEY, X)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (ConvNorm(8, 1, **NORM, groups=2), "3 channels and 8 features in 2 groups; give a number"),
        (ConvNorm(8, 1, momentum=1.0, epsilon=1.0), r"momentum is 1.0; give one in \[0, 1\)"),
        (ConvNorm(8, 1, momentum=0.9, epsilon=0.0), "epsilon is 0.0; give a positive one"),
        (SeparableConv(8, 7), "a window of 7 does not fit on 6 pixels"),
        (SeparableConv(8, 0), "kernel is 0; give an integer of at least 1"),
        (PoolDense(8, dropout=1.0), r"dropout is 1.0; give a probability in \[0, 1\)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(layer, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        jax.eval_shape(partial(layer.init, train=False), KEY, X)
    assert "\n" not in str(error.value)
