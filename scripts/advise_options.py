"""The advisor's options, the lectures' cases 1 to 4, and what each costs."""

from itertools import takewhile
from typing import NamedTuple

import numpy as np

from cnnjax.data.folds import Fold
from cnnjax.models.ledger import Ledger
from cnnjax.training import duration
from cnnjax.transfer import Recipe

SCRATCH = "scratch"
EVERYTHING = "all"


class Option(NamedTuple):
    """One way to use the network.

    Attributes:
      name: of the option, e.g. "probe-conv3", "last-4", "all", "scratch".
      label: for people.
      case: of the lectures, 1 to 4.
      stage: whose features a probe takes.
      last: how many stages are trained, the new head included; 0 of a probe.
      cost: multiply-adds of one training, the features of frozen stages included.
      frozen_cost: the part of it for those features.
    """

    name: str
    label: str
    case: int
    stage: str | None
    last: int
    cost: float
    frozen_cost: float


def options(count: Ledger, images: int, fold: Fold, tuning: Recipe, fresh: Recipe) -> list[Option]:
    """All options, cheapest first: probes, the last 2, 4, 8, ... stages, all, from scratch.

    A step of training counts three forward passes through the stages that are trained (Goodfellow,
    Bengio & Courville 2016, section 6.5: the backward pass costs about two); frozen stages count
    one pass through each image.

    Args:
      count: of the network with the head that it will have.
      images: in training and test set together.
      fold: one division.
      tuning: of pretrained stages.
      fresh: from scratch.
    """
    stages = [row.stage for row in count.rows]
    adds = np.array([row.multiply_adds for row in count.rows], np.float64)
    size = len(fold.train)
    passed = (images * adds.cumsum()).tolist()
    found = [
        Option(f"probe-{stage}", f"probe at {stage}", 1, stage, 0, passed[i], passed[i])
        for i, stage in enumerate(stages[:-1])
    ]

    def trained(name: str, label: str, case: int, last: int, recipe: Recipe) -> Option:
        frozen = passed[-1 - last] if last < len(stages) else 0.0
        passes = recipe.batch_size * duration(size, recipe.batch_size, epochs=recipe.epochs)
        own = 3 * passes * adds[len(stages) - last :].sum()
        return Option(name, label, case, None, last, float(frozen + own), float(frozen))

    lasts = takewhile(lambda k: k < len(stages), (2**i for i in range(1, 16)))
    tuned = [trained(f"last-{k}", f"last {k} stages", 2, k, tuning) for k in lasts]
    tuned.append(trained(EVERYTHING, "all stages", 3, len(stages), tuning))
    tuned.append(trained(SCRATCH, "from scratch", 4, len(stages), fresh))
    return found + sorted(tuned, key=lambda option: option.cost)
