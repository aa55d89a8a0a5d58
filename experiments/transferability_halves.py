"""What all runs of the transferability study share: its settings, and the halves of its data."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import cnnjax
from cnnjax.data import Dataset, Splits
from cnnjax.data.halves import group_halves, halves_from_file, random_halves
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network


@dataclass(frozen=True)
class Recipe:
    """What all runs of the study have in common; with the data, it determines every number."""

    dataset: str
    image_size: int | None
    network: str
    split: str
    images_per_class: int | None
    steps: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    seed: int


class Half(NamedTuple):
    """The images of one half of the classes."""

    train: Dataset
    test: Dataset
    network: Network


def make_halves(recipe: Recipe, data: Splits, split: int) -> dict[str, Half]:
    """{"A": ..., "B": ...} of the repetition number `split`.

    Raises:
      CnnjaxError: an unknown kind of split, or a half with less than 2 classes.
    """
    ids = _class_halves(recipe, data, split)
    return {name: _half(recipe, data, split, own) for name, own in zip("AB", ids, strict=True)}


def _class_halves(recipe: Recipe, data: Splits, split: int) -> tuple[np.ndarray, np.ndarray]:
    kind, classes = recipe.split, data.train.classes
    if kind == "random":
        return random_halves(len(classes), 1_000 * recipe.seed + split)
    if kind.startswith("file:"):
        return halves_from_file(kind.removeprefix("file:"), classes)
    if kind.endswith("-vs-others"):
        return group_halves(classes, data.train.groups, kind.removesuffix("-vs-others"))
    raise CnnjaxError(
        f"there is no split {kind!r}; give random, GROUP-vs-others (e.g. latin-vs-others) or "
        "file:PATH"
    )


def _half(recipe: Recipe, data: Splits, split: int, class_ids: np.ndarray) -> Half:
    part = data.select_classes(class_ids)
    train = part.train
    if recipe.images_per_class is not None:
        train = train.per_class(recipe.images_per_class, recipe.seed + split)
    if train.num_classes < 2:
        raise CnnjaxError(
            f"a half of {recipe.dataset} has {train.num_classes} class; each needs at "
            "least 2; choose other halves, or a data set with at least 4 classes"
        )
    network = cnnjax.create(recipe.network, num_classes=train.num_classes)
    return Half(train, part.test, network)
