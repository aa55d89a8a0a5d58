"""The modules: one weight layer as the papers count them."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import Conv, Dense, constant, conv2d, local_response_norm, max_pool

KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (2, 9, 8, 3))


def shapes(variables):
    return jax.tree.map(jnp.shape, variables)


def test_a_convolution_has_a_kernel_and_a_bias_and_nothing_between():
    variables = Conv(8, kernel=(5, 3)).init(KEY, IMAGES, train=False)
    assert shapes(variables) == {"params": {"kernel": (5, 3, 3, 8), "bias": (8,)}}


def test_a_dense_layer_has_a_kernel_and_a_bias_and_flattens_images():
    variables = Dense(7).init(KEY, IMAGES, train=False)
    assert shapes(variables) == {"params": {"kernel": (216, 7), "bias": (7,)}}


@pytest.mark.parametrize("layer", [Conv(8, kernel=3, use_bias=False), Dense(7, use_bias=False)])
def test_a_layer_can_go_without_bias(layer):
    assert set(layer.init(KEY, IMAGES, train=False)["params"]) == {"kernel"}


def test_a_convolution_does_bias_activation_norm_pool_in_alexnet_s_order():
    pool = partial(max_pool, window=3, stride=2)
    layer = Conv(
        8,
        kernel=3,
        stride=1,
        padding=1,
        activation=nn.relu,
        norm=local_response_norm,
        pool=pool,
        bias_init=constant(0.3),
    )
    variables = layer.init(KEY, IMAGES, train=False)
    kernel = variables["params"]["kernel"]
    wanted = pool(local_response_norm(nn.relu(conv2d(IMAGES, kernel, 1, 1) + 0.3)))
    np.testing.assert_allclose(layer.apply(variables, IMAGES, train=True), wanted, rtol=1e-6)


def test_a_dense_layer_is_a_product_a_bias_and_an_activation():
    layer = Dense(7, activation=jnp.tanh, bias_init=constant(0.5))
    variables = layer.init(KEY, IMAGES, train=False)
    wanted = np.tanh(np.asarray(IMAGES).reshape(2, -1) @ variables["params"]["kernel"] + 0.5)
    got = layer.apply(variables, IMAGES, train=False)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_dropout_zeroes_inputs_at_its_rate_and_scales_the_others():
    layer, x = Dense(4, dropout=0.25, use_bias=False), jnp.ones((20_000, 4))
    eye = {"params": {"kernel": jnp.eye(4)}}
    y = np.asarray(layer.apply(eye, x, train=True, rngs={"dropout": KEY}))
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / 0.75], rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_dropout_acts_in_training_only_and_needs_no_key_otherwise():
    layer = Dense(4, dropout=0.5)
    variables = layer.init(KEY, IMAGES, train=False)
    plain = Dense(4).apply(variables, IMAGES, train=False)
    np.testing.assert_array_equal(layer.apply(variables, IMAGES, train=False), plain)


def test_without_dropout_the_output_of_a_layer_is_the_same_in_training():
    layer = Conv(4, kernel=3, activation=nn.relu)
    variables = layer.init(KEY, IMAGES, train=False)
    trained, tested = (layer.apply(variables, IMAGES, train=train) for train in (True, False))
    np.testing.assert_array_equal(trained, tested)


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_a_dropout_that_keeps_nothing_or_is_no_probability_is_refused(rate):
    with pytest.raises(CnnjaxError, match=r"give a probability in \[0, 1\)"):
        Dense(4, dropout=rate).init(KEY, IMAGES, train=False)


@pytest.mark.parametrize("make", [partial(Conv, 4, kernel=3), partial(Dense, 4)])
def test_computing_in_bfloat16_stores_float32(make):
    layer = make(dtype=jnp.bfloat16)
    variables = layer.init(KEY, IMAGES, train=False)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(variables))
    assert layer.apply(variables, IMAGES, train=False).dtype == jnp.bfloat16


def test_param_dtype_is_what_is_stored():
    variables = Conv(4, kernel=3, param_dtype=jnp.bfloat16).init(KEY, IMAGES, train=False)
    assert all(a.dtype == jnp.bfloat16 for a in jax.tree.leaves(variables))


def test_a_kernel_without_size_is_refused():
    with pytest.raises(CnnjaxError, match="kernel is 0"):
        Conv(4, kernel=0).init(KEY, IMAGES, train=False)


def test_a_convolution_in_groups_has_a_kernel_of_one_group_s_channels():
    variables = Conv(6, kernel=3, groups=3).init(KEY, IMAGES, train=False)
    assert shapes(variables) == {"params": {"kernel": (3, 3, 1, 6), "bias": (6,)}}


def test_each_group_of_a_convolution_sees_its_own_channels():
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)).astype(np.float32)
    layer = Conv(4, kernel=1, groups=2)
    params = layer.init(KEY, x, train=False)["params"]
    kernel = np.asarray(params["kernel"])[0, 0]  # [3, 4]: a 1 x 1 convolution is a product
    wanted = np.concatenate([x[..., :3] @ kernel[:, :2], x[..., 3:] @ kernel[:, 2:]], axis=-1)
    y = layer.apply({"params": params}, x, train=False)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("features", "groups"), [(6, 2), (4, 3), (6, 0)])
def test_groups_that_divide_not_both_channels_and_features_are_refused(features, groups):
    with pytest.raises(CnnjaxError) as error:
        Conv(features, kernel=1, groups=groups).init(KEY, IMAGES, train=False)
    assert str(error.value) == (
        f"3 channels and {features} features in {groups} groups; give a number of groups that "
        "divides both"
    )
