"""What becomes of an array on its way from a source, by the definition of its layer."""

import numpy as np

from cnnjax.pretrained.layouts import (
    Flattened,
    Window,
    from_keras,
    from_torch,
    to_keras,
    to_torch,
)

RNG = np.random.default_rng(0)


def torch_convolution(image, weight):
    """[C, H, W] and [out, in, h, w] -> [out] at the one place that there is."""
    return np.array([(image * filter_).sum() for filter_ in weight])


def our_convolution(image, kernel):
    return np.einsum("hwi,hwio->o", image, kernel)


def test_a_convolution_of_torchs_computes_the_same_with_our_kernel():
    image, weight = RNG.normal(size=(3, 5, 4)), RNG.normal(size=(7, 3, 5, 4))
    found = our_convolution(image.transpose(1, 2, 0), from_torch(weight))
    np.testing.assert_allclose(found, torch_convolution(image, weight))


def test_a_dense_layer_on_maps_that_torch_flattens_channels_first():
    maps, weight = RNG.normal(size=(3, 5, 4)), RNG.normal(size=(7, 60))
    kernel = from_torch(weight, Flattened(5, 4, 3))
    found = maps.transpose(1, 2, 0).reshape(-1) @ kernel
    np.testing.assert_allclose(found, weight @ maps.reshape(-1))


def test_a_dense_layer_that_is_a_convolution_of_the_whole_maps_elsewhere():
    maps, weight = RNG.normal(size=(3, 5, 4)), RNG.normal(size=(7, 3, 5, 4))
    found = maps.transpose(1, 2, 0).reshape(-1) @ from_torch(weight, Window(5, 4))
    np.testing.assert_allclose(found, torch_convolution(maps, weight))
    kernel = RNG.normal(size=(5, 4, 3, 7))  # Keras'
    found = maps.transpose(1, 2, 0).reshape(-1) @ from_keras(kernel, Window(5, 4))
    np.testing.assert_allclose(found, our_convolution(maps.transpose(1, 2, 0), kernel))


def test_a_depthwise_kernel_filters_each_map_by_its_own_window():
    ours = from_torch(RNG.normal(size=(6, 1, 3, 3)))
    assert ours.shape == (3, 3, 1, 6)
    keras = RNG.normal(size=(3, 3, 6, 1))
    np.testing.assert_array_equal(from_keras(keras, depthwise=True)[1, 2, 0], keras[1, 2, :, 0])


def test_every_way_back_ends_where_it_began():
    for form, shape in (
        (None, (3, 5, 4, 6)),
        (None, (12, 7)),
        (None, (7,)),
        (Flattened(2, 3, 4), (24, 7)),
        (Window(2, 3), (24, 7)),
    ):
        kernel = RNG.normal(size=shape)
        np.testing.assert_array_equal(from_torch(to_torch(kernel, form), form), kernel)
        if not isinstance(form, Flattened):
            np.testing.assert_array_equal(from_keras(to_keras(kernel, form), form), kernel)
    kernel = RNG.normal(size=(3, 3, 1, 6))
    np.testing.assert_array_equal(from_keras(to_keras(kernel, None, True), None, True), kernel)
