"""Stacks of convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.models import ConvStack


def test_the_head_is_a_dense_layer_on_the_mean_of_each_map(some_variables):
    net = ConvStack(kernels=(3,), features=4, num_classes=3)
    images = jax.random.normal(jax.random.key(0), (2, 6, 7, 2))
    variables = some_variables(net, (6, 7, 2))
    maps = net.apply(variables, images, stop="conv1")
    head = variables["params"]["head"]
    assert set(head) == {"kernel", "bias"}
    expected = np.asarray(maps).mean(axis=(1, 2)) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(net.apply(variables, images), expected, rtol=1e-5, atol=1e-6)


def test_small_kernels_in_a_row_can_be_one_large_kernel():
    # Without activations the stack is linear: its kernel is the convolution of its kernels.
    small = ConvStack(
        kernels=(3, 3), features=1, use_bias=False, num_classes=0, activation=lambda x: x
    )
    a, b = jax.random.normal(jax.random.key(0), (2, 3, 3))
    large = jax.scipy.signal.convolve2d(a, b)
    images = jax.random.normal(jax.random.key(1), (1, 9, 9, 1))
    params = {f"conv{i}": {"kernel": k[..., None, None]} for i, k in ((1, a), (2, b))}
    one = small.clone(kernels=(5,))
    np.testing.assert_allclose(
        small.apply({"params": params}, images),
        one.apply({"params": {"conv1": {"kernel": large[..., None, None]}}}, images),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("arguments", [{"kernels": ()}, {"kernels": (3, 3), "features": (4,)}])
def test_features_and_kernels_that_do_not_match_are_refused(arguments):
    with pytest.raises(CnnjaxError, match="one number of features or as many as there are kernels"):
        ConvStack(**arguments).init(jax.random.key(0), jnp.ones((1, 9, 9, 1)))
