"""What the study of batch normalisation measures inside a network while it learns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Dataset
from cnnjax.data.randomness import stream
from cnnjax.models import Network
from cnnjax.training import Variables, scale_pixels
from cnnjax.training.lines import Line

PERCENTILES = (15, 50, 85)
SAMPLE = 500
"""Training images whose inputs to the sigmoid make up a distribution."""


def batch_accuracy(network: Network, test: Dataset, batch_size: int) -> Callable:
    """variables -> test accuracy (0 ... 1) of a network that normalises test images, too, by the
    statistics of their batch.

    Batches are drawn once, without replacement. The last is filled up with images of the first,
    which do not count a second time, so that all are of one size.
    """
    size = len(test)
    order = stream(0).permutation(size)
    places = np.resize(order, -(-size // batch_size) * batch_size).reshape(-1, batch_size)
    counted = (np.arange(places.size) < size).reshape(places.shape)
    arrays = jnp.asarray(test.images), jnp.asarray(test.labels), places, counted

    def measure(variables: Variables) -> float:
        return float(_correct(variables, *arrays, network=network)) / size

    return measure


@partial(jax.jit, static_argnames="network")
def _correct(
    variables: Variables,
    images: jax.Array,
    labels: jax.Array,
    places: jax.Array,
    counted: jax.Array,
    *,
    network: Network,
) -> jax.Array:
    def one(batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        places, counted = batch
        logits = _as_in_training(network, variables, scale_pixels(images[places]))
        return ((logits.argmax(-1) == labels[places]) & counted).sum()

    return jax.lax.map(one, (places, counted)).sum()


def sigmoid_inputs(network: Network, train: Dataset) -> Callable:
    """variables -> the percentiles of what enters each sigmoid of the last hidden layer.

    Over `SAMPLE` training images as one batch, in training mode: what the network sees while it
    learns, but for the noise of small batches. `[3, units]`, for `PERCENTILES`.
    """
    sample = train.take(stream(0).permutation(len(train))[:SAMPLE])
    images = jnp.asarray(sample.images)

    def measure(variables: Variables) -> np.ndarray:
        inputs = np.asarray(_last_inputs(variables, images, network=network))
        return np.percentile(inputs, PERCENTILES, axis=0)

    return measure


@partial(jax.jit, static_argnames="network")
def _last_inputs(variables: Variables, images: jax.Array, *, network: Network) -> jax.Array:
    before, last = network.stages[-3:-1]
    x = _as_in_training(network, variables, scale_pixels(images), stop=before)
    linear = network.clone(activation=_identity)
    return _as_in_training(linear, variables, x, start=last, stop=last)


def _as_in_training(network: Network, variables: Variables, x: jax.Array, **part: str) -> jax.Array:
    """The output with the statistics of this batch, which no running ones are moved by."""
    return network.apply(variables, x, train=True, mutable=["batch_stats"], **part)[0]


def _identity(x: jax.Array) -> jax.Array:
    return x


def percentile_names(unit: int) -> list[str]:
    """What the percentiles of a unit are called in a line of metrics."""
    return [f"p{percentile}_{unit}" for percentile in PERCENTILES]


def as_line(percentiles: np.ndarray) -> Line:
    """Percentiles `[3, units]` as numbers by name."""
    return {
        name: float(value)
        for unit, values in enumerate(percentiles.T)
        for name, value in zip(percentile_names(unit), values, strict=True)
    }


def drift(lines: Sequence[Mapping[str, float]], units: int) -> tuple[float, int]:
    """How much the distributions of a layer's inputs move over the training.

    The drift of a unit is the standard deviation of a percentile over the moments, averaged over
    the three percentiles, in the sigmoid's own unit: from -1 to 1 it rises from 0.27 to 0.73.

    Returns:
      The mean over the units, and the typical unit: that of the median drift.
    """
    moved = np.array(
        [
            np.mean([np.std([line[name] for line in lines]) for name in percentile_names(unit)])
            for unit in range(units)
        ]
    )
    return float(moved.mean()), int(np.argsort(moved, kind="stable")[units // 2])
