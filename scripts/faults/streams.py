"""Streamed data for scripts/faults/fuzz.py: records of TensorFlow Datasets, and folders."""

import io
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from faults.files import Kind
from faults.mutations import in_bits, in_json, in_png, mutated

NAME, CLASSES = "tiny", ("cat", "dog")
RECORDS = f"{NAME}-train.array_record-00000-of-00001"
IMAGES = np.random.RandomState(0).randint(0, 256, (24, 6, 5, 3)).astype(np.uint8)
_LABELS = (None, None, 2, -1, 99, 2**31, -(2**63))
_BLOCK = 2**16  # bytes: what follows in a file of records begins at a multiple


def prepare(folder: Path) -> Path:
    """Writes `IMAGES` as TensorFlow Datasets prepares them, with classes in turn; their folder."""
    import tensorflow_datasets as tfds

    folder = folder / NAME / "1.0.0"
    folder.mkdir(parents=True)
    _write_records(folder / RECORDS, map(_record, range(len(IMAGES))))
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=NAME, filetype_suffix="array_record"
    )
    size = (folder / RECORDS).stat().st_size
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=CLASSES),
    }
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_infos=[tfds.core.SplitInfo("train", [len(IMAGES)], size, template)],
        filename_template=None,
        supervised_keys=tuple(features),
        check_data=False,
    )
    return folder


def _record(number: int, label: int | None = None) -> bytes:
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    example.features.feature["image"].bytes_list.value.append(_png(IMAGES[number]))
    example.features.feature["label"].int64_list.value.append(
        number % len(CLASSES) if label is None else label
    )
    return example.SerializeToString()


def _png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def _write_records(path: Path, records: Iterable[bytes]) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    with closing(ArrayRecordWriter(str(path), "group_size:1")) as writer:
        for record in records:
            writer.write(record)


def in_blocks(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A file of records with something wrong in a block, everything else where it was.

    Most of such a file is padding with zeros, which is left alone.
    """
    blocks = [content[place : place + _BLOCK] for place in range(0, len(content), _BLOCK)]
    victim = rng.randrange(len(blocks))
    size = len(blocks[victim])
    blocks[victim] = mutated(blocks[victim].rstrip(b"\0"), rng)[:size].ljust(size, b"\0")
    return b"".join(blocks)


def in_record(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A whole file of records of which one is mutated, or the picture in it: checksums are right.

    It has the records of `prepare`, whatever `content` is.
    """
    records = [_record(number) for number in range(len(IMAGES))]
    victim = rng.randrange(len(records))
    if rng.random() < 0.3:  # a picture of the same size, so that the lengths around it are right
        picture = _png(IMAGES[victim])
        harmed = in_png(picture, rng)[: len(picture)].ljust(len(picture), b"\0")
        records[victim] = records[victim].replace(picture, harmed)
    else:
        records[victim] = mutated(_record(victim, rng.choice(_LABELS)), rng, records)
    with tempfile.TemporaryDirectory() as folder:
        _write_records(Path(folder, RECORDS), records)
        return Path(folder, RECORDS).read_bytes()


def _whole(name: str, folder: Path, canary: Path) -> list[bytes]:
    return [(prepare(folder) / name).read_bytes()]


def _read_records(known: bool, path: Path) -> None:
    """Streams a data set of which one file is `path`; the others are put beside it.

    Args:
      known: whether what is read has to be what was written.
      path: the file.
    """
    whole = path.parents[3] / "whole"
    if not whole.exists():
        prepare(whole)
    for file in (whole / NAME / "1.0.0").iterdir():
        if not (path.parent / file.name).exists():
            shutil.copy(file, path.parent)
    os.environ["TFDS_DATA_DIR"] = str(path.parents[2])
    pairs = {(image.tobytes(), n % len(CLASSES)) for n, image in enumerate(IMAGES)}
    for image, label in _stream(f"tfds:{NAME}", 6 if not known else None):
        if known and (image.tobytes(), label) not in pairs:
            raise AssertionError("another image, or another class, than was written")


def _stream(name: str, image_size: int | None) -> Iterable[tuple[np.ndarray, int]]:
    """All that a training and an evaluation are given of a streamed data set."""
    from cnnjax.data import stream
    from cnnjax.data.readers import TrainingReader, every_example_once

    data = stream(name, image_size=image_size, workers=2).train
    found = []
    with closing(TrainingReader(data, 5, 0, 4)) as reader:
        found += [next(reader) for _ in range(4)]
    found += every_example_once(data, 5)
    for batch in found:
        for image, label, weight in zip(*batch, strict=True):
            if weight:
                if not 0 <= label < data.num_classes:
                    raise AssertionError(f"an example of class {label} of {data.num_classes}")
                yield image, int(label)
    for said in (*data.reading.corrupt.values(), *data.damaged):
        if "\n" in said:
            raise AssertionError(f"no line: {said[:300]!r}")


def _pictures(folder: Path, canary: Path) -> list[bytes]:
    found = [_png(image) for image in IMAGES[:3]]
    for form in ("JPEG", "GIF", "BMP"):
        written = io.BytesIO()
        Image.fromarray(IMAGES[0]).save(written, form)
        found.append(written.getvalue())
    return found


def _read_folder(path: Path) -> None:
    """Streams a folder in which one picture is `path`."""
    Image.MAX_IMAGE_PIXELS = 2**21  # of Pillow's 2^26: the same refusal, in less time
    for number, image in enumerate(IMAGES):
        file = path.parents[1] / CLASSES[number % 2] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_bytes(_png(image))
    if sum(1 for _ in _stream(f"folder:{path.parents[1]}", 6)) < len(IMAGES):
        raise AssertionError("whole pictures were left out")


def _kind(name: str, file: str, mutations: Sequence[Callable], known: bool) -> Kind:
    place = f"d/{NAME}/1.0.0/{file}"
    return Kind(name, place, partial(_whole, file), partial(_read_records, known), mutations)


STREAMS = (
    _kind("stream: array_record", RECORDS, (mutated, in_blocks, in_bits, in_bits), True),
    _kind("stream: a record of TFDS", RECORDS, (in_record,), False),
    _kind("stream: dataset_info.json of TFDS", "dataset_info.json", (mutated, in_json), True),
    _kind("stream: features.json of TFDS", "features.json", (mutated, in_json), False),
    Kind("stream: a picture in a folder", "s/cat/m.png", _pictures, _read_folder,
         (mutated, mutated, in_png)),
)  # fmt: skip
"""Files of streamed data sets; each is read with whole ones beside it."""
