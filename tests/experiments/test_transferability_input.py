"""Whatever a user gets wrong: one line that says so, before anything is written."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transferability import Config, parse_layers, run

from cnnjax.errors import CnnjaxError


def refusal(config: Config) -> str:
    """The one line with which the study refuses; nothing may have been written."""
    with pytest.raises(CnnjaxError) as error:
        run(config)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 400
    assert not config.out.exists()
    return message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"network": "lenet6"}, "there is no network 'lenet6'; cnnjax.list_models() names the"),
        ({"dataset": "mnits"}, "unknown data set 'mnits'; expected glyphs"),
        ({"dataset": "glyphs/klingon"}, "klingon"),
        ({"dataset": "npz:nowhere.npz"}, "there is no file 'nowhere.npz'"),
        ({"dataset": "folder:nowhere"}, "nowhere' is no folder"),
        ({"treatments": ("AnB", "AnC")}, "there is no treatment 'AnC'; the treatments are base,"),
        ({"layers": "1-5"}, "--layers asks for n = 5, but lenet5 has 5 stages; n is between 1 and"),
        ({"layers": "0"}, "--layers asks for n = 0"),
        ({"split": "halves"}, "there is no split 'halves'; give random, GROUP-vs-others"),
        ({"split": "latin-vs-others"}, "cannot be halved by the group 'latin'"),
        ({"split": "file:nowhere.json"}, "cannot read the halves from 'nowhere.json'"),
        ({"splits": 0}, "--splits is 0, which cannot be; give from 1 to 1000"),
        ({"splits": -2}, "--splits is -2, which cannot be; give from 1 to 1000"),
        ({"steps": 0}, "a training of 0 steps cannot be; give at least 1 step"),
        ({"steps": -3}, "a training of -3 steps cannot be"),
        ({"steps": None, "epochs": 0.0}, "a training of 0.0 steps cannot be"),
        ({"steps": None, "epochs": -1.0}, "steps cannot be; give at least 1 step"),
        ({"steps": None, "epochs": math.nan}, "a training of nan steps cannot be"),
        ({"steps": None, "epochs": math.inf}, "a training of inf steps cannot be"),
        ({"epochs": 1.0}, "steps=20 and epochs=1.0; give one"),
        ({"batch_size": 0}, "--batch-size is 0, which cannot be; give at least 1"),
        ({"batch_size": -16}, "--batch-size is -16"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0, which cannot be; give more than 0"),
        ({"learning_rate": -0.1}, "--learning-rate is -0.1"),
        ({"learning_rate": math.nan}, "--learning-rate is nan"),
        ({"learning_rate": math.inf}, "--learning-rate is inf"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0, which cannot be; give at least 0"),
        ({"weight_decay": math.nan}, "--weight-decay is nan"),
        ({"warmup": -0.1}, "--warmup is -0.1, which cannot be; give a part"),
        ({"warmup": 1.0}, "--warmup is 1.0"),
        ({"warmup": math.nan}, "--warmup is nan"),
        ({"seed": -1}, "--seed is -1, which cannot be; give a whole number from 0"),
        ({"seed": 2**31}, "--seed is 2147483648"),
        ({"images_per_class": 21}, "has 20 images but 21 per class were asked for; choose at most"),
        ({"images_per_class": 0}, "0 images per class cannot be; expected at least 1"),
        ({"image_size": 0}, "images of 0 pixels a side cannot be"),
        ({"image_size": 8}, "the smallest square image it takes is 16 x 16"),
        ({"only": "split0-A9B"}, "the plan has no run 'split0-A9B'; it has split0-baseA"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(config, monkeypatch, tmp_path, change, expected):
    monkeypatch.chdir(tmp_path)
    assert expected in refusal(config(**change))


@pytest.mark.parametrize(
    "layers", ["", "a", "1,", ",1", "3-1", "1-", "-3", "1 2", "1.5", "²", "1-99999999999", "1--3"]
)
def test_malformed_layers_are_refused(config, layers):
    assert refusal(config(layers=layers)).startswith(f"--layers {layers!r} is no list of layers")


@pytest.mark.parametrize(
    ("text", "layers"),
    [(None, None), ("3", (3,)), ("1-7", (1, 2, 3, 4, 5, 6, 7)), ("7,1,4,4-5", (1, 4, 5, 7))],
)
def test_layers_are_numbers_and_ranges(text, layers):
    assert parse_layers(text) == layers


@pytest.mark.parametrize(
    ("halves", "expected"),
    [
        (
            {"A": ["0", "1"], "B": ["2", "cat"]},
            "half B in 'halves.json' names unknown classes: cat",
        ),
        ({"A": ["0", "1"], "B": ["1", "2"]}, "the class '1' is in both halves of 'halves.json'"),
        ({"A": ["0", "1", "0"], "B": ["2", "3"]}, "the class '0' is twice in half A"),
        ({"A": ["0"], "B": ["2", "3"]}, "has 1 class; each needs at least 2; choose other halves"),
        ({"A": ["0", "1"]}, "holds the keys A; expected"),
        ([], "holds no object"),
    ],
)
def test_a_class_file_that_cannot_be_is_refused(config, tmp_path, monkeypatch, halves, expected):
    monkeypatch.chdir(tmp_path)
    Path("halves.json").write_text(json.dumps(halves))
    assert expected in refusal(config(split="file:halves.json"))


def test_a_class_file_that_is_cut_off_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("halves.json").write_text('{"A": ["0", "1"], "B": ["2"')
    assert "'halves.json' is no JSON" in refusal(config(split="file:halves.json"))


def without(*names: str):
    return lambda arrays: [arrays.pop(name) for name in names]


def changed(name: str, change):
    return lambda arrays: arrays.update({name: change(arrays[name])})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without("y_train", "x_test"), "has no y_train, x_test; expected x_train y_train"),
        (changed("y_train", lambda y: y[:-3]), "has 120 images but y_train 117 labels"),
        (changed("y_train", lambda y: y - 1), "y_train in 'arrays.npz' runs from -1 to 4"),
        (changed("y_test", lambda y: y + 1), "y_test in 'arrays.npz' runs up to 6 but y_train"),
        (changed("y_train", lambda y: y * 0.5), "expected whole numbers"),
        (changed("x_test", lambda x: x[:, :8]), "the images in 'arrays.npz' differ in shape"),
        (changed("x_train", lambda x: x.astype(object)), "holds an array of Python objects"),
        (
            lambda a: a.update(y_train=a["y_train"] % 3, y_test=a["y_test"] % 3),
            "has 1 class; each needs at least 2; choose other halves, or a data set with at least",
        ),
        (
            lambda a: a.update(x_train=a["x_train"][:, :8, :8], x_test=a["x_test"][:, :8, :8]),
            "images of 8 x 8 x 1 do not fit: stage c3 of LeNet5",
        ),
    ],
)
def test_an_archive_that_cannot_be_is_refused(config, tiny, tmp_path, monkeypatch, spoil, expected):
    monkeypatch.chdir(tmp_path)
    with np.load(tiny) as archive:
        arrays = dict(archive)
    spoil(arrays)
    np.savez("arrays.npz", **arrays)
    assert expected in refusal(config(dataset="npz:arrays.npz"))


def test_a_truncated_archive_is_refused(config, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("arrays.npz").write_bytes(tiny.read_bytes()[:-100])
    assert "'arrays.npz' is not a whole npz archive" in refusal(config(dataset="npz:arrays.npz"))


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    """A folder of five classes of ten pictures."""
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    for number in range(5):
        folder = Path("pictures", f"class{number}")
        folder.mkdir(parents=True)
        for i in range(10):
            pixels = random.randint(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return Path("pictures")


def test_a_folder_of_pictures_is_planned(config, pictures, capsys):
    run(config(dataset=f"folder:{pictures}", list=True))
    assert "16 runs" in capsys.readouterr().out


def test_a_folderwithout_pictures_is_refused(config, pictures):
    for path in pictures.glob("class2/*"):
        path.unlink()
    assert "class2' holds no image; expected files *.png" in refusal(
        config(dataset="folder:pictures")
    )


def test_a_folder_of_one_class_is_refused(config, pictures):
    for path in list(pictures.glob("class[1-4]")):
        path.rename(Path(path.name))
    assert "holds 1 class folder(s); expected two or more" in refusal(
        config(dataset="folder:pictures")
    )


@pytest.mark.parametrize("damage", ["empty", "no picture", "truncated", "corrupt"])
def test_a_damaged_picture_is_refused_and_named(config, pictures, damage):
    victim = pictures / "class3" / "7.png"
    content = bytearray(victim.read_bytes())
    if damage == "corrupt":
        content[len(content) // 2] ^= 1
    changed = {"empty": b"", "no picture": b"text", "truncated": content[: len(content) // 2]}
    victim.write_bytes(changed.get(damage, bytes(content)))
    assert "class3/7.png" in refusal(config(dataset="folder:pictures"))


def test_an_out_below_a_file_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = refusal(config(out=tmp_path / "file" / "out"))
    assert message.startswith(f"cannot write {tmp_path / 'file' / 'out'}: Not a directory")
    assert os.listdir(tmp_path) == ["file"]


def test_an_out_with_foreign_files_is_refused_and_left_alone(config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(CnnjaxError, match="is not empty and holds no study; choose another --out"):
        run(config())
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]


@pytest.mark.parametrize(
    "change", [{"steps": 21}, {"seed": 1}, {"network": "mlp"}, {"images_per_class": 5}]
)
def test_an_out_with_another_configuration_is_refused_and_left_alone(config, tmp_path, change):
    with pytest.raises(CnnjaxError, match="starts from split0-baseA"):
        run(config(only="split0-A1B"))  # the folder is claimed, and nothing runs
    before = (tmp_path / "out" / "study.json").read_text()
    with pytest.raises(CnnjaxError) as error:
        run(config(**change))
    (name,) = change
    assert f"holds another configuration: {name} is " in str(error.value)
    assert os.listdir(tmp_path / "out") == ["study.json"]
    assert (tmp_path / "out" / "study.json").read_text() == before


def test_other_images_under_the_same_name_are_another_configuration(config, tmp_path, tiny):
    (tmp_path / "own.npz").write_bytes(tiny.read_bytes())
    own = config(dataset=f"npz:{tmp_path / 'own.npz'}", only="split0-A1B")
    with pytest.raises(CnnjaxError, match="starts from"):
        run(own)
    with np.load(tiny) as archive:
        arrays = dict(archive)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(CnnjaxError, match="holds another configuration: data is "):
        run(own)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--treatments", "AnB", "AnC"), "error: there is no treatment 'AnC'"),
    ],
)
def test_on_the_command_line_it_is_one_line_and_status_2(study, flags, expected):
    status, out, err = study.run(*flags)
    assert status == 2
    assert out == ""
    assert err.startswith(expected)
    assert err.count("\n") == 1
    assert os.listdir(study.folder) == []
