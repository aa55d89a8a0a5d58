import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import load
from cnnjax.data.pictures import Picture, centre_square, decode_parts
from cnnjax.errors import CnnjaxError

COLOURS = {"cat": (200, 30, 40), "dog": (20, 210, 60)}


NOISE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (8, 10, 3)).astype(np.uint8))


def picture(colour=(120, 120, 120), size=(10, 8)):
    return Image.new("RGB", size, colour)


def class_folders(root, images=10, suffix="png", classes=COLOURS):
    for name, colour in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(images):
            picture(colour).save(root / name / f"{i}.{suffix}")
    return root


@pytest.fixture
def root(tmp_path):
    return tmp_path / "images"


def one_line(caught):
    assert "\n" not in str(caught.value)


def test_class_folders_are_read_and_split_within_each_class(root):
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
            assert np.all(image == COLOURS[part.classes[label]])


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_train_validation_and_test_folders_are_the_parts(root, validation):
    for i, part in enumerate(("train", validation, "test")):
        class_folders(root / part, images=i + 1)
    assert [len(part) for part in load(f"folder:{root}")] == [2, 4, 6]


def test_the_only_part_held_out_is_the_one_to_report_on(root):
    class_folders(root / "train", images=3)
    class_folders(root / "val", images=1)
    splits = load(f"folder:{root}")
    assert splits.validation is None
    assert (len(splits.train), len(splits.test)) == (6, 2)


def test_a_train_folder_alone_is_split(root):
    class_folders(root / "train")
    assert [len(part) for part in load(f"folder:{root}")] == [14, 2, 4]


def test_a_class_may_be_called_train(root):
    class_folders(root, classes={"train": (9, 9, 9), "bus": (99, 99, 99)})
    assert load(f"folder:{root}").train.classes == ("bus", "train")


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "jpg", "jpeg", "webp", "PNG"])
def test_every_kind_of_image_is_read(root, suffix):
    train = load(f"folder:{class_folders(root, suffix=suffix)}").train
    for image, label in zip(train.images, train.labels, strict=True):
        # JPEG and WebP are lossy, GIF has a palette.
        np.testing.assert_allclose(
            image, np.broadcast_to(COLOURS[train.classes[label]], (8, 10, 3)), atol=5
        )


def test_the_first_frame_of_a_moving_image_is_taken(root):
    class_folders(root, suffix="gif")
    frames = [picture((250, 250, 250)), picture((0, 0, 0))]
    for i in range(10):
        frames[0].save(root / "cat" / f"{i}.gif", save_all=True, append_images=frames[1:])
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == 250)


def test_images_of_one_size_stay_as_they_are(root):
    assert load(f"folder:{class_folders(root)}").train.images.shape[1:] == (8, 10, 3)


def test_images_of_mixed_sizes_become_squares_of_64(root):
    class_folders(root)
    picture(COLOURS["cat"], size=(30, 100)).save(root / "cat" / "long.png")
    splits = load(f"folder:{root}")
    assert splits.train.images.shape[1:] == (64, 64, 3)
    assert np.all(splits.train.images[splits.train.labels == 0] == COLOURS["cat"])


def test_an_image_size_is_kept_to_whatever_the_sizes(root):
    class_folders(root)
    assert load(f"folder:{root}", image_size=6).train.images.shape[1:] == (6, 6, 3)
    assert load(f"folder:{root}").train.images.shape[1:] == (8, 10, 3)


def test_the_middle_square_is_what_scaling_and_then_cutting_gives():
    noise = np.random.RandomState(0).randint(0, 256, (40, 100, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    whole = image.resize((25, 10), Image.Resampling.BILINEAR)
    # 7.5 pixels are cut off at either side: compare with the two neighbours.
    left, right = (np.asarray(whole.crop((x, 0, x + 10, 10)), float) for x in (7, 8))
    found = np.asarray(centre_square(image, 10), float)
    assert np.abs(found - (left + right) / 2).mean() < 0.5 * np.abs(left - right).mean()
    square = Image.fromarray(noise[:, :40])
    np.testing.assert_array_equal(
        centre_square(square, 10), square.resize((10, 10), Image.Resampling.BILINEAR)
    )


def test_grey_files_stay_grey_and_one_in_colour_makes_all_colour(root):
    for name, grey in (("cat", 10), ("dog", 240)):
        (root / name).mkdir(parents=True)
        for i in range(10):
            Image.new("L", (8, 8), grey).save(root / name / f"{i}.png")
    train = load(f"folder:{root}").train
    assert train.images.shape[1:] == (8, 8, 1)
    assert np.all(train.images[train.labels == 1] == 240)
    picture((255, 0, 0), size=(8, 8)).save(root / "cat" / "red.png")
    assert load(f"folder:{root}").train.images.shape[1:] == (8, 8, 3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (8, 8), 1), 255),
        (Image.new("LA", (8, 8), (90, 255)), 90),
        (Image.fromarray(np.full((8, 8), 40_000, np.uint16)), 156),
        (Image.new("LA", (8, 8), (90, 0)), 255),
    ],
    ids=["1 bit", "grey and opaque", "16 bits", "grey and transparent"],
)
def test_other_greys_are_brought_to_bytes(root, image, expected):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            image.save(root / name / f"{i}.png")
    images = load(f"folder:{root}").train.images
    assert images.shape[-1] == 1
    assert np.all(images == expected)


def test_what_is_transparent_becomes_white(root):
    class_folders(root)
    for i in range(10):
        Image.new("RGBA", (10, 8), (0, 0, 0, 0)).save(root / "cat" / f"{i}.png")
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == 255)
    assert np.all(train.images[train.labels == 1] == COLOURS["dog"])


def test_pictures_for_print_become_red_green_and_blue(root):
    class_folders(root, suffix="jpg")
    for i in range(10):  # cyan 0, magenta 200, yellow 50, black 30 of 255
        Image.new("CMYK", (10, 8), (0, 200, 50, 30)).save(root / "cat" / f"{i}.jpg")
    train = load(f"folder:{root}").train
    # (1 - ink) (1 - black): 255 x 0.882, x 0.216 x 0.882, x 0.804 x 0.882
    colours = train.images[train.labels == 0].reshape(-1, 3).astype(int)
    assert np.all(np.abs(colours - (225, 48, 181)) <= 2)


def png_of_16_bits(path, colour, kind):
    """Pillow reads them, but writes none: IHDR, one IDAT, IEND (PNG specification, section 11)."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    row = b"\0" + np.tile(np.array(colour, ">u2"), 10).tobytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 8, 16, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(row * 8))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("colour", "kind", "expected"),
    [
        ((40_000, 10_000, 60_000), 2, (156, 39, 234)),
        ((40_000, 10_000, 60_000, 65_535), 6, (156, 39, 234)),
        ((40_000, 10_000, 60_000, 0), 6, (255, 255, 255)),
    ],
    ids=["colour", "opaque", "transparent"],
)
def test_colours_of_16_bits_are_brought_to_bytes(root, colour, kind, expected):
    class_folders(root)
    for i in range(10):
        png_of_16_bits(root / "cat" / f"{i}.png", colour, kind)
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == expected)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_first_frame_of_an_animation_in_colour_is_taken(root, kind):
    class_folders(root, suffix=kind)
    frames = [Image.new("RGB", (10, 8), colour) for colour in ("red", "blue")]
    for i in range(10):
        path = root / "cat" / f"{i}.{kind}"
        extra = {"lossless": True} if kind == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **extra)
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == (255, 0, 0))


def test_a_picture_too_large_to_be_decoded_safely_is_named(root, monkeypatch):
    class_folders(root)
    picture(size=(40, 30)).save(root / "dog" / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # twice that is refused
    with pytest.raises(CnnjaxError, match=r"huge\.png' is too large; expected at most 1,000") as c:
        load(f"folder:{root}")
    one_line(c)


def test_a_large_picture_is_read_without_a_warning(root, monkeypatch, recwarn):
    class_folders(root)
    picture(size=(40, 20)).save(root / "dog" / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert sum(len(part) for part in load(f"folder:{root}")) == 21
    assert not recwarn.list


def test_too_little_memory_is_not_blamed_on_the_picture(root, monkeypatch):
    class_folders(root)

    def convert(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(MemoryError):
        load(f"folder:{root}")


def test_a_folder_with_one_image_a_class_is_refused_in_one_line(root):
    with pytest.raises(CnnjaxError, match="2 images of 2 classes are too few to be split") as c:
        load(f"folder:{class_folders(root, images=1)}")
    one_line(c)


def test_images_are_turned_as_their_orientation_says(root):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            # Stored on its side (orientation 6): what is left in the file is on top when upright.
            stored = np.zeros((10, 8), np.uint8)
            stored[:, :4] = 255
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.fromarray(stored).save(root / name / f"{i}.png", exif=exif)
    images = load(f"folder:{root}").train.images
    assert images.shape[1:] == (8, 10, 1)
    assert np.all(images[:, :4] == 255)
    assert np.all(images[:, 4:] == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only Unicode names")
def test_names_that_are_no_unicode_are_read(root):
    folder = class_folders(root.with_name(os.fsdecode(b"caf\xe9")))
    (folder / "cat").rename(folder / os.fsdecode(b"f\xe9lin"))
    for _ in range(2):
        assert sum(len(part) for part in load(f"folder:{folder}")) == 20


def test_hidden_files_and_files_of_other_kinds_are_passed_over(root):
    class_folders(root)
    (root / "cat" / ".hidden.png").write_bytes(b"no image")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / ".git").mkdir()
    (root / "labels.csv").write_text("no image")
    assert sum(len(part) for part in load(f"folder:{root}")) == 20


def test_the_same_folder_gives_the_same_images_and_a_changed_one_others(root):
    class_folders(root)
    first = load(f"folder:{root}")
    again = load(f"folder:{root}")
    assert [p.fingerprint() for p in first] == [p.fingerprint() for p in again]
    for i in range(10):
        picture((1, 2, 3)).save(root / "cat" / f"{i}.png")
        # As large as before and within the same second.
        os.utime(root / "cat" / f"{i}.png", ns=(10**18, 10**18 + i))
    changed = load(f"folder:{root}").train
    assert np.all(changed.images[changed.labels == 0] == (1, 2, 3))
    (root / "cat" / "0.png").unlink()
    assert sum(len(part) for part in load(f"folder:{root}")) == 19


def test_a_truncated_image_is_named(root):
    class_folders(root)
    path = root / "dog" / "half.jpg"
    NOISE.save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(CnnjaxError, match=r"half\.jpg' is not a whole picture") as caught:
            load(f"folder:{root}")
        one_line(caught)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_an_image_cut_off_anywhere_is_refused_or_whole_all_the_same(kind):
    file = io.BytesIO()
    NOISE.resize((40, 30)).save(file, kind)
    whole = file.getvalue()

    def pixels(content):
        return decode_parts({"train": [Picture("cut", content)]}, None)["train"]

    refused = 0
    for length in range(0, len(whole), max(1, len(whole) // 50)):
        try:
            found = pixels(whole[:length])
        except CnnjaxError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, pixels(whole))
    assert refused >= 45


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "webp", "jpg"])
def test_a_file_that_is_no_image_is_named(root, suffix):
    class_folders(root)
    (root / "cat" / f"fake.{suffix}").write_bytes(b"GIF89a" + bytes(range(200)))
    with pytest.raises(CnnjaxError, match=rf"fake\.{suffix}' is not a whole picture") as caught:
        load(f"folder:{root}")
    one_line(caught)


def test_nothing_is_cached_of_a_folder_with_a_damaged_image(root, cache):
    class_folders(root)
    path = root / "cat" / "0.png"
    NOISE.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    before = set(cache.iterdir())
    with pytest.raises(CnnjaxError):
        load(f"folder:{root}")
    assert set(cache.iterdir()) == before
    path.write_bytes(whole)
    assert sum(len(part) for part in load(f"folder:{root}")) == 20


def test_folders_that_hold_no_data_set_are_refused_in_one_line(root):
    def refused(says):
        with pytest.raises(CnnjaxError, match=says) as caught:
            load(f"folder:{root}")
        one_line(caught)

    refused("is no folder")
    root.mkdir()
    refused(r"holds 0 class folder\(s\); expected two or more")
    class_folders(root, classes={"cat": (1, 2, 3)})
    refused(r"holds 1 class folder\(s\); expected two or more")
    (root / "dog").mkdir()
    refused("class folder '.*dog' holds no image; expected files")
    (root / "dog" / "puppies").mkdir()
    refused("class folder '.*dog' holds the folder 'puppies'")


def test_parts_of_different_classes_are_refused(root):
    class_folders(root / "train")
    class_folders(root / "test", classes={"cat": (1, 2, 3), "cow": (4, 5, 6)})
    with pytest.raises(CnnjaxError, match="differ in the classes cow, dog") as caught:
        load(f"folder:{root}")
    one_line(caught)


def test_a_stray_folder_beside_the_parts_is_refused(root):
    class_folders(root / "train")
    class_folders(root / "extra")
    with pytest.raises(CnnjaxError, match="extra' stands beside train") as caught:
        load(f"folder:{root}")
    one_line(caught)
    (root / "extra").rename(root / "val")
    class_folders(root / "validation")
    with pytest.raises(CnnjaxError, match="validation' stands beside train"):
        load(f"folder:{root}")


def test_a_broken_link_is_named(root):
    class_folders(root)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(CnnjaxError, match=r"cannot read '.*gone\.png'") as caught:
        load(f"folder:{root}")
    one_line(caught)


@pytest.mark.parametrize("size", [0, -3])
def test_an_image_size_below_one_is_refused(root, size):
    with pytest.raises(CnnjaxError, match="expected 1 or more"):
        load(f"folder:{class_folders(root)}", image_size=size)
