"""The lectures' cases of transfer learning, one function each (lecture 3, "Transfer learning").

| case | function |
|---|---|
| 0: predict as is | `predict_as_is` |
| 1: features and a shallow classifier | `probe` |
| 2: fine-tune the last k stages | `fine_tune(last=k)` |
| 3: fine-tune everything | `fine_tune(last=None)` |
| 4: from scratch | `from_scratch` |
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.training.lines import Line
from cnnjax.transfer.audit import FreezeAudit
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.heads import Head
from cnnjax.transfer.recipes import Recipe


class Outcome(NamedTuple):
    """What a case gives.

    Attributes:
      network: the network that was measured, with a head for the data set's classes.
      variables: of all its stages.
      test: means over the test images: "loss", "accuracy".
      predictions: the class of each test image, int32 `[N]`.
      lines: of metrics during training.
      audit: what was trained and what was frozen, of the last phase; None for case 0.
      seconds: what it took in all, features and compilation included.
    """

    network: Network
    variables: dict
    test: dict[str, float]
    predictions: np.ndarray
    lines: list[Line]
    audit: FreezeAudit | None
    seconds: float


def predict_as_is(
    network: Network,
    variables: Variables,
    test: Dataset,
    *,
    answers: Mapping[str, Sequence[int]] | None = None,
) -> Outcome:
    """Case 0: "use the pre-trained CNN to predict the new dataset" (lecture 3, case 0).

    Args:
      network: the pretrained composition with its head.
      variables: of all stages.
      test: images and labels.
      answers: {class of the data set: the network's outputs that mean it}, e.g. {"cat": range(281,
        286), "dog": range(151, 269)} of ImageNet's; a class has the sum of their probabilities.
        By default output i means class i.

    Raises:
      CnnjaxError: the network has another number of outputs than the data set has classes and
        `answers` is not given, or it leaves out a class or names an output that does not exist.
    """
    raise NotImplementedError


def fine_tune(
    network: Network,
    variables: Variables,
    train: Dataset,
    test: Dataset,
    *,
    last: int | None,
    recipe: Recipe,
    seed: int,
    head: Head | None = None,
    store: FeatureStore | None = None,
    cache_limit: int = 2 * 2**30,
    directory: Path | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Cases 2 and 3: a new head, and the last stages, or all, trained on from the pretrained start.

    Frozen stages run in evaluation mode, batch norm included; they are neither differentiated nor
    decayed, have no optimizer state, and are checked afterwards to be bitwise what they were.
    Without augmentation their output is computed once for each image.

    Args:
      network: the pretrained composition, with whatever head.
      variables: of all its stages.
      train: images and labels to learn from.
      test: measured after the last step only.
      last: how many stages are trained, counted from the end, the new head included: 1 trains the
        head alone, 2 is the lecture's case 2; None trains all, case 3.
      recipe: how.
      seed: of a fresh head, of the order of the images, of augmentation and dropout.
      head: the start of the new head, e.g. `probe(...).head`; fresh by default.
      store: keeps the features of frozen stages for other trainings.
      cache_limit: bytes of features above which frozen stages run in every step instead.
      directory: for metrics and checkpoints; a training that finds its own there goes on from it,
        and ends with the same numbers.
      on_steps: called with the number of steps taken so far.
      report: called with a sentence about anything unusual.

    Raises:
      CnnjaxError: a recipe, `last`, head or data that cannot be; DivergedError if it diverges.
    """
    raise NotImplementedError


def from_scratch(
    network: Network,
    train: Dataset,
    test: Dataset,
    *,
    recipe: Recipe,
    seed: int,
    directory: Path | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Case 4: "dump everything and retrain from scratch" (lecture 3, case 4).

    The same network with fresh weights, and a head for the data set's classes. All stages learn at
    `recipe.learning_rate`; a recipe with `thaw` is an error.
    """
    raise NotImplementedError
