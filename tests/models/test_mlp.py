import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax.layers import gaussian
from cnnjax.models.mlp import MLP


def size(network: MLP) -> int:
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_ioffe_and_szegedys_network_has_as_many_weights_as_reckoned_by_hand():
    plain = MLP(hidden=(100, 100, 100), activation=nn.sigmoid)
    assert size(plain) == 784 * 100 + 100 + 2 * (100 * 100 + 100) + 100 * 10 + 10 == 99_710
    # gamma and beta come, the three biases that beta stands for go
    assert size(plain.clone(batch_norm=True)) == 99_710 + 600 - 300


@pytest.mark.parametrize(
    ("hidden", "parameters"),
    [((1024,) * 3, 2_913_290), ((8192,) * 2, 73_629_706), ((1024, 1024, 2048), 3_973_130)],
)
def test_srivastavas_networks_have_as_many_weights_as_reckoned_by_hand(hidden, parameters):
    assert size(MLP(hidden=hidden)) == parameters


def test_normalisation_comes_before_the_activation():
    network = MLP(hidden=(7,), activation=nn.sigmoid, batch_norm=True, num_classes=3)
    x = jax.random.normal(jax.random.key(1), (16, 4, 4, 1))
    variables = network.init(jax.random.key(0), x)
    hidden, _ = network.apply(variables, x, stop="fc1", train=True, mutable=["batch_stats"])
    z = np.asarray(x).reshape(16, 16) @ np.asarray(variables["params"]["fc1"]["dense"]["kernel"])
    z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    np.testing.assert_allclose(hidden, 1 / (1 + np.exp(-z)), rtol=1e-4)


def test_input_dropout_acts_on_the_pixels_alone():
    network = MLP(hidden=(2000,), activation=lambda x: x, input_dropout=0.5)
    x = jnp.ones((1, 4, 4, 1))
    variables = network.init(jax.random.key(0), x)
    kernel = variables["params"]["fc1"]["kernel"]
    out = network.apply(variables, x, stop="fc1", train=True, rngs={"dropout": jax.random.key(2)})
    mask, *_ = np.linalg.lstsq(np.asarray(kernel).T, np.asarray(out[0]), rcond=None)
    np.testing.assert_allclose(mask * (mask - 2.0), 0.0, atol=1e-3)  # each pixel 0 or doubled
    assert 0 < mask.sum() < 32
    np.testing.assert_allclose(network.apply(variables, x, stop="fc1"), x.reshape(1, 16) @ kernel)


def test_all_layers_begin_as_they_are_told_to():
    network = MLP(hidden=(300, 300), kernel_init=gaussian(0.01))
    params = network.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    for stage in network.stages:
        assert float(params[stage]["kernel"].std()) == pytest.approx(0.01, rel=0.05)
