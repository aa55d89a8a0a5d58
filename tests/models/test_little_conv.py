import jax
import jax.numpy as jnp
import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.models.little_conv import LittleConvNet
from cnnjax.models.network import check_takes


def parameters(side, classes):
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(LittleConvNet(num_classes=classes).init, jax.random.key(0), image)
    return {stage: sum(a.size for a in group.values()) for stage, group in shapes["params"].items()}


def test_it_has_the_parameters_of_the_keras_model():
    found = parameters(150, 1)
    assert list(found.values()) == [896, 9_248, 18_496, 17 * 17 * 64 * 64 + 64, 65]
    assert sum(found.values()) == 1_212_513
    assert sum(parameters(150, 2).values()) == 1_212_578


def test_the_first_dense_layer_takes_17_by_17_maps():
    net = LittleConvNet(num_classes=2)
    maps = jax.eval_shape(
        lambda key, x: net.init_with_output(key, x, stop="conv3")[0],
        jax.random.key(0),
        jnp.zeros((2, 150, 150, 3)),
    )
    assert maps.shape == (2, 17, 17, 64)


def test_images_below_22_pixels_are_too_small_for_it():
    check_takes(LittleConvNet(), (22, 22, 3))
    with pytest.raises(CnnjaxError):
        check_takes(LittleConvNet(), (21, 21, 3))


def test_dropout_is_in_front_of_the_head_alone():
    net = LittleConvNet(num_classes=2)
    images = jax.random.normal(jax.random.key(1), (4, 24, 24, 3))
    variables = net.init(jax.random.key(0), images)
    rngs = {"dropout": jax.random.key(2)}
    for stop, differs in (("fc4", False), ("fc5", True)):
        trained = net.apply(variables, images, train=True, stop=stop, rngs=rngs)
        evaluated = net.apply(variables, images, stop=stop)
        assert bool((trained != evaluated).any()) is differs
