"""A data set in memory: images, labels, classes."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np

from cnnjax.data.labelled import Labelled, check_indices
from cnnjax.errors import CnnjaxError


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset(Labelled):
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

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.images.shape[1:]

    def take(self, indices: np.ndarray | Sequence[int]) -> "Dataset":
        """The images at `indices` (integers `[K]`), in that order; all classes stay.

        Raises:
            CnnjaxError: indices that are no integers, or beyond the images.
        """
        indices = check_indices("image", indices, len(self))
        return dataclasses.replace(self, images=self.images[indices], labels=self.labels[indices])

    def select_classes(self, class_ids: np.ndarray | Sequence[int]) -> "Dataset":
        """Only the images of these classes, relabelled 0 ... K - 1 in the given order.

        Raises:
            CnnjaxError: a class that does not exist or is named twice, or classes without images.
        """
        class_ids = check_indices("class", class_ids, self.num_classes)
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

    def fingerprint(self) -> str:
        """The SHA-256 of the images, the labels and the classes: 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        digest.update(np.ascontiguousarray(self.labels, "<i4").data)
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


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
