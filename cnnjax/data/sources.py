"""Data sets by name."""

import difflib

import numpy as np

from cnnjax.data.alphabets import ALPHABETS
from cnnjax.data.archives import read_archive
from cnnjax.data.dataset import Dataset
from cnnjax.data.folders import read_folder
from cnnjax.data.glyphs import glyphs
from cnnjax.data.labelled import Splits, arranged
from cnnjax.data.pictures import check_side, resized
from cnnjax.errors import CnnjaxError

TFDS_NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")
"""TensorFlow Datasets that need no `tfds:` before the name."""

_PREFIXES = ("npz:", "folder:", "tfds:")


def load(name: str, *, image_size: int | None = None) -> Splits:
    """The data set called `name`, in memory.

    | name | what |
    |---|---|
    | `glyphs` | typed Latin, Cyrillic and Greek characters (`cnnjax.data.glyphs`) |
    | `glyphs/latin`, `glyphs/latin+georgian`, ... | those of some alphabets only |
    | `digits` | the 1,797 handwritten 8×8 digits inside scikit-learn |
    | `npz:PATH` | arrays in a NumPy archive (`cnnjax.data.archives`) |
    | `folder:PATH` | a folder of class folders of images (`cnnjax.data.folders`) |
    | `mnist`, `fashion_mnist`, `cifar10`, `cifar100`, `tfds:NAME` | TensorFlow Datasets, prepared \
once with `scripts/prepare.py NAME` (`cnnjax.data.records`) |

    Args:
        name: as in the table.
        image_size: side in pixels to bring all images to: glyphs are drawn at it; of others the
            shorter side is scaled to it and the middle square cut out. None: as they are.

    Raises:
        CnnjaxError: an unknown name, or data that cannot be read.
    """
    if image_size is not None:
        check_side(image_size)
    kind, _, rest = name.partition(":")
    if kind == "folder":
        return read_folder(rest, image_size)
    if kind == "tfds" or name in TFDS_NAMES:
        from cnnjax.data.records import read_records  # TensorFlow Datasets is slow to import

        return read_records(rest or name, image_size)
    if name == "glyphs" or name.startswith("glyphs/"):
        size = {} if image_size is None else {"image_size": image_size}
        chosen = name.removeprefix("glyphs").removeprefix("/")
        return glyphs(chosen.split("+"), **size) if "/" in name else glyphs(**size)
    if kind == "npz":
        splits = read_archive(rest)
    elif name == "digits":
        splits = _digits()
    else:
        raise _unknown(name)
    return splits if image_size is None else splits.map(lambda part: resized(part, image_size))


def _digits() -> Splits:
    from sklearn.datasets import load_digits  # takes a second, and only digits need it

    bunch = load_digits()
    dataset = Dataset(
        images=np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None],
        labels=bunch.target.astype(np.int32),
        classes=tuple(str(name) for name in bunch.target_names),
    )
    return arranged({"train": dataset})


def _unknown(name: str) -> CnnjaxError:
    names = ["glyphs", *(f"glyphs/{alphabet}" for alphabet in ALPHABETS), "digits", *TFDS_NAMES]
    close = difflib.get_close_matches(name, [*names, *_PREFIXES], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "choose one of them"
    return CnnjaxError(
        f"unknown data set {name!r}; expected {', '.join(names)}, npz:PATH, folder:PATH or "
        f"tfds:NAME; {hint}"
    )
