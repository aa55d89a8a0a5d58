"""Folders of images: the parts and the classes that they hold."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import load


def test_class_folders_are_read_and_split_within_each_class(root, class_folders, colours):
    splits = load(f"folder:{class_folders(root)}")
    assert [part.images.shape for part in splits] == [
        (14, 8, 10, 3),
        (2, 8, 10, 3),
        (4, 8, 10, 3),
    ]
    for part in splits:
        assert part.classes == ("cat", "dog")
        assert np.bincount(part.labels).std() == 0
        for image, label in zip(part.images, part.labels, strict=True):
            assert np.all(image == colours[part.classes[label]])


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_train_validation_and_test_folders_are_the_parts(root, class_folders, validation):
    for i, part in enumerate(("train", validation, "test")):
        class_folders(root / part, images=i + 1)
    assert [len(part) for part in load(f"folder:{root}")] == [2, 4, 6]


def test_the_only_part_held_out_is_the_one_to_report_on(root, class_folders):
    class_folders(root / "train", images=3)
    class_folders(root / "val", images=1)
    splits = load(f"folder:{root}")
    assert splits.validation is None
    assert (len(splits.train), len(splits.test)) == (6, 2)


def test_a_train_folder_alone_is_split(root, class_folders):
    class_folders(root / "train")
    assert [len(part) for part in load(f"folder:{root}")] == [14, 2, 4]


def test_a_class_may_be_called_train(root, class_folders):
    class_folders(root, classes={"train": (9, 9, 9), "bus": (99, 99, 99)})
    assert load(f"folder:{root}").train.classes == ("bus", "train")


def test_a_folder_with_one_image_a_class_is_refused_in_one_line(root, class_folders, refused):
    refused(class_folders(root, images=1), "2 images of 2 classes are too few to be split")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only Unicode names")
def test_names_that_are_no_unicode_are_read(root, class_folders):
    folder = class_folders(root.with_name(os.fsdecode(b"caf\xe9")))
    (folder / "cat").rename(folder / os.fsdecode(b"f\xe9lin"))
    for _ in range(2):
        assert sum(len(part) for part in load(f"folder:{folder}")) == 20


def test_hidden_files_and_files_of_other_kinds_are_passed_over(root, class_folders):
    class_folders(root)
    (root / "cat" / ".hidden.png").write_bytes(b"no image")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / ".git").mkdir()
    (root / "labels.csv").write_text("no image")
    assert sum(len(part) for part in load(f"folder:{root}")) == 20


def test_the_same_folder_gives_the_same_images_and_a_changed_one_others(root, class_folders):
    class_folders(root)
    first = load(f"folder:{root}")
    again = load(f"folder:{root}")
    assert [p.fingerprint() for p in first] == [p.fingerprint() for p in again]
    for i in range(10):
        Image.new("RGB", (10, 8), (1, 2, 3)).save(root / "cat" / f"{i}.png")
        # As large as before and within the same second.
        os.utime(root / "cat" / f"{i}.png", ns=(10**18, 10**18 + i))
    changed = load(f"folder:{root}").train
    assert np.all(changed.images[changed.labels == 0] == (1, 2, 3))
    (root / "cat" / "0.png").unlink()
    assert sum(len(part) for part in load(f"folder:{root}")) == 19


def test_folders_that_hold_no_data_set_are_refused_in_one_line(root, class_folders, refused):
    refused(root, "is no folder")
    root.mkdir()
    refused(root, r"holds 0 class folder\(s\); expected two or more")
    class_folders(root, classes={"cat": (1, 2, 3)})
    refused(root, r"holds 1 class folder\(s\); expected two or more")
    (root / "dog").mkdir()
    refused(root, "class folder '.*dog' holds no image; expected files")
    (root / "dog" / "puppies").mkdir()
    refused(root, "class folder '.*dog' holds the folder 'puppies'")


def test_parts_of_different_classes_are_refused(root, class_folders, refused):
    class_folders(root / "train")
    class_folders(root / "test", classes={"cat": (1, 2, 3), "cow": (4, 5, 6)})
    refused(root, "differ in the classes cow, dog")


def test_a_stray_folder_beside_the_parts_is_refused(root, class_folders, refused):
    class_folders(root / "train")
    class_folders(root / "extra")
    refused(root, "extra' stands beside train")
    (root / "extra").rename(root / "val")
    class_folders(root / "validation")
    refused(root, "validation' stands beside train")


def test_a_broken_link_is_named(root, class_folders, refused):
    class_folders(root)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    refused(root, r"cannot read '.*gone\.png'")
