"""A data set in memory: images, labels, classes, and the ways to take a part of it."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images with one label each.

    Attributes:
        images: uint8 `[N, H, W, C]`.
        labels: int32 `[N]`, values in 0 ... len(classes) - 1.
        classes: the name of each class, all different.
        groups: what each class belongs to (its alphabet, say), one per class; empty when there
            are none.

    Raises:
        CnnjaxError: an array of another type or rank, lengths that do not match, a label out of
            range, no image, no class, or a class name used twice.

    >>> pixels = np.zeros((3, 8, 8, 1), np.uint8)
    >>> Dataset(pixels, np.array([0, 1, 1], np.int32), ("cat", "dog")).num_classes
    2
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_array("images", self.images, np.uint8, "[N, H, W, C]", 4)
        _check_array("labels", self.labels, np.int32, "[N]", 1)
        if len(self.images) != len(self.labels):
            raise CnnjaxError(
                f"there are {len(self.images)} images but {len(self.labels)} labels; expected one "
                "label per image; mend the arrays"
            )
        if self.images.size == 0:
            raise CnnjaxError(
                f"the images of shape {self.images.shape} hold nothing; expected at least one "
                "image of at least one pixel; check what was selected"
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise CnnjaxError(
                f"the {len(self.classes)} class names are not all different names; expected at "
                "least one class and no name twice; rename them"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise CnnjaxError(
                f"labels run from {low} to {high} but there are {len(self.classes)} classes; "
                f"expected labels from 0 to {len(self.classes) - 1}; mend the labels or the classes"
            )
        if self.groups and len(self.groups) != len(self.classes):
            raise CnnjaxError(
                f"there are {len(self.groups)} groups for {len(self.classes)} classes; expected "
                "one group per class, or none at all; mend the groups"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """The number of classes, also of those without an image."""
        return len(self.classes)

    def take(self, indices: np.ndarray | Sequence[int]) -> "Dataset":
        """The images at `indices` (integers `[K]`), in that order; all classes stay.

        Raises:
            CnnjaxError: indices that are no integers, or beyond the images.
        """
        indices = _check_indices("image", indices, len(self))
        return dataclasses.replace(self, images=self.images[indices], labels=self.labels[indices])

    def select_classes(self, class_ids: np.ndarray | Sequence[int]) -> "Dataset":
        """Only the images of these classes, relabelled 0 ... K - 1 in the given order.

        Raises:
            CnnjaxError: a class that does not exist or is named twice, or classes without images.
        """
        class_ids = _check_indices("class", class_ids, self.num_classes)
        if len(np.unique(class_ids)) != len(class_ids):
            raise CnnjaxError(
                f"the class numbers {class_ids.tolist()} repeat; expected each class once; "
                "leave out the repeated ones"
            )
        relabel = np.full(self.num_classes, -1, np.int32)
        relabel[class_ids] = np.arange(len(class_ids), dtype=np.int32)
        labels = relabel[self.labels]
        kept = labels >= 0
        return Dataset(
            images=self.images[kept],
            labels=labels[kept],
            classes=tuple(self.classes[i] for i in class_ids),
            groups=tuple(self.groups[i] for i in class_ids) if self.groups else (),
        )

    def per_class(self, k: int, seed: int) -> "Dataset":
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

    def fingerprint(self) -> str:
        """The SHA-256 of the images, the labels and the classes: 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        digest.update(np.ascontiguousarray(self.labels, "<i4").data)
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


class Splits(NamedTuple):
    """The parts of a data set: to learn from, to choose with (if there is one), to report on."""

    train: Dataset
    validation: Dataset | None
    test: Dataset

    def map(self, function: Callable[[Dataset], Dataset]) -> "Splits":
        """`function` applied to each part that is there."""
        validation = None if self.validation is None else function(self.validation)
        return Splits(function(self.train), validation, function(self.test))

    def select_classes(self, class_ids: np.ndarray | Sequence[int]) -> "Splits":
        """`Dataset.select_classes` of each part."""
        return self.map(lambda dataset: dataset.select_classes(class_ids))


def stratified_split(
    dataset: Dataset, fractions: Sequence[float], seed: int
) -> tuple[Dataset, ...]:
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


def arranged(parts: dict[str, Dataset]) -> Splits:
    """The three parts from what a source has of `train`, `validation` and `test`.

    Where only one of the last two is there, it is the one to report on (`test`). Where neither
    is, `train` is cut 70/10/20 within each class, always in the same way.
    """
    if set(parts) == {"train"}:
        return Splits(*stratified_split(parts["train"], UNSPLIT_FRACTIONS, seed=0))
    if "test" in parts:
        return Splits(parts["train"], parts.get("validation"), parts["test"])
    return Splits(parts["train"], None, parts["validation"])


def _check_array(name: str, array: np.ndarray, dtype: type, shape: str, rank: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != rank:
        found = (
            f"{array.dtype} of shape {array.shape}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        raise CnnjaxError(
            f"the {name} are {found}; expected a NumPy array of {np.dtype(dtype)} {shape}; "
            "convert them"
        )


def _check_indices(what: str, indices: np.ndarray | Sequence[int], size: int) -> np.ndarray:
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
