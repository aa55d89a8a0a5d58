"""Output shapes of the stages against the lectures' tables."""

import jax
import jax.numpy as jnp
import pytest

import cnnjax
from cnnjax.models.ledger import multiply_adds


def stage_shapes(network, image):
    shapes = {}
    x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), x)
    for stage in network.stages:
        x = jax.eval_shape(lambda v, x, s=stage: network.apply(v, x, start=s, stop=s), variables, x)
        shapes[stage] = x.shape[1:]
    return shapes


def test_alexnet_has_the_maps_of_lecture_5():
    # The table prints 27, 13, 13, 13 and 6 pixels after the pooling that follows conv1, 2 and 5.
    assert stage_shapes(cnnjax.create("alexnet"), (227, 227, 3)) == {
        "conv1": (27, 27, 96),
        "conv2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 384),
        "conv5": (6, 6, 256),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }


def test_lenet5_has_the_maps_of_lecture_2():
    assert stage_shapes(cnnjax.create("lenet5"), (32, 32, 1)) == {
        "c1": (14, 14, 6),
        "c3": (5, 5, 16),
        "c5": (120,),
        "f6": (84,),
        "output": (10,),
    }


def test_lenet5_pads_mnist_images_to_the_papers_field(some_variables):
    net = cnnjax.create("lenet5")
    small = jax.random.normal(jax.random.key(0), (2, 28, 28, 1))
    variables = some_variables(net, (28, 28, 1))
    padded = jnp.pad(small, ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert jnp.array_equal(net.apply(variables, small), net.apply(variables, padded))


@pytest.mark.parametrize("side", [16, 20, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_alexnet_small_takes_images_of_16_to_64_pixels(side, channels):
    net = cnnjax.create("alexnet_small", num_classes=7)
    assert stage_shapes(net, (side, side, channels))["fc8"] == (7,)


def test_alexnet_takes_the_published_number_of_multiply_adds_in_its_convolutions():
    # H' W' O kh kw C from the lecture's table: 55 x 55, 27 x 27 and 13 x 13 maps.
    assert multiply_adds(cnnjax.create("alexnet"), (227, 227, 3)) == {
        "conv1": 55 * 55 * 96 * 11 * 11 * 3,
        "conv2": 27 * 27 * 256 * 5 * 5 * 96,
        "conv3": 13 * 13 * 384 * 3 * 3 * 256,
        "conv4": 13 * 13 * 384 * 3 * 3 * 384,
        "conv5": 13 * 13 * 256 * 3 * 3 * 384,
        "fc6": 6 * 6 * 256 * 4096,
        "fc7": 4096 * 4096,
        "fc8": 4096 * 1000,
    }
