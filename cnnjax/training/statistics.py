"""The running statistics of batch normalisation, taken anew when a training is over."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import batch_indices
from cnnjax.models import Network
from cnnjax.training.state import Variables
from cnnjax.training.steps import scale_pixels

MOST_BATCHES = 64


def renew_statistics(
    network: Network, variables: Variables, images: np.ndarray, *, batch_size: int, seed: int = 0
) -> dict:
    """Running means and variances of these weights, in place of those gathered along the way.

    A running statistic r <- m r + (1 - m) b follows the batches b of some 1 / (1 - m) steps, 1,000
    for the m = 0.999 of some published networks: after a short training it is still mostly what it
    began with, and what the network says in evaluation is noise. Here every statistic is the mean
    of b over batches of the training images, under the weights as they are ("precise batch norm",
    Wu and Johnson 2021, section 3.1).

    Args:
      network: the composition.
      variables: of all its stages.
      images: those of training, `[N, H, W, C]`, not augmented.
      batch_size: as in training.
      seed: of the order of the images; 64 batches at most are looked at, or all images once.

    Returns:
      The variables with other "batch_stats"; without any, as they are.
    """
    if not variables.get("batch_stats"):
        return dict(variables)
    size = min(batch_size, len(images))
    count = min(MOST_BATCHES, -(-len(images) // size))
    batches = batch_indices(len(images), size, seed, 0, count)
    totals = None
    for places in batches:
        found = _of_a_batch(network, variables, jnp.asarray(images[places]))
        totals = found if totals is None else jax.tree.map(jnp.add, totals, found)
    means = jax.tree.map(lambda total: total / count, totals)
    return {**variables, "batch_stats": means}


@partial(jax.jit, static_argnames="network")
def _of_a_batch(network: Network, variables: Variables, images: jax.Array) -> dict:
    """The batch's own statistics b: running ones of 0 and 1 become (1 - m) b and m + (1 - m) b."""

    def after(value: float) -> dict:
        running = jax.tree.map(lambda r: jnp.full_like(r, value), variables["batch_stats"])
        _, updated = network.apply(
            {**variables, "batch_stats": running},
            scale_pixels(images),
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=("batch_stats", *(("auxiliary",) if network.auxiliary_weight else ())),
        )
        return updated["batch_stats"]

    def alone(zero: jax.Array, one: jax.Array) -> jax.Array:
        m = jnp.median(one - zero)  # the same for all channels, but for rounding where b is large
        return zero / (1 - m)

    return jax.tree.map(alone, after(0.0), after(1.0))
