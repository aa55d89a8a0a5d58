"""Data sets prepared by TensorFlow Datasets, read without TensorFlow."""

import json
import os
import re
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder

from cnnjax.data.cache import cached
from cnnjax.data.dataset import Dataset
from cnnjax.data.labelled import Splits, arranged
from cnnjax.data.pictures import Picture, decode_parts
from cnnjax.errors import CnnjaxError

FILE_FORMAT = "array_record"
"""The format of TensorFlow Datasets that can be read without TensorFlow."""

PARTS = ("train", "validation", "test")
_CHUNK = 4096
"""Records read at a time."""


def default_data_dir() -> Path:
    """Where prepared data sets are: `$TFDS_DATA_DIR`, or `~/tensorflow_datasets`."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def read_records(name: str, image_size: int | None = None) -> Splits:
    """The prepared data set `name` (`mnist`, `name/config`, `name:1.0.0`), decoded once and cached.

    The image and the label are the two that the data set names for supervised learning, or else
    `image` and `label`. Of the parts `train`, `validation` and `test` what is missing is made up
    for as `arranged` says; sizes and colours are made the same as `decode_parts` says.

    Raises:
        CnnjaxError: a data set that is not prepared (with the command that does it), was prepared
            in another format, has no picture with one class, or is damaged.
    """
    builder, key = open_prepared(name)
    directory = builder.data_path
    return cached(f"tfds {image_size} {directory}", key, lambda: _decode(builder, image_size))


def open_prepared(name: str) -> tuple[tfds.core.DatasetBuilder, str]:
    """The prepared data set `name`, and what changes when its files do.

    Raises:
        CnnjaxError: a data set that is not prepared (with the command that does it), was prepared
            in another format, or is damaged.
    """
    builder = find_prepared(name, default_data_dir())
    if builder is None:
        raise CnnjaxError(
            f"the data set {name!r} is not prepared in {str(default_data_dir())!r}; expected it "
            f"there (or in TFDS_DATA_DIR); prepare it once: python scripts/prepare.py {name}"
        )
    directory = Path(builder.data_path)
    try:
        stats = [(file.name, file.stat()) for file in sorted(directory.iterdir())]
    except OSError as error:
        raise CnnjaxError(
            f"cannot read {str(directory)!r}: {error.strerror}; expected a prepared data set; "
            f"prepare it again: python scripts/prepare.py {name}"
        ) from None
    claimed = sum(builder.info.splits[part].num_examples for part in parts_of(builder.info))
    size = sum(s.st_size for _, s in stats)
    if claimed > size:  # each would be looked for, for years
        raise CnnjaxError(
            f"the data set in {str(directory)!r} claims {claimed} records in files of {size} "
            "bytes; expected a whole one; remove it and prepare it again: python "
            f"scripts/prepare.py {name}"
        )
    return builder, json.dumps(
        [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats]
    )


def find_prepared(name: str, data_dir: Path) -> tfds.core.DatasetBuilder | None:
    """The data set as it lies in `data_dir`; None where it is not there.

    Raises:
        CnnjaxError: a malformed name, or a data set that is damaged or was prepared in a format
            that needs TensorFlow to read.
    """
    if not re.fullmatch(r"\w+(/[\w.+-]+)?(:[\w.*]+)?", name):
        raise CnnjaxError(
            f"{name!r} is no name of a data set; expected NAME, NAME/CONFIG or NAME:VERSION as in "
            "TensorFlow Datasets; mend the name"
        )
    folder = data_dir / re.split("[/:]", name)[0]
    try:
        for file in (*folder.glob("*/features.json"), *folder.glob("*/*/features.json")):
            _check_features(json.loads(file.read_text(encoding="utf-8")))
        builder = read_only_builder.builder_from_files(name, data_dir=str(data_dir))
    except tfds.core.DatasetNotFoundError:
        return None
    except Exception as error:  # whatever reading damaged metadata raises
        reason = one_line(error)
        raise CnnjaxError(
            f"the data set {name!r} in {str(data_dir)!r} cannot be read ({reason}); expected what "
            "scripts/prepare.py wrote; remove its folder and prepare it again"
        ) from None
    file_format = builder.info.file_format
    if file_format is None or file_format.value != FILE_FORMAT:
        raise CnnjaxError(
            f"the data set in {str(builder.data_path)!r} was prepared as "
            f"{file_format and file_format.value}; expected {FILE_FORMAT}, which is read without "
            "TensorFlow; remove it, or choose another data directory, and prepare it again"
        )
    return builder


def _check_features(node: object) -> None:
    """Lets no feature be of a class but TensorFlow Datasets' own: it imports what is named there.

    Raises:
        ValueError: one is; also where a description cannot be read.
    """
    if isinstance(node, list):
        for part in node:
            _check_features(part)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
            if not value.startswith("tensorflow_datasets."):
                raise ValueError(f"a feature is of the class {value[:80]!r}")
        elif key in ("json", "content") and isinstance(value, str):  # as in former times
            _check_features(json.loads(value))
        _check_features(value)


def _decode(builder: tfds.core.DatasetBuilder, image_size: int | None) -> Splits:
    info = builder.info
    image, label = picture_and_label(info)
    pictures: dict[str, list[Picture]] = {}
    labels: dict[str, np.ndarray] = {}
    classes = tuple(info.features[label].names)
    for part in parts_of(info):
        records = _records(builder, part, image, label)
        pictures[part] = [
            Picture(record_name(info, part, number), record[image])
            for number, record in enumerate(records)
        ]
        labels[part] = np.array([record[label] for record in records], np.int64)
        if len(wrong := np.flatnonzero((labels[part] < 0) | (labels[part] >= len(classes)))):
            raise CnnjaxError(
                f"{record_name(info, part, int(wrong[0]))!r} has the label "
                f"{labels[part][wrong[0]]}; expected 0 to {len(classes) - 1}; prepare the data set "
                "again"
            )
    images = decode_parts(pictures, image_size)
    parts = {p: Dataset(images[p], labels[p].astype(np.int32), classes) for p in images}
    return arranged(parts)


def parts_of(info: tfds.core.DatasetInfo) -> list[str]:
    """Those of `PARTS` that have examples.

    Raises:
        CnnjaxError: train is not among them.
    """
    parts = [part for part in PARTS if part in info.splits and info.splits[part].num_examples]
    if "train" not in parts:
        there = one_line(", ".join(info.splits))
        raise CnnjaxError(
            f"the data set {info.name!r} has the parts {there}; expected train; choose another "
            "data set"
        )
    return parts


def record_name(info: tfds.core.DatasetInfo, part: str, number: int) -> str:
    """What a record is called in errors."""
    return f"{info.name} {part} record {number}"


def picture_and_label(info: tfds.core.DatasetInfo) -> tuple[str, str]:
    """The names of the image and of the label.

    Raises:
        CnnjaxError: there is no picture with one class.
    """
    supervised = info.supervised_keys
    keys = supervised if supervised and len(supervised) == 2 else ("image", "label")
    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    image, label = (features.get(key) if isinstance(key, str) else None for key in keys)
    if not (isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel)):
        raise CnnjaxError(
            f"the data set {info.name!r} holds {one_line(', '.join(sorted(features)))}; expected a "
            "picture with one class; choose another data set"
        )
    return keys


def one_line(text: object) -> str:
    """What a file says, or what is said of it, as a part of an error."""
    return " ".join(str(text).split())[:160]


def _records(
    builder: tfds.core.DatasetBuilder, part: str, image: str, label: str
) -> list[dict[str, bytes | int]]:
    """The records of a part, their images still encoded."""
    try:
        source = builder.as_data_source(part, decoders={image: tfds.decode.SkipDecoding()})
        records = [
            record
            for start in range(0, len(source), _CHUNK)
            for record in source.__getitems__(range(start, min(start + _CHUNK, len(source))))
        ]
        # What a truncated file has lost comes back as empty records, without an error.
        if any(record[image] is None or record[label] is None for record in records):
            raise ValueError("empty records")
        return records
    except Exception as error:  # whatever the reader raises over damaged or missing files
        reason = one_line(error)
        raise CnnjaxError(
            f"the {part} records of {builder.info.name!r} in {str(builder.data_path)!r} cannot be "
            f"read ({reason}); remove that folder and prepare it again: python scripts/prepare.py "
            f"{builder.info.name}"
        ) from None
