"""How fast the stages of a network run here, and what a training will take at least."""

import time
from collections.abc import Mapping

import jax
import numpy as np

from cnnjax.models import Network
from cnnjax.studies.runs import Row
from cnnjax.training import Variables
from cnnjax.transfer import prefix_features

LENIENT = 0.7
"""Of a rough estimate, what is taken for the least that a training may take."""
BACKWARD = 3
"""Forward passes that a step of training is reckoned at."""


def time_stages(network: Network, variables: Variables, images: np.ndarray) -> list[Row]:
    """The seconds of each stage's forward pass for one image, the head left out; each stage is run
    twice, and the first time compiles."""
    found, count, x = [], len(images), images
    for stage in network.clone(num_classes=0).stages:

        def run(stage: str = stage, x: object = x) -> object:
            return jax.block_until_ready(prefix_features(network, variables, x, stage, start=stage))

        run()
        began = time.monotonic()
        x = run()
        seconds = (time.monotonic() - began) / count
        found.append({"stage": stage, "seconds_per_image": round(seconds, 7)})
    return found


def least_seconds(
    option: str, forward: Mapping[str, float], estimates: Mapping[str, float]
) -> float:
    """What a training will take at least: for what is far out of reach, so that it need not be
    compiled. Whatever may fit is begun, and its own first steps decide.

    Args:
      option: to be trained.
      forward: {option: seconds that the forward passes of its trained stages take}.
      estimates: {option: seconds}, of those whose pace is known.

    >>> round(least_seconds("all", {"last-2": 1.0, "all": 10.0}, {}), 6)  # 3 x 0.7 x 10
    21.0
    >>> least_seconds("all", {"last-2": 1.0, "all": 10.0}, {"last-2": 1.5, "features": 9.0})
    15.0
    """
    known = [other for other, seconds in forward.items() if other in estimates and seconds > 0]
    if not known:
        return forward[option] * BACKWARD * LENIENT
    nearest = max(known, key=forward.__getitem__)  # the longest is the surest to go by
    return forward[option] * estimates[nearest] / forward[nearest]
