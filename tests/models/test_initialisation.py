"""Weights begin with the variance that each paper states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax


def fresh(name, image):
    net = cnnjax.create(name)
    return jax.jit(net.init)(jax.random.key(0), jnp.zeros((1, *image)))["params"]


@pytest.fixture(scope="module")
def alexnet():
    return fresh("alexnet", (67, 67, 3))  # the smallest: fc6 sees 1 x 1 maps, not 6 x 6


@pytest.mark.slow
def test_alexnet_weights_are_gaussian_with_sd_one_hundredth(alexnet):
    for stage in alexnet:
        kernel = np.asarray(alexnet[stage]["kernel"])
        assert kernel.std() == pytest.approx(0.01, rel=0.02), stage
        assert abs(kernel.mean()) < 5 * 0.01 / np.sqrt(kernel.size), stage


def test_alexnet_biases_are_one_in_conv2_conv4_conv5_fc6_fc7_and_zero_elsewhere(alexnet):
    ones = {stage for stage in alexnet if (alexnet[stage]["bias"] == 1).all()}
    zeros = {stage for stage in alexnet if (alexnet[stage]["bias"] == 0).all()}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert zeros == {"conv1", "conv3", "fc8"}


def test_lenet5_weights_are_uniform_within_2_4_over_fan_in():
    params = fresh("lenet5", (32, 32, 1))
    for stage, fan_in in {"c1": 25, "c3": 150, "c5": 400, "f6": 120, "output": 84}.items():
        kernel = np.asarray(params[stage]["kernel"])
        bound = 2.4 / fan_in
        assert np.abs(kernel).max() <= bound, stage
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.1), stage


def test_the_mlp_begins_with_he_variance():
    params = fresh("mlp", (28, 28, 1))
    for stage, fan_in in {"fc1": 784, "fc2": 1200, "fc3": 1200}.items():
        assert np.asarray(params[stage]["kernel"]).var() == pytest.approx(2 / fan_in, rel=0.02)


@pytest.mark.slow
def test_alexnet_small_begins_at_nearly_uniform_predictions():
    net = cnnjax.create("alexnet_small", num_classes=50)
    images = jax.random.uniform(jax.random.key(1), (64, 20, 20, 1), minval=-1)
    variables = jax.jit(net.init)(jax.random.key(0), images[:1])
    logits = net.apply(variables, images)
    assert jax.nn.softmax(logits).max() < 2.5 / 50
