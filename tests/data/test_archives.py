import zipfile

import numpy as np
import pytest

from cnnjax.data import load
from cnnjax.errors import CnnjaxError

X = np.random.RandomState(0).randint(0, 256, (40, 6, 5)).astype(np.uint8)
Y = np.arange(40) % 4


def write(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


def parts(**changes):
    arrays = {"x_train": X[:24], "y_train": Y[:24], "x_test": X[24:], "y_test": Y[24:]}
    arrays |= changes
    return {key: array for key, array in arrays.items() if array is not None}


def test_train_and_test_are_read_as_they_are(tmp_path):
    splits = load(write(tmp_path, **parts()))
    np.testing.assert_array_equal(splits.train.images, X[:24, ..., None])
    np.testing.assert_array_equal(splits.test.images, X[24:, ..., None])
    np.testing.assert_array_equal(splits.train.labels, Y[:24])
    np.testing.assert_array_equal(splits.test.labels, Y[24:])
    assert splits.validation is None
    assert splits.train.classes == splits.test.classes == ("0", "1", "2", "3")


def test_a_validation_part_is_read_when_there_is_one(tmp_path):
    name = write(tmp_path, **parts(), x_val=X[:8], y_val=Y[:8])
    np.testing.assert_array_equal(load(name).validation.images, X[:8, ..., None])


def test_images_and_labels_alone_are_split_in_the_same_way_every_time(tmp_path):
    name = write(tmp_path, images=X, labels=Y)
    first, second = load(name), load(name)
    assert [len(part) for part in first] == [28, 4, 8]
    assert [part.fingerprint() for part in first] == [part.fingerprint() for part in second]
    assert all(np.bincount(part.labels).std() == 0 for part in first)


def test_a_compressed_archive_is_read_alike(tmp_path):
    np.savez_compressed(tmp_path / "data.npz", **parts())
    np.testing.assert_array_equal(load(f"npz:{tmp_path / 'data.npz'}").train.images[..., 0], X[:24])


def test_names_of_classes_are_taken_from_the_archive(tmp_path):
    names = ["cat", "dog", "Жук", "never seen", "car"]
    labels = {"y_train": Y[:24] // 3, "y_test": Y[24:] // 3}
    splits = load(write(tmp_path, **parts(**labels), classes=np.array(names)))
    assert splits.train.classes == tuple(names)
    as_bytes = np.array([name.encode() for name in names])
    assert load(write(tmp_path, **parts(**labels), classes=as_bytes)).test.classes == tuple(names)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (X.astype(np.int64), X),
        (X.astype(np.float32), X),
        (X.astype(np.float64) + 0.3, np.minimum(X, 254)),
        (X / 255, X),
        ((X / 255).astype(np.float32), X),
        ((X / 255).astype(np.float16), X),
        (X > 127, np.where(X > 127, 255, 0)),
        (X // 255, X // 255),  # whole numbers stay, even zeros and ones
    ],
    ids=["int64", "float 255", "rounded", "shares", "float32", "float16", "bool", "zeros and ones"],
)
def test_pixels_of_other_types_become_bytes(tmp_path, stored, expected):
    if stored.dtype == np.float64 and stored.max() > 1:
        stored = np.minimum(stored, 254.3)
    arrays = parts(x_train=stored[:24], x_test=stored[24:])
    splits = load(write(tmp_path, **arrays))
    assert splits.train.images.dtype == np.uint8
    np.testing.assert_array_equal(splits.train.images[..., 0], expected[:24])
    np.testing.assert_array_equal(splits.test.images[..., 0], expected[24:])


def test_shares_are_told_from_bytes_over_all_parts_at_once(tmp_path):
    dark = np.zeros((16, 6, 5), np.float32)
    dark[0] = 1.0
    splits = load(write(tmp_path, **parts(x_train=X[:24].astype(np.float32), x_test=dark)))
    assert splits.test.images.max() == 1


def test_channels_and_columns_of_labels_are_understood(tmp_path):
    colour = np.repeat(X[..., None], 3, axis=-1)
    arrays = parts(x_train=colour[:24], x_test=colour[24:], y_train=Y[:24, None].astype(np.uint8))
    splits = load(write(tmp_path, **arrays))
    assert splits.train.images.shape == (24, 6, 5, 3)
    assert splits.train.labels.tolist() == Y[:24].tolist()


def test_an_image_size_scales_the_shorter_side_and_cuts_the_middle_out(tmp_path):
    x = np.zeros((40, 4, 16, 1), np.uint8)
    x[:, :, 4:12] = 200  # the middle square is 6:10, and the filter reaches two pixels further
    splits = load(write(tmp_path, images=x, labels=Y), image_size=2)
    assert splits.train.images.shape == (28, 2, 2, 1)
    assert np.all(splits.train.images == 200)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y_test": None}, "has no y_test; expected x_train y_train"),
        ({"x_train": None, "x_test": None}, "has no x_train, x_test"),
        ({"x_val": X[:4]}, "has no y_val"),
        ({"y_train": Y[:23]}, "x_train .* has 24 images but y_train 23 labels"),
        ({"y_train": Y[:24] - 1}, "y_train .* runs from -1"),
        ({"y_test": Y[24:] + 1}, "y_test .* runs up to 4 but y_train only to 3"),
        ({"y_train": Y[:24] + 1}, "y_train .* runs up to 4 but has no 0"),
        ({"y_train": Y[:24].astype(np.float32)}, "y_train .* is float32"),
        ({"y_train": np.eye(24)}, "y_train .* is float64 of shape"),
        ({"y_train": np.full(24, 2**40)}, "y_train .* runs from"),
        ({"y_train": np.array(3)}, "y_train .* is int64 of shape"),
        ({"x_train": X[0]}, r"x_train .* expected numbers \[N, H, W\]"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "x_train .* of shape"),
        ({"x_train": np.array([["a"] * 4] * 24)}, "x_train"),
        ({"x_train": X[:24] + 1j}, "x_train .* is complex"),
        ({"x_train": X[:24] - 300.0}, "run from -300"),
        ({"x_train": X[:24] * 2.0}, "expected 0 to 255, or 0 to 1"),
        ({"x_train": np.full((24, 6, 5), np.nan)}, "expected 0 to 255, or 0 to 1"),
        ({"x_test": X[24:, :5]}, "differ in shape: x_train"),
        ({"classes": np.array(["a", "b"])}, "runs up to 3 but there are 2 classes"),
        ({"classes": np.array(["a", "b", "b", "c"])}, "no name twice"),
        ({"classes": np.array([0.5, 1])}, "classes .* is float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(tmp_path, changes, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        load(write(tmp_path, **parts(**changes)))
    assert "\n" not in str(caught.value)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    name = write(tmp_path, **parts(x_train=np.array([X[0], "rm -rf"], dtype=object)))
    with pytest.raises(CnnjaxError, match="array of Python objects, which is not safe") as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    name = write(tmp_path, **parts())
    path = tmp_path / "data.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CnnjaxError, match="not a whole npz archive"):
            load(name)


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    name = write(tmp_path, **parts())
    path = tmp_path / "data.npz"
    whole = path.read_bytes()
    fingerprints = [part and part.fingerprint() for part in load(name)]
    noticed = 0
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            splits = load(name)
        except CnnjaxError:
            noticed += 1
        else:
            assert [part and part.fingerprint() for part in splits] == fingerprints
    assert noticed > 100


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00", b"\x80\x04N."])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(CnnjaxError, match="not a whole npz archive") as caught:
        load(f"npz:{path}")
    assert "\n" not in str(caught.value)


def test_a_single_saved_array_and_a_folder_are_refused(tmp_path):
    np.save(tmp_path / "data.npy", X)
    for name in ("data.npy", "."):
        with pytest.raises(CnnjaxError, match="not a whole npz archive"):
            load(f"npz:{tmp_path / name}")


def test_a_missing_file_is_named():
    with pytest.raises(CnnjaxError, match=r"there is no file 'nowhere\.npz'"):
        load("npz:nowhere.npz")


@pytest.mark.parametrize("name", ["images", "classes"])
def test_a_member_that_is_no_array_is_refused(tmp_path, name):
    path = tmp_path / "data.npz"
    np.savez(path, labels=np.arange(4) % 2, **({} if name == "images" else {"images": X[:4]}))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"{name}.npy", b"no array")
    with pytest.raises(CnnjaxError, match="not a whole npz archive"):
        load(f"npz:{path}")


@pytest.mark.parametrize(
    "names",
    [np.array([b"cat", b"d\xffg"]), np.full(2, 2**31, np.uint32).view("U1")],
    ids=["bytes", "beyond Unicode"],
)
def test_names_that_are_no_text_are_refused(tmp_path, names):
    name = write(tmp_path, images=X[:8], labels=np.arange(8) % 2, classes=names)
    with pytest.raises(CnnjaxError, match="not a whole npz archive"):
        load(name)
