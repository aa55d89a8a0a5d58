"""Pixels on the scale that weights from elsewhere were trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models.pixels import CAFFE, TORCH, Pixels
from cnnjax.training import scale_pixels

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)


def test_torchs_scale_is_to_tensor_and_normalize():
    expected = (IMAGES / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(TORCH(scale_pixels(jnp.asarray(IMAGES))), expected, atol=2e-6)


def test_caffes_scale_is_blue_first_less_the_means():
    expected = IMAGES[..., ::-1] - np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(CAFFE(scale_pixels(jnp.asarray(IMAGES))), expected, atol=1e-4)


def test_a_network_scales_images_before_its_first_stage_and_nothing_after(some_variables):
    plain = cnnjax.create("mlp", num_classes=5, hidden=(7,))
    network = plain.clone(pixels=TORCH)
    variables = some_variables(plain, (8, 9, 3))
    images = scale_pixels(jnp.asarray(IMAGES))
    logits = network.apply(variables, images)
    np.testing.assert_array_equal(logits, plain.apply(variables, TORCH(images)))
    assert np.abs(logits - plain.apply(variables, images)).max() > 0.1
    first, *_, last = network.stages
    features = network.apply(variables, images, stop=first)
    np.testing.assert_array_equal(network.apply(variables, features, start=last), logits)
    np.testing.assert_array_equal(plain.apply(variables, features, start=last), logits)


def test_networks_with_the_same_pixels_are_equal_and_share_a_program():
    one, other = (cnnjax.create("mlp", pixels=Pixels((1.0,), (2.0,))) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != cnnjax.create("mlp")


def test_half_precision_stays_half_precision():
    assert TORCH(jnp.zeros((1, 2, 2, 3), jnp.bfloat16)).dtype == jnp.bfloat16


def test_grey_images_are_refused_where_weights_are_of_colours():
    network = cnnjax.create("mlp", pixels=TORCH)
    with pytest.raises(CnnjaxError, match="images of 1 channels; the weights were trained on 3"):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(CnnjaxError, match="deviations above 0"):
        Pixels((1.0,), (0.0,))
