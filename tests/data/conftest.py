import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from cnnjax.data import load
from cnnjax.data.readers import TrainingReader
from cnnjax.errors import CnnjaxError

COLOURS = {"cat": (200, 30, 40), "dog": (20, 210, 60)}


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """One cache for the whole run, so that the glyphs are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    """No test reads or writes the cache of whoever runs it."""
    monkeypatch.setenv("CNNJAX_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def root(tmp_path):
    """Where a folder of images goes."""
    return tmp_path / "images"


@pytest.fixture(scope="session")
def colours():
    """{class: its colour} of `class_folders`."""
    return COLOURS


@pytest.fixture(scope="session")
def class_folders():
    """`class_folders(root)`: a folder for each class, in it images of 8 x 10 in its colour."""

    def write(root, images=10, suffix="png", classes=COLOURS):
        for name, colour in classes.items():
            (root / name).mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (10, 8), colour).save(root / name / f"{i}.{suffix}")
        return root

    return write


@pytest.fixture(scope="session")
def refused():
    """`refused(root, says)`: the folder cannot be loaded, which one line says."""

    def check(root, says):
        with pytest.raises(CnnjaxError, match=says) as caught:
            load(f"folder:{root}")
        assert "\n" not in str(caught.value)

    return check


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _prepared(data_dir, parts, name="tiny", features=None, encode=_png):
    """What TensorFlow Datasets prepares in the array_record format, written without TensorFlow.

    `parts` gives the images and labels of each part.
    """
    folder = data_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=name, filetype_suffix="array_record"
    )
    infos = []
    for part, (images, labels) in parts.items():
        path = folder / f"{name}-{part}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for image, label in zip(images, labels, strict=True):
            example = tf_example_pb2.Example()
            example.features.feature["image"].bytes_list.value.append(encode(image))
            example.features.feature["label"].int64_list.value.append(int(label))
            writer.write(example.SerializeToString())
        writer.close()
        infos.append(
            tfds.core.SplitInfo(
                name=part,
                shard_lengths=[len(labels)],
                num_bytes=path.stat().st_size,
                filename_template=template,
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features
        or tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            }
        ),
        split_infos=infos,
        filename_template=None,
        supervised_keys=("image", "label"),
        check_data=False,
    )
    return folder


@pytest.fixture(scope="session")
def png():
    """`png(pixels)`: the bytes of the picture."""
    return _png


@pytest.fixture(scope="session")
def prepared():
    """`prepared(data_dir, {part: (images, labels)}, ...)`: a data set of TensorFlow Datasets."""
    return _prepared


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """Where prepared data sets are."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path / "prepared"


@pytest.fixture(scope="session")
def batches_of():
    """`batches_of(data, batch_size, seed, steps)`: what a training is fed of a stream."""

    def read(data, batch_size, seed, steps, **own):
        reader = TrainingReader(data, batch_size, seed, steps, **own)
        try:
            return [next(reader) for _ in range(steps)]
        finally:
            reader.close()

    return read


@pytest.fixture(scope="session")
def same():
    """Whether batches are equal to others."""

    def equal(one, other):
        return all(
            np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
            for a, b in zip(one, other, strict=True)
        )

    return equal
