"""Maxout: the largest of a few affine maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import Maxout, gaussian, he_normal, leaky_relu, maxout, relu

KEY = jax.random.key(0)
INPUTS = jax.random.normal(jax.random.key(1), (6, 4))


def with_maps(w1, w2, b1=0.0, b2=0.0):
    """A unit of two pieces on one number."""
    variables = {"params": {"kernel": jnp.array([[w1, w2]]), "bias": jnp.array([b1, b2])}}
    layer = Maxout(1, pieces=2, kernel_init=he_normal)
    return lambda x: layer.apply(variables, x[:, None], train=False)[:, 0]


def test_a_unit_is_the_lecture_s_maximum_of_two_affine_maps():
    layer = Maxout(3, pieces=2, kernel_init=gaussian(1.0), bias_init=gaussian(1.0))
    variables = layer.init(KEY, INPUTS, train=False)
    kernel, bias = (np.asarray(variables["params"][name]) for name in ("kernel", "bias"))
    got = np.asarray(layer.apply(variables, INPUTS, train=False))
    for j in range(3):
        w1, w2 = kernel[:, 2 * j], kernel[:, 2 * j + 1]
        b1, b2 = bias[2 * j], bias[2 * j + 1]
        for i, x in enumerate(np.asarray(INPUTS)):
            assert got[i, j] == pytest.approx(max(w1 @ x + b1, w2 @ x + b2), rel=1e-5, abs=1e-6)


def test_of_more_pieces_the_largest_counts():
    z = jnp.array([[3.0, 9.0, 1.0, -4.0, -5.0, -6.0]])
    np.testing.assert_array_equal(maxout(z, pieces=3), [[9.0, -4.0]])
    np.testing.assert_array_equal(maxout(z, pieces=6), [[9.0]])
    np.testing.assert_array_equal(maxout(z, pieces=1), z)


def test_feature_maps_can_be_maxed_out_too():
    z = jax.random.normal(KEY, (2, 5, 5, 6))
    np.testing.assert_array_equal(maxout(z, 2), jnp.maximum(z[..., 0::2], z[..., 1::2]))


def test_relu_leaky_relu_and_the_absolute_value_are_maxout_units():
    x = jnp.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    np.testing.assert_array_equal(with_maps(0.0, 1.0)(x), relu(x))
    np.testing.assert_allclose(with_maps(0.1, 1.0)(x), leaky_relu(x), rtol=1e-6)
    np.testing.assert_array_equal(with_maps(-1.0, 1.0)(x), jnp.abs(x))


def test_the_derivative_is_that_of_the_largest_map_and_equals_share_it():
    slope = jax.vmap(jax.grad(lambda x: with_maps(0.5, 2.0)(x[None])[0]))
    np.testing.assert_allclose(slope(jnp.array([-1e4, -3.0, 3.0, 1e4])), [0.5, 0.5, 2.0, 2.0])
    np.testing.assert_allclose(slope(jnp.zeros(1)), [1.25])


def test_parameters_are_a_kernel_and_a_bias_and_images_are_flattened():
    images = jnp.ones((2, 3, 3, 2))
    layer = Maxout(5, pieces=3, kernel_init=he_normal)
    shapes = jax.tree.map(jnp.shape, layer.init(KEY, images, train=False))
    assert shapes == {"params": {"kernel": (18, 15), "bias": (15,)}}
    bare = Maxout(5, pieces=3, kernel_init=he_normal, use_bias=False)
    assert set(bare.init(KEY, images, train=False)["params"]) == {"kernel"}


def test_an_initialiser_sees_the_fan_in_of_one_piece():
    kernel = Maxout(100, 5, he_normal).init(KEY, jnp.ones((1, 400)), train=False)["params"][
        "kernel"
    ]
    assert float(kernel.var()) == pytest.approx(2 / 400, rel=0.02)


def test_the_mean_square_is_kept_by_a_variance_of_one_over_n_in_and_doubled_by_he_s():
    x = jax.random.normal(KEY, (256, 512))
    for kernel_init, factor in ((gaussian(512**-0.5), 1.0), (he_normal, 2.0)):
        layer = Maxout(512, pieces=2, kernel_init=kernel_init)
        y = layer.apply(layer.init(KEY, x, train=False), x, train=False)
        assert float(jnp.square(y).mean() / jnp.square(x).mean()) == pytest.approx(factor, rel=0.05)


def test_dropout_acts_on_the_inputs_in_training_only():
    layer = Maxout(1, pieces=2, kernel_init=he_normal, dropout=0.5)
    variables = {"params": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}}
    ones = jnp.ones((200, 1))
    np.testing.assert_array_equal(layer.apply(variables, ones, train=False), ones)
    trained = layer.apply(variables, ones, train=True, rngs={"dropout": KEY})
    assert set(np.unique(trained)) == {0.0, 2.0}


def test_computing_in_bfloat16_stores_float32():
    layer = Maxout(4, 2, he_normal, dtype=jnp.bfloat16)
    variables = layer.init(KEY, INPUTS, train=False)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(variables))
    assert layer.apply(variables, INPUTS, train=False).dtype == jnp.bfloat16


@pytest.mark.parametrize("pieces", [0, -1, 4])
def test_pieces_that_do_not_divide_the_last_axis_are_refused(pieces):
    with pytest.raises(CnnjaxError, match=rf"maxout over {pieces} pieces .* divides the last axis"):
        maxout(jnp.ones((2, 6)), pieces)


def test_a_unit_without_pieces_is_refused():
    with pytest.raises(CnnjaxError, match="pieces is 0; give an integer of at least 1"):
        Maxout(3, 0, he_normal).init(KEY, INPUTS, train=False)
