"""The advisor's options, the lectures' cases 1 to 4, and what each costs."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple

import numpy as np

from cnnjax.data.folds import Fold
from cnnjax.models.ledger import Ledger
from cnnjax.training import duration
from cnnjax.transfer import Recipe

SCRATCH = "scratch"
EVERYTHING = "all"


@dataclass(frozen=True)
class Terms:
    """What, with the images and the weights, determines every number."""

    network: str
    image_size: int | None
    folds: int
    repeats: int
    classifier: Literal["logistic", "svm"]
    epochs: float
    scratch_epochs: float
    batch_size: int
    learning_rate: float
    pretrained_factor: float
    seed: int


class Option(NamedTuple):
    """One way to use the network.

    Attributes:
      name: of the option, e.g. "probe-conv3", "last-4", "all", "scratch".
      label: for people.
      case: of the lectures, 1 to 4.
      stage: whose features a probe takes.
      last: how many stages are trained, the new head included; 0 of a probe.
      cost: multiply-adds of one training, the features of frozen stages included.
      frozen: the stages whose features are computed once.
      images: for which that is done.
    """

    name: str
    label: str
    case: int
    stage: str | None
    last: int
    cost: float
    frozen: tuple[str, ...]
    images: int


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
    stages = tuple(row.stage for row in count.rows)
    adds = np.array([row.multiply_adds for row in count.rows], np.float64)
    size = len(fold.train)
    passed = (images * adds.cumsum()).tolist()
    found = [
        Option(f"probe-{s}", f"probe at {s}", 1, s, 0, passed[i], stages[: i + 1], images)
        for i, s in enumerate(stages[:-1])
    ]

    def trained(name: str, label: str, case: int, last: int, recipe: Recipe) -> Option:
        frozen = stages[: len(stages) - last]
        cost = passed[len(frozen) - 1] if frozen else 0.0
        passes = recipe.batch_size * duration(size, recipe.batch_size, epochs=recipe.epochs)
        cost += 3 * passes * float(adds[len(frozen) :].sum())
        return Option(name, label, case, None, last, cost, frozen, images if frozen else 0)

    lasts = takewhile(lambda k: k < len(stages), (2**i for i in range(1, 16)))
    tuned = [trained(f"last-{k}", f"last {k} stages", 2, k, tuning) for k in lasts]
    tuned.append(trained(EVERYTHING, "all stages", 3, len(stages), tuning))
    tuned.append(trained(SCRATCH, "from scratch", 4, len(stages), fresh))
    return found + sorted(tuned, key=lambda option: option.cost)
