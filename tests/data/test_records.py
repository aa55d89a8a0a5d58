import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnnjax.data import load
from cnnjax.errors import CnnjaxError

IMAGES = np.random.RandomState(0).randint(0, 256, (30, 8, 6, 3)).astype(np.uint8)
LABELS = np.arange(30) % 2


ALL = {"train": (IMAGES[:20], LABELS[:20]), "test": (IMAGES[20:], LABELS[20:])}


def test_prepared_records_are_read_as_they_are(prepared, data_dir):
    prepared(data_dir, ALL)
    for _ in range(2):  # from the records, and from the cache
        splits = load("tfds:tiny")
        assert splits.validation is None
        assert splits.train.classes == ("cat", "dog")
        for part, (images, labels) in (("train", ALL["train"]), ("test", ALL["test"])):
            np.testing.assert_array_equal(getattr(splits, part).images, images)
            np.testing.assert_array_equal(getattr(splits, part).labels, labels)


def test_reading_imports_no_tensorflow(prepared, data_dir, tmp_path):
    prepared(data_dir, ALL)
    program = (
        "import sys; from cnnjax.data import load;"
        "print(len(load('tfds:tiny').train), 'tensorflow' in sys.modules)"
    )
    environment = {"TFDS_DATA_DIR": str(data_dir), "CNNJAX_CACHE": str(tmp_path), "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["20", "False"]


def test_a_version_may_be_named(prepared, data_dir):
    prepared(data_dir, ALL)
    assert len(load("tfds:tiny:1.0.0").train) == 20
    with pytest.raises(CnnjaxError, match="is not prepared"):
        load("tfds:tiny:2.0.0")


def test_the_well_known_names_need_no_prefix(prepared, data_dir):
    prepared(data_dir, ALL, name="cifar10")
    assert load("cifar10").train.fingerprint() == load("tfds:cifar10").train.fingerprint()


def test_a_validation_part_is_kept_and_a_missing_test_part_made_up_for(prepared, data_dir):
    third = {"validation": (IMAGES[:4], LABELS[:4])}
    prepared(data_dir, ALL | third, name="three")
    prepared(data_dir, {"train": ALL["train"]} | third, name="two")
    prepared(data_dir, {"train": ALL["train"]}, name="one")
    assert [len(part) for part in load("tfds:three")] == [20, 4, 10]
    assert [part and len(part) for part in load("tfds:two")] == [20, None, 4]
    assert [len(part) for part in load("tfds:one")] == [14, 2, 4]


def test_pictures_of_mixed_sizes_become_squares(prepared, data_dir):
    mixed = [image[:, : 6 - i % 2] for i, image in enumerate(IMAGES)]
    prepared(data_dir, {"train": (mixed, LABELS)})
    assert load("tfds:tiny").train.images.shape[1:] == (64, 64, 3)
    assert load("tfds:tiny", image_size=5).train.images.shape[1:] == (5, 5, 3)


def test_a_data_set_that_is_not_prepared_says_which_command_does_it(data_dir):
    for name, bare in (("mnist", "mnist"), ("tfds:no_such", "no_such")):
        with pytest.raises(CnnjaxError, match=rf"python scripts/prepare\.py {bare}$") as caught:
            load(name)
        assert "\n" not in str(caught.value)
        assert str(data_dir) in str(caught.value)


@pytest.mark.parametrize("name", ["tfds:", "tfds:../tiny", "tfds:a b", "tfds:tiny/x=3,y=4"])
def test_a_malformed_name_is_refused(data_dir, name):
    with pytest.raises(CnnjaxError, match="is no name of a data set") as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_a_data_set_in_another_format_is_refused(prepared, data_dir):
    info = prepared(data_dir, ALL) / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(CnnjaxError, match="was prepared as tfrecord; expected array_record"):
        load("tfds:tiny")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_metadata_are_named(prepared, data_dir, name):
    path = prepared(data_dir, ALL) / name
    path.write_text(path.read_text()[:-40])
    with pytest.raises(CnnjaxError, match=r"'tiny' in '.*' cannot be read") as caught:
        load("tfds:tiny")
    assert "\n" not in str(caught.value)


def test_missing_and_truncated_records_are_named(prepared, data_dir):
    folder = prepared(data_dir, ALL)
    (path,) = folder.glob("*train*")
    whole = path.read_bytes()
    for content in (None, b"", whole[: len(whole) // 2]):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CnnjaxError, match=r"the train records of 'tiny' .*prepare it again"):
            load("tfds:tiny")


def test_a_damaged_picture_is_named(prepared, png, data_dir):
    prepared(data_dir, ALL, encode=lambda image: png(image)[:-60])
    with pytest.raises(CnnjaxError, match="'tiny train record 0' is not a whole picture"):
        load("tfds:tiny")


def test_a_data_set_without_a_picture_and_a_class_is_refused(prepared, data_dir):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Text(), "label": tfds.features.Scalar(np.int64)}
    )
    prepared(data_dir, ALL, features=features)
    with pytest.raises(CnnjaxError, match="holds image, label; expected a picture with one class"):
        load("tfds:tiny")


def test_a_data_set_without_a_train_part_is_refused(prepared, data_dir):
    prepared(data_dir, {"test": ALL["test"]})
    with pytest.raises(CnnjaxError, match="has the parts test; expected train"):
        load("tfds:tiny")


def test_more_records_than_the_files_could_hold_are_refused(prepared, data_dir):
    path = prepared(data_dir, ALL) / "dataset_info.json"
    path.write_text(path.read_text().replace('"20"', f'"{2**32}"'))
    with pytest.raises(CnnjaxError, match=f"claims {2**32 + 10} records in files of"):
        load("tfds:tiny")


def test_a_part_whose_name_is_of_two_lines_is_refused_in_one(prepared, data_dir):
    path = prepared(data_dir, ALL) / "dataset_info.json"
    path.write_text(path.read_text().replace('"train"', '"a\\nb"'))
    with pytest.raises(CnnjaxError, match="has the parts a b, test; expected train"):
        load("tfds:tiny")


@pytest.mark.parametrize("label", [2, 99, -1, 2**40])
def test_a_label_of_no_class_is_named(prepared, data_dir, label):
    labels = [label if place == 7 else int(LABELS[place]) for place in range(20)]
    prepared(data_dir, {"train": (IMAGES[:20], labels)})
    with pytest.raises(CnnjaxError, match=f"'tiny train record 7' has the label {label}; expected"):
        load("tfds:tiny")


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda features: features | {"pythonClassName": "of_a_stranger.Feature"},
        lambda features: features | {"python_class_name": "of_a_stranger.Feature"},
        lambda features: {"type": "of_a_stranger.Feature", "content": {}},
        lambda features: (
            features
            | {"jsonFeature": {"json": json.dumps({"x": {"type": "of_a_stranger.Feature"}})}}
        ),
    ],
)
def test_nothing_that_a_data_set_names_is_imported(
    prepared, data_dir, tmp_path, monkeypatch, spoilt
):
    path = prepared(data_dir, ALL) / "features.json"
    path.write_text(json.dumps(spoilt(json.loads(path.read_text()))))
    (tmp_path / "of_a_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CnnjaxError, match=r"a feature is of the class 'of_a_stranger\.Feature'"):
        load("tfds:tiny")
    assert not (tmp_path / "ran").exists()
