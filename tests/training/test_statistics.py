"""Running statistics taken anew are those of the training images, under the weights as they are."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.layers import BatchNorm
from cnnjax.models import Network
from cnnjax.training import renew_statistics, scale_pixels

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3)).astype(np.uint8)
IMAGES[:12] //= 4  # sorted, as data sets are: half of them darker


class Normed(nn.Module):
    momentum: float
    features: int = 0

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(self.features, (3, 3))(x) if self.features else x
        return nn.relu(BatchNorm(self.momentum, 1e-5)(x, train=train))


class Head(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dropout(0.0, deterministic=not train)(x.mean(axis=(1, 2)))
        return nn.Dense(self.classes)(x)


class Small(Network):
    momentum: float = 0.999

    def layers(self):
        first, second = Normed(self.momentum), Normed(self.momentum, 5)
        return {"norm": first, "conv": second, "fc": Head(self.num_classes)}


def variables_of(network):
    return network.init(jax.random.key(0), scale_pixels(jnp.asarray(IMAGES)))


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999])
def test_they_are_the_means_over_the_batches_whatever_the_momentum(momentum):
    network = Small(num_classes=2, momentum=momentum)
    found = renew_statistics(network, variables_of(network), IMAGES, batch_size=8, seed=1)
    (statistics,) = found["batch_stats"]["norm"].values()
    pixels = np.asarray(scale_pixels(jnp.asarray(IMAGES)))
    # All images once: the mean over equal batches is that of all.
    np.testing.assert_allclose(statistics["mean"], pixels.mean(axis=(0, 1, 2)), rtol=5e-4)
    within = pixels.var(axis=(0, 1, 2))
    assert (statistics["var"] < within).all()  # what differs between batches is not in them
    np.testing.assert_allclose(statistics["var"], within, rtol=0.1)


def test_with_one_batch_evaluation_computes_what_training_does():
    network = Small(num_classes=2)
    variables = variables_of(network)
    images = scale_pixels(jnp.asarray(IMAGES))
    found = renew_statistics(network, variables, IMAGES, batch_size=100)
    trained, _ = network.apply(
        variables,
        images,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.key(0)},
    )
    # Running variances are divided by n - 1, those of the batch by n.
    before, after = (jnp.abs(network.apply(v, images) - trained).max() for v in (variables, found))
    assert after < 0.01
    assert before > 20 * after


def test_weights_stay_and_the_images_order_is_that_of_the_seed():
    network = Small(num_classes=2)
    variables = variables_of(network)
    one, same, other = (
        renew_statistics(network, variables, IMAGES, batch_size=8, seed=seed) for seed in (0, 0, 1)
    )
    chex.assert_trees_all_equal(one["params"], variables["params"])
    chex.assert_trees_all_equal(one, same)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(one["batch_stats"], other["batch_stats"])


def test_a_network_without_batch_norm_is_left_as_it_is():
    network = cnnjax.create("mlp", num_classes=2, hidden=(3,))
    variables = variables_of(network)
    assert renew_statistics(network, variables, IMAGES, batch_size=8) == dict(variables)
