"""Files of pictures: every kind, size and colour, and the damaged ones."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import load, pictures
from cnnjax.data.pictures import Picture, centre_square, check_side, decode_parts
from cnnjax.errors import CnnjaxError

NOISE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (8, 10, 3)).astype(np.uint8))


def picture(colour=(120, 120, 120), size=(10, 8)):
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "jpg", "jpeg", "webp", "PNG"])
def test_every_kind_of_image_is_read(root, class_folders, colours, suffix):
    train = load(f"folder:{class_folders(root, suffix=suffix)}").train
    for image, label in zip(train.images, train.labels, strict=True):
        # JPEG and WebP are lossy, GIF has a palette.
        np.testing.assert_allclose(
            image, np.broadcast_to(colours[train.classes[label]], (8, 10, 3)), atol=5
        )


def test_the_first_frame_of_a_moving_image_is_taken(root, class_folders):
    class_folders(root, suffix="gif")
    frames = [picture((250, 250, 250)), picture((0, 0, 0))]
    for i in range(10):
        frames[0].save(root / "cat" / f"{i}.gif", save_all=True, append_images=frames[1:])
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == 250)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_first_frame_of_an_animation_in_colour_is_taken(root, class_folders, kind):
    class_folders(root, suffix=kind)
    frames = [Image.new("RGB", (10, 8), colour) for colour in ("red", "blue")]
    for i in range(10):
        path = root / "cat" / f"{i}.{kind}"
        extra = {"lossless": True} if kind == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **extra)
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == (255, 0, 0))


def test_images_of_one_size_stay_as_they_are(root, class_folders):
    assert load(f"folder:{class_folders(root)}").train.images.shape[1:] == (8, 10, 3)


def test_images_of_mixed_sizes_become_squares_of_64(root, class_folders, colours):
    class_folders(root)
    picture(colours["cat"], size=(30, 100)).save(root / "cat" / "long.png")
    splits = load(f"folder:{root}")
    assert splits.train.images.shape[1:] == (64, 64, 3)
    assert np.all(splits.train.images[splits.train.labels == 0] == colours["cat"])


def test_an_image_size_is_kept_to_whatever_the_sizes(root, class_folders):
    class_folders(root)
    assert load(f"folder:{root}", image_size=6).train.images.shape[1:] == (6, 6, 3)
    assert load(f"folder:{root}").train.images.shape[1:] == (8, 10, 3)


@pytest.mark.parametrize("size", [0, -3])
def test_an_image_size_below_one_is_refused(root, class_folders, size):
    with pytest.raises(CnnjaxError, match="expected 1 or more"):
        load(f"folder:{class_folders(root)}", image_size=size)


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


def test_what_is_transparent_becomes_white(root, class_folders, colours):
    class_folders(root)
    for i in range(10):
        Image.new("RGBA", (10, 8), (0, 0, 0, 0)).save(root / "cat" / f"{i}.png")
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == 255)
    assert np.all(train.images[train.labels == 1] == colours["dog"])


def test_pictures_for_print_become_red_green_and_blue(root, class_folders):
    class_folders(root, suffix="jpg")
    for i in range(10):  # cyan 0, magenta 200, yellow 50, black 30 of 255
        Image.new("CMYK", (10, 8), (0, 200, 50, 30)).save(root / "cat" / f"{i}.jpg")
    train = load(f"folder:{root}").train
    # (1 - ink) (1 - black): 255 x 0.882, x 0.216 x 0.882, x 0.804 x 0.882
    found = train.images[train.labels == 0].astype(int)
    assert np.all(np.abs(found - (225, 48, 181)) <= 2)


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
def test_colours_of_16_bits_are_brought_to_bytes(root, class_folders, colour, kind, expected):
    class_folders(root)
    for i in range(10):
        png_of_16_bits(root / "cat" / f"{i}.png", colour, kind)
    train = load(f"folder:{root}").train
    assert np.all(train.images[train.labels == 0] == expected)


def test_a_picture_too_large_to_be_decoded_safely_is_named(
    root, class_folders, refused, monkeypatch
):
    class_folders(root)
    picture(size=(40, 30)).save(root / "dog" / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # twice that is refused
    refused(root, r"huge\.png' is too large; expected at most 1,000")


def test_a_large_picture_is_read_without_a_warning(root, class_folders, monkeypatch, recwarn):
    class_folders(root)
    picture(size=(40, 20)).save(root / "dog" / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert sum(len(part) for part in load(f"folder:{root}")) == 21
    assert not recwarn.list


def test_too_little_memory_is_not_blamed_on_the_picture(root, class_folders, monkeypatch):
    class_folders(root)

    def convert(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(MemoryError):
        load(f"folder:{root}")


def test_a_truncated_image_is_named(root, class_folders, refused):
    class_folders(root)
    path = root / "dog" / "half.jpg"
    NOISE.save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(root, r"half\.jpg' is not a whole picture")


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
def test_a_file_that_is_no_image_is_named(root, class_folders, refused, suffix):
    class_folders(root)
    (root / "cat" / f"fake.{suffix}").write_bytes(b"GIF89a" + bytes(range(200)))
    refused(root, rf"fake\.{suffix}' is not a whole picture")


def test_nothing_is_cached_of_a_folder_with_a_damaged_image(root, class_folders, cache):
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


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGE", 10)
    at_work, most = [0], [0]
    convert = Image.Image.convert

    def watched(image, mode):
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.01)
        at_work[0] -= 1
        return convert(image, mode)

    monkeypatch.setattr(Image.Image, "convert", watched)
    for number in range(6):
        Image.new("L", (5, 5)).save(tmp_path / f"{number}.png")
    files = [Picture(path.name, path) for path in sorted(tmp_path.iterdir())]
    assert decode_parts({"train": files}, None)["train"].shape == (6, 5, 5, 1)
    assert most == [1]


@pytest.mark.parametrize("side", [0, -1, 10**30])
def test_a_side_that_cannot_be_is_refused(side):
    with pytest.raises(CnnjaxError, match="pixels a side cannot be"):
        check_side(side)
