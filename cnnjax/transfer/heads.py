"""New heads on pretrained networks, fresh or from a linear classifier."""

from typing import NamedTuple

import numpy as np

from cnnjax.models import Network
from cnnjax.training import Variables


class Head(NamedTuple):
    """A linear classifier as the weights of a network's last stage: logits = x kernel + bias.

    Attributes:
      kernel: float32 `[C, K]`, for features as they are: standardisation is folded in.
      bias: float32 `[K]`.
    """

    kernel: np.ndarray
    bias: np.ndarray


def new_head(
    network: Network,
    variables: Variables,
    num_classes: int,
    seed: int,
    *,
    head: Head | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[Network, dict]:
    """A pretrained network with a new last stage for other classes.

    All stages but the head keep their weights. Of auxiliary heads (GoogLeNet, Inception v3) the
    layer that gives the logits is fresh too where its shape has changed.

    Args:
      network: the pretrained composition, with a head or without (`num_classes=0`).
      variables: of all its stages.
      num_classes: of the new head.
      seed: of the fresh weights, drawn as the network's paper initialises them.
      head: takes the place of fresh weights, e.g. of `probe`: a warm start.
      image_shape: (height, width, channels) of the images to come; the network's own by default.

    Returns:
      The new network, and variables of all its stages; the arguments are not changed.

    Raises:
      CnnjaxError: the variables are not those of the network, or `head` has other shapes.
    """
    raise NotImplementedError
