"""The same images as training and test set in turn: stratified cross-validation."""

from typing import NamedTuple

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError


class Fold(NamedTuple):
    """One division of a data set: sorted image numbers to learn from, and to test on."""

    train: np.ndarray
    test: np.ndarray


def stratified_folds(dataset: Dataset, folds: int, seed: int, repeats: int = 1) -> tuple[Fold, ...]:
    """Repeated K-fold cross-validation with parts of exactly one size.

    The shuffled images of one class after the other are dealt to the K parts in turn, so that a
    class has as many images in each part as in any other, to one. Each part is the test set once
    and belongs to the training set K - 1 times; with more `repeats` it is all done again with
    other shuffles. Where N is no multiple of K, N mod K images, of the largest classes, are left
    out of each repeat: all parts are of one size, and one compiled program serves them all.

    Args:
        dataset: of which to take the labels.
        folds: K, at least 2.
        seed: non-negative integer.
        repeats: at least 1.

    Returns:
        `folds * repeats` divisions, those of one repeat after the other.

    Raises:
        CnnjaxError: numbers that cannot be, fewer images than parts, or a class with fewer than
            two images, one to learn from and one to test on (named).
    """
    if folds < 2 or repeats < 1:
        raise CnnjaxError(
            f"{folds} folds, {repeats} times, cannot be; expected 2 folds or more, once or more"
        )
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    if counts.min() < 2:
        name, count = dataset.classes[int(counts.argmin())], int(counts.min())
        raise CnnjaxError(
            f"class {name!r} has {count} image{'' if count == 1 else 's'} to choose by; expected "
            "2 or more, so that one can be learnt from and another tested on; add images, or take "
            "the class away"
        )
    if len(dataset) < folds:
        raise CnnjaxError(
            f"{len(dataset)} images cannot be dealt to {folds} folds; expected an image in each; "
            f"choose at most {len(dataset)} folds"
        )
    kept = _levelled(counts, len(dataset) % folds)
    result = []
    for repeat in range(repeats):
        order = stream(seed, repeat).permutation(len(dataset))
        by_class = order[np.argsort(dataset.labels[order], kind="stable")]
        starts = np.cumsum(counts) - counts
        chosen = [by_class[s : s + k] for s, k in zip(starts, kept, strict=True)]
        dealt = np.concatenate(chosen)
        place = np.arange(len(dealt)) % folds
        result += [
            Fold(np.sort(dealt[place != part]), np.sort(dealt[place == part]))
            for part in range(folds)
        ]
    return tuple(result)


def _levelled(counts: np.ndarray, surplus: int) -> np.ndarray:
    """`counts` less `surplus` images, each taken from what is the largest class then."""
    kept = counts.copy()
    for _ in range(surplus):
        kept[kept.argmax()] -= 1
    return kept
