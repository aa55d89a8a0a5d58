"""The user's images in the form that a network's weights take."""

from collections.abc import Sequence

import jax
import numpy as np

from cnnjax.data import Dataset
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, check_takes
from cnnjax.training import Variables
from cnnjax.transfer import variable_shapes


def joined(parts: Sequence[Dataset]) -> Dataset:
    """The images of all parts, which have the same classes."""
    images, labels = (np.concatenate([getattr(p, n) for p in parts]) for n in ("images", "labels"))
    return Dataset(images, labels, parts[0].classes, parts[0].groups)


def channels_of(network: Network, variables: Variables, image: tuple[int, int, int]) -> int:
    """How many channels the weights take: those of the images, or 3 where grey must be repeated.

    Raises:
      CnnjaxError: the weights take neither.
    """
    body = network.stages[:-1] if network.num_classes else network.stages

    def differing(channels: int) -> str | None:
        check_takes(network, (*image[:2], channels))
        shapes = variable_shapes(network, (*image[:2], channels))
        for stage in body:
            mine, theirs = ({c: g.get(stage) for c, g in v.items()} for v in (variables, shapes))
            if jax.tree.map(np.shape, mine) != jax.tree.map(np.shape, theirs):
                return stage
        return None

    for channels in dict.fromkeys((image[2], *((3,) if image[2] == 1 else ()))):
        if (stage := differing(channels)) is None:
            return channels
    raise CnnjaxError(
        f"the weights are not for images of {image[0]} x {image[1]} x {image[2]}: their stage "
        f"{stage} has another shape; give images of as many channels, and of the size "
        "(--image-size), that they were trained on"
    )


def with_channels(dataset: Dataset, channels: int) -> Dataset:
    """Grey images with their one channel repeated."""
    if dataset.images.shape[-1] == channels:
        return dataset
    images = np.repeat(dataset.images, channels, axis=-1)
    return Dataset(images, dataset.labels, dataset.classes, dataset.groups)


def even_part(size: int, most: int) -> int:
    """The size of equal parts, at most `most`, so that one compiled program serves them all; where
    there is no such size that is worth it, `most`.

    >>> even_part(2000, 256), even_part(2003, 256), even_part(100, 256)
    (250, 256, 100)
    """
    parts = [part for part in range(most // 4, most + 1) if part and size % part == 0]
    return min(size, max(parts, default=most))
