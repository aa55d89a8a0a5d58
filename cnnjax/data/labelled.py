"""What has labels and classes, in memory or streamed, and how it is cut into parts."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError


class Labelled:
    """Examples with one label each.

    Attributes:
        labels: int32 `[N]`, values in 0 ... len(classes) - 1.
        classes: the name of each class.
        image_shape: (height, width, channels) of every image.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """The number of classes, also of those without an image."""
        return len(self.classes)

    def take(self, indices: np.ndarray | Sequence[int]) -> Self:
        """The examples at `indices` (integers `[K]`), in that order; all classes stay.

        Raises:
            CnnjaxError: indices that are no integers, or beyond the examples.
        """
        raise NotImplementedError

    def per_class(self, k: int, seed: int) -> Self:
        """A random subset with exactly `k` images of each class, in shuffled order.

        A subset of fewer images under the same seed is contained in that of more, so a sweep over
        `k` compares growing sets.

        Raises:
            CnnjaxError: `k` below 1, or a class with fewer than `k` images (named).
        """
        if k < 1:
            raise CnnjaxError(f"{k} images per class cannot be; expected at least 1; choose more")
        counts = np.bincount(self.labels, minlength=self.num_classes)
        if counts.min() < k:
            fewest = int(counts.argmin())
            raise CnnjaxError(
                f"class {self.classes[fewest]!r} has {counts[fewest]} images but {k} per class "
                f"were asked for; choose at most {counts[fewest]}"
            )
        order = stream(seed).permutation(len(self))
        # Stable: the images of a class stay in shuffled order, the first k of each are taken.
        by_class = np.argsort(self.labels[order], kind="stable")
        starts = np.cumsum(counts) - counts
        chosen = by_class[(starts[:, None] + np.arange(k)).ravel()]
        return self.take(order[np.sort(chosen)])


D = TypeVar("D", bound=Labelled)


class Splits(NamedTuple, Generic[D]):
    """The parts of a data set: to learn from, to choose with (if there is one), to report on."""

    train: D
    validation: D | None
    test: D

    def map(self, function: Callable[[D], D]) -> "Splits[D]":
        """`function` applied to each part that is there."""
        validation = None if self.validation is None else function(self.validation)
        return Splits(function(self.train), validation, function(self.test))

    def select_classes(self, class_ids: np.ndarray | Sequence[int]) -> "Splits[D]":
        """`Dataset.select_classes` of each part."""
        return self.map(lambda dataset: dataset.select_classes(class_ids))


def stratified_split(dataset: D, fractions: Sequence[float], seed: int) -> tuple[D, ...]:
    """Cut a data set into parts, each class in the same proportions.

    Within a class of n shuffled images, part i ends at image round(n * (f_1 + ... + f_i)): together
    the parts hold every image exactly once. The order of the images within a part is that of the
    data set.

    Args:
        dataset: what to cut.
        fractions: the share of each part, positive, with sum 1.
        seed: non-negative integer.

    Raises:
        CnnjaxError: fractions that are not positive with sum 1, or a part without an image.
    """
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise CnnjaxError(
            f"the fractions {list(fractions)} are no shares of a whole; expected positive numbers "
            "with sum 1; mend them"
        )
    shuffled = stream(seed).permutation(len(dataset))
    order = shuffled[np.argsort(dataset.labels[shuffled], kind="stable")]
    part = np.empty(len(dataset), np.int64)
    for images in np.split(order, np.cumsum(np.bincount(dataset.labels))[:-1]):
        ends = np.rint(np.cumsum(fractions) * len(images))
        part[images] = np.searchsorted(ends[:-1], np.arange(len(images)), side="right")
    sizes = np.bincount(part, minlength=len(fractions))
    if sizes.min() == 0:
        raise CnnjaxError(
            f"{len(dataset)} images of {dataset.num_classes} classes are too few to be split into "
            f"{' : '.join(str(f) for f in fractions)}; expected at least one image in each part; "
            "add images, or give the parts separately"
        )
    return tuple(dataset.take(np.flatnonzero(part == i)) for i in range(len(fractions)))


UNSPLIT_FRACTIONS = (0.7, 0.1, 0.2)
"""Training, validation and test share of a data set that comes in one piece."""


def arranged(parts: dict[str, D]) -> Splits[D]:
    """The three parts from what a source has of `train`, `validation` and `test`.

    Where only one of the last two is there, it is the one to report on (`test`). Where neither
    is, `train` is cut 70/10/20 within each class, always in the same way.
    """
    if set(parts) == {"train"}:
        return Splits(*stratified_split(parts["train"], UNSPLIT_FRACTIONS, seed=0))
    if "test" in parts:
        return Splits(parts["train"], parts.get("validation"), parts["test"])
    return Splits(parts["train"], None, parts["validation"])


def check_indices(what: str, indices: np.ndarray | Sequence[int], size: int) -> np.ndarray:
    """`indices` as an array.

    Args:
        what: they choose.
        indices: integers `[K]`.
        size: how many there are to choose from.

    Raises:
        CnnjaxError: they are no integers, none, or beyond what there is.
    """
    array = np.asarray(indices)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise CnnjaxError(
            f"{array.dtype} of shape {array.shape} chooses no {what}; expected a list of at least "
            "one whole number; mend the choice"
        )
    if array.min() < 0 or array.max() >= size:
        raise CnnjaxError(
            f"the {what} numbers run from {array.min()} to {array.max()} but there are {size}; "
            f"expected 0 to {size - 1}; mend the choice"
        )
    return array
