"""Data sets by name."""

import difflib

import numpy as np
from sklearn.datasets import load_digits

from cnnjax.data.dataset import Dataset, Splits, stratified_split
from cnnjax.errors import CnnjaxError


def load(name: str) -> Splits:
    from cnnjax.data.glyphs import glyphs

    if name == "glyphs":
        return glyphs()
    """The data set called `name`."""
    if name == "digits":
        return digits()
    raise CnnjaxError(f"unknown data set {name!r}; {difflib}")


def digits() -> Splits:
    """The 1,797 handwritten digits inside scikit-learn, uint8 `[N, 8, 8, 1]`: 70 % to learn from,
    10 % to choose with, 20 % to report on, always the same ones."""
    bunch = load_digits()
    dataset = Dataset(
        images=np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None],
        labels=bunch.target.astype(np.int32),
        classes=tuple(str(name) for name in bunch.target_names),
    )
    return Splits(*stratified_split(dataset, (0.7, 0.1, 0.2), seed=0))
