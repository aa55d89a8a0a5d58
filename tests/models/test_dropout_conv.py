"""The convolutional network of Srivastava et al. 2014, appendix B.2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.layers import Conv
from cnnjax.models.dropout_conv import (
    ALL_LAYERS,
    FULLY_CONNECTED,
    NO_DROPOUT,
    DropoutConvNet,
    DroppedConv,
)

SMALL = {"filters": (2, 3, 4), "units": 5}


def one_by_one() -> Conv:
    ones = jax.nn.initializers.ones
    return Conv(1, kernel=1, use_bias=False, kernel_init=ones)


def test_the_weights_and_the_maps_are_as_reckoned_by_hand():
    images = jnp.zeros((1, 32, 32, 3))
    network = DropoutConvNet()
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    sizes = {
        stage: sum(leaf.size for leaf in jax.tree.leaves(weights))
        for stage, weights in shapes["params"].items()
    }
    assert sizes == {
        "conv1": 5 * 5 * 3 * 96 + 96,
        "conv2": 5 * 5 * 96 * 128 + 128,
        "conv3": 5 * 5 * 128 * 256 + 256,
        "fc4": 4 * 4 * 256 * 2048 + 2048,
        "fc5": 2048 * 2048 + 2048,
        "fc6": 2048 * 10 + 10,
    }
    maps = [
        jax.eval_shape(lambda v, x, s=s: network.apply(v, x, stop=s), shapes, images).shape
        for s in ("conv1", "conv2", "conv3")
    ]
    assert maps == [(1, 16, 16, 96), (1, 8, 8, 128), (1, 4, 4, 256)]


def test_the_paper_keeps_nine_tenths_of_the_inputs_and_half_of_the_fully_connected_units():
    assert ALL_LAYERS == (0.9, 0.75, 0.75, 0.5, 0.5, 0.5)
    network = DropoutConvNet(keep=ALL_LAYERS)
    rates = [getattr(layer, "rate", None) for layer in network.layers().values()][:3]
    rates += [layer.dropout for layer in list(network.layers().values())[3:]]
    assert rates == [0.1, 0.25, 0.25, 0.5, 0.5, 0.5]


def test_a_convolution_s_input_is_dropped_number_by_number_and_scaled_up():
    layer = DroppedConv(one_by_one(), rate=0.25)
    x = jnp.full((20, 16, 16, 1), 3.0)
    variables = layer.init(jax.random.key(0), x, train=False)
    assert set(variables["params"]) == {"kernel"}  # of the convolution itself
    y = np.asarray(layer.apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)}))
    assert set(np.unique(y)) == {0.0, 4.0}
    assert abs((y == 0).mean() - 0.25) < 0.03
    assert (np.asarray(layer.apply(variables, x, train=False)) == 3.0).all()


@pytest.mark.slow
def test_without_training_the_dropout_makes_no_difference_and_in_training_it_does():
    x = jax.random.normal(jax.random.key(2), (3, 8, 8, 1))
    plain = DropoutConvNet(**SMALL)
    variables = plain.init(jax.random.key(0), x)
    expected = plain.apply(variables, x)
    for keep in (NO_DROPOUT, ALL_LAYERS):
        network = DropoutConvNet(**SMALL, keep=keep)
        np.testing.assert_array_equal(network.apply(variables, x), expected)
        drawn = network.apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})
        assert np.allclose(drawn, expected) == (keep == NO_DROPOUT)


def test_dropout_in_fully_connected_layers_leaves_the_convolutions_alone():
    x = jax.random.normal(jax.random.key(2), (3, 8, 8, 1))
    network = DropoutConvNet(**SMALL, keep=FULLY_CONNECTED)
    variables = network.init(jax.random.key(0), x)
    trained = network.apply(variables, x, train=True, stop="conv3")  # draws nothing
    np.testing.assert_array_equal(trained, network.apply(variables, x, stop="conv3"))


@pytest.mark.parametrize("wrong", [{"keep": (0.5,)}, {"keep": (0.0,) * 6}, {"filters": (8, 8)}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(CnnjaxError, match="three numbers of filters and six probabilities"):
        DropoutConvNet(**wrong).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def test_every_weight_learns_at_any_size_of_images():
    x = jax.random.normal(jax.random.key(2), (8, 10, 10, 1))
    network = DropoutConvNet(**SMALL)
    variables = network.init(jax.random.key(0), x)
    slopes = jax.jit(jax.grad(lambda v: (network.apply(v, x)[:, 0] ** 2).sum()))(variables)
    leaves = jax.tree.leaves(slopes["params"])
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert all(np.abs(slopes["params"][s]["kernel"]).max() > 0 for s in network.stages)
