"""What the study of little data stands on: images, networks, and the pretrained weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import cnnjax
from cnnjax import pretrained
from cnnjax.data import Splits, load
from cnnjax.data.augment import Augmentation, image_data_generator
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, check_takes
from cnnjax.models.ledger import multiply_adds
from cnnjax.models.little_conv import LittleConvNet
from cnnjax.training import Variables
from cnnjax.transfer import FeatureStore, variable_shapes


@dataclass(frozen=True)
class Settings:
    """What all runs have in common; with the data and the weights, it determines every number."""

    source: str
    dataset: str
    image_size: int | None
    network: str
    last: int
    augment: bool
    source_steps: int
    steps: int
    convnet_steps: int | None
    batch_size: int
    learning_rate: float
    convnet_rate: float
    tuning_rate: float
    seed: int


class Ground:
    """The data, the networks and the weights of a study.

    Args:
      settings: what all runs share.
      sizes: numbers of training images, shared evenly by the classes.
      weights: of the pretrained network; without them it is to be trained on `settings.source`.

    Attributes:
      train: images to draw from.
      test: images to measure on.
      per_class: images of each class, a number for each size.
      source: what the network is pretrained on; None where `weights` are given.
      given: the pretrained weights, where they come from a file.
      network: the pretrained one.
      fresh: the same with a head for the classes at hand.
      convnet: the blog's small one.
      augment: the blog's augmentation, if it is asked for.
      store: features of frozen stages.

    Raises:
      CnnjaxError: data or weights that cannot be had, or numbers that do not go with them.
    """

    def __init__(self, settings: Settings, sizes: Sequence[int], weights: Path | None) -> None:
        data = load(settings.dataset, image_size=settings.image_size)
        self.train, self.test = data.train, data.test
        classes = self.train.num_classes
        self.shape = self.train.images.shape[1:]
        self.per_class = tuple(sorted({share(size, classes) for size in sizes}))
        self.train.per_class(self.per_class[-1], settings.seed)  # says so if there are too few
        self.fingerprint = f"{self.train.fingerprint()[:16]}-{self.test.fingerprint()[:16]}"
        self.source: Splits | None = None
        self.given: Variables | None = None
        if weights is None:
            self._read_source(settings)
        else:
            origin = pretrained.load(settings.network, weights=weights)
            self.network, self.given = origin.network, origin.variables
            self.identity = origin.passport.sha256[:16]
        self.fresh = self.network.clone(num_classes=classes)
        self.convnet = LittleConvNet(num_classes=classes)
        for network in (self.fresh, self.convnet):
            check_takes(network, self.shape)
        stages = self.network.stages
        if not 2 <= settings.last < len(stages):
            raise CnnjaxError(
                f"--last is {settings.last}, but {settings.network} has {len(stages)} stages; give "
                "2 or more of them, and not all"
            )
        self.bottleneck = stages[-2]
        self.augment: Augmentation | None = None
        if settings.augment:
            self.augment = image_data_generator(
                shear_range=0.2, zoom_range=0.2, horizontal_flip=True
            ).augment
        self.store = FeatureStore()
        self.costs = {
            name: list(multiply_adds(network, self.shape).values())
            for name, network in (("convnet", self.convnet), ("network", self.fresh))
        }

    def weights_like(self) -> dict:
        """The shapes of the pretrained network's variables."""
        return variable_shapes(self.network, self.shape)

    def head_like(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of a head for the classes at hand: {"kernel", "bias"}."""
        shapes = variable_shapes(self.fresh, self.shape)["params"][self.fresh.stages[-1]]
        inputs, classes = next(a.shape for a in jax.tree.leaves(shapes) if a.ndim > 1)
        sizes = {"kernel": (inputs, classes), "bias": (classes,)}
        return {name: jax.ShapeDtypeStruct(size, np.float32) for name, size in sizes.items()}

    def _read_source(self, settings: Settings) -> None:
        self.source = load(settings.source, image_size=settings.image_size)
        shape = self.source.train.images.shape[1:]
        if shape != self.shape:
            raise CnnjaxError(
                f"the images of {settings.source} are {shape} and those of {settings.dataset} "
                f"{self.shape}; they must be alike; give --image-size, or --weights"
            )
        classes = self.source.train.num_classes
        self.network: Network = cnnjax.create(settings.network, num_classes=classes)
        self.identity = self.source.train.fingerprint()[:16]


def share(size: int, classes: int) -> int:
    """How many images of each class come nearest to so many in all; at least one.

    >>> share(2000, 2), share(100, 27)
    (1000, 4)
    """
    return max(1, round(size / classes))
