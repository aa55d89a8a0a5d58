"""Data sets from NumPy archives (.npz)."""

from pathlib import Path

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.labelled import Splits, arranged
from cnnjax.errors import CnnjaxError

_KEYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "images", "labels", "classes")
_EXPECTED = "x_train y_train x_test y_test (and x_val y_val if there are), or images labels"


def read_archive(path: str | Path) -> Splits:
    """The data set in an npz file.

    Keys: `x_train y_train x_test y_test`, with `x_val y_val` if there is a validation part; or
    `images labels`, which are split as `arranged` says. With either, `classes` may give the names;
    without, the classes are called "0", "1", ...

    Images `[N, H, W]` or `[N, H, W, C]`: whole numbers 0 to 255 as they are; true and false as 255
    and 0; fractions between 0 and 1 times 255, and beyond 1 up to 255 as they are, rounded. Which
    of the two is decided for all parts at once. Labels: whole numbers `[N]` or `[N, 1]` from 0.

    Raises:
        CnnjaxError: a file that is missing, incomplete or no archive; keys that are missing; arrays
            of objects; shapes, values or lengths that do not fit.
    """
    path = Path(path).expanduser()
    arrays, names = _arrays(path)
    if {"images", "labels"} <= set(arrays):
        pairs = {"train": ("images", "labels")}
    else:
        pairs = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
        if {"x_val", "y_val"} & set(arrays):
            pairs["validation"] = ("x_val", "y_val")
    missing = [key for pair in pairs.values() for key in pair if key not in arrays]
    if missing:
        raise CnnjaxError(
            f"{str(path)!r} has no {', '.join(missing)}; expected {_EXPECTED}; it holds "
            f"{', '.join(names[:12]) or 'nothing'}"
        )
    images = _as_pixels(path, {x: arrays.pop(x) for x, _ in pairs.values()})
    labels = {y: _as_labels(path, y, arrays[y]) for _, y in pairs.values()}
    for x, y in pairs.values():
        if len(images[x]) != len(labels[y]):
            raise CnnjaxError(
                f"{x} in {str(path)!r} has {len(images[x])} images but {y} {len(labels[y])} "
                "labels; expected one label per image; mend the file"
            )
    classes = _class_names(path, arrays.get("classes"), labels)
    parts = {part: Dataset(images[x], labels[y], classes) for part, (x, y) in pairs.items()}
    return arranged(parts)


def _arrays(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays that are understood, and the names of all that the file holds."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in _KEYS if key in archive}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("a member that is no array")
            return arrays, archive.files
    except FileNotFoundError:
        raise CnnjaxError(
            f"there is no file {str(path)!r}; expected an npz archive; check the path"
        ) from None
    except Exception as error:  # whatever the zip reader raises over damaged bytes
        if not str(error).startswith("Object arrays"):
            raise _unreadable(path) from None
        raise CnnjaxError(
            f"{str(path)!r} holds an array of Python objects, which is not safe to read; expected "
            "arrays of numbers; save images and labels as plain arrays"
        ) from None


def _unreadable(path: Path) -> CnnjaxError:
    return CnnjaxError(
        f"{str(path)!r} is not a whole npz archive (truncated, damaged, unreadable or of another "
        f"kind); expected {_EXPECTED}; write it again with numpy.savez"
    )


def _as_pixels(path: Path, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """uint8 `[N, H, W, C]` each."""
    for key, array in images.items():
        if array.ndim not in (3, 4) or array.size == 0 or array.dtype.kind not in "buif":
            raise CnnjaxError(
                f"{key} in {str(path)!r} is {array.dtype} of shape {array.shape}; expected numbers "
                "[N, H, W] or [N, H, W, C]; mend the file"
            )
    if len({array.shape[1:] for array in images.values()}) > 1:
        shapes = ", ".join(f"{key} {array.shape}" for key, array in images.items())
        raise CnnjaxError(
            f"the images in {str(path)!r} differ in shape: {shapes}; expected one [H, W, C] for "
            "all; mend the file"
        )
    low = min(array.min() for array in images.values())
    high = max(array.max() for array in images.values())
    if not (low >= 0 and high <= 255):  # so written that NaN fails as well
        raise CnnjaxError(
            f"the images in {str(path)!r} run from {low} to {high}; expected 0 to 255, or 0 to 1; "
            "scale them"
        )
    shares = high <= 1 and any(array.dtype.kind == "f" for array in images.values())

    def pixels(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind == "b" or shares:
            array = np.rint(array * np.float32(255))
        elif array.dtype.kind == "f":
            array = np.rint(array)
        array = np.ascontiguousarray(array.astype(np.uint8, copy=False))
        return array if array.ndim == 4 else array[..., None]

    return {key: pixels(array) for key, array in images.items()}


def _as_labels(path: Path, key: str, labels: np.ndarray) -> np.ndarray:
    """int32 `[N]`."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "ui":
        raise CnnjaxError(
            f"{key} in {str(path)!r} is {labels.dtype} of shape {labels.shape}; expected whole "
            "numbers [N] or [N, 1]; mend the file"
        )
    if labels.min() < 0 or labels.max() >= 2**31:
        raise CnnjaxError(
            f"{key} in {str(path)!r} runs from {labels.min()} to {labels.max()}; expected class "
            "numbers from 0 on; mend the labels"
        )
    return labels.astype(np.int32)


def _class_names(
    path: Path, names: np.ndarray | None, labels: dict[str, np.ndarray]
) -> tuple[str, ...]:
    if names is not None:
        if names.ndim != 1 or names.dtype.kind not in "SUiu":
            raise CnnjaxError(
                f"classes in {str(path)!r} is {names.dtype} of shape {names.shape}; expected names "
                "[K]; mend the file"
            )
        try:
            names = np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names
            found = tuple(str(name) for name in names)
        except (UnicodeError, SystemError):  # what numbers beyond Unicode lead to
            raise _unreadable(path) from None
        for key, array in labels.items():
            if array.max() >= len(names):
                raise CnnjaxError(
                    f"{key} in {str(path)!r} runs up to {array.max()} but there are {len(names)} "
                    f"classes; expected at most {len(names) - 1}; mend the labels or the classes"
                )
        return found
    # Without names a gap in the numbers is a mistake, such as labels counted from 1.
    first, learned = next(iter(labels.items()))
    known = np.unique(learned)
    if len(known) != known[-1] + 1:
        gap = int(np.flatnonzero(known != np.arange(len(known)))[0])
        raise CnnjaxError(
            f"{first} in {str(path)!r} runs up to {known[-1]} but has no {gap}; expected every "
            "number from 0 on; number the classes without gaps, or name them all in classes"
        )
    for key, array in labels.items():
        if array.max() > known[-1]:
            raise CnnjaxError(
                f"{key} in {str(path)!r} runs up to {array.max()} but {first} only to {known[-1]}; "
                "expected the same classes in every part; mend the labels"
            )
    return tuple(str(number) for number in known)
