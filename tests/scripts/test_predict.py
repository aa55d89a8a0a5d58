"""scripts/predict.py, convert.py and verify_weights.py: from a file of weights to an answer."""

import json
from functools import partial
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from PIL import Image

import cnnjax
from cnnjax import pretrained
from cnnjax.pretrained import Passport, Preprocessing

SCRIPTS = Path(__file__).parents[2] / "scripts"
CLASSES = ("night", "day", "dawn", "dusk", "noon", "eve", "none")
SIDE = 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that tells bright pictures ("day") from dark ones ("night")."""
    network = cnnjax.create("mlp", num_classes=len(CLASSES), hidden=(2,))
    shape = (SIDE, SIDE, 3)
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, *shape), np.float32))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes["params"])
    first, last = params
    size = SIDE * SIDE * 3
    params[first]["kernel"][:] = np.array([[-1, 1]]) / size
    params[last]["kernel"][[0, 1], [0, 1]] = 5.0
    params[last]["bias"][:] = np.linspace(0, -3, len(CLASSES)) - [0, 0, *[4] * 5]
    passport = Passport(
        "mlp", "cnnjax", "light", "MIT", None, None, "", "", Preprocessing(SIDE, SIDE), CLASSES
    )
    path = tmp_path_factory.mktemp("weights") / "light.safetensors"
    pretrained.save(path, network, {"params": params}, passport, image_shape=shape)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, grey in (("a.png", 240), ("b.jpg", 10), ("c.png", 200)):
        Image.new("RGB", (40, 30), (grey,) * 3).save(folder / name)
    (folder / "labels.csv").write_text("file,class_index\na.png,1\nb.jpg,0\nc.png,6\n")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def predict(run_script, weights):
    return partial(run_script, SCRIPTS / "predict.py", "--network", "mlp", "--weights", weights)


def test_each_picture_gets_its_most_probable_classes(predict, photos):
    done = predict(photos, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["predictions"]
    assert [Path(p["image"]).name for p in found] == ["a.png", "b.jpg", "c.png"]
    assert [p["classes"][0]["name"] for p in found] == ["day", "night", "day"]
    for prediction in found:
        p = [row["probability"] for row in prediction["classes"]]
        assert len(p) == 5
        assert p == sorted(p, reverse=True)
        assert all(CLASSES[row["index"]] == row["name"] for row in prediction["classes"])
    # The logits are 5 relu(+-brightness) + bias, with brightness 2 x 240/255 - 1.
    brightness = 2 * 240 / 255 - 1
    logits = np.linspace(0, -3, 7) - [0, 0, *[4] * 5]
    logits[1] += 5 * brightness
    expected = np.exp(logits[1]) / np.exp(logits).sum()
    assert found[0]["classes"][0]["probability"] == pytest.approx(expected, rel=1e-4)


def test_the_table_names_classes_and_percent(predict, photos):
    done = predict(photos / "a.png", "--top", 2)
    assert done.returncode == 0, done.stderr
    assert "day" in done.stdout
    assert done.stdout.count(" %") == 2


def test_labels_give_accuracies_with_intervals(predict, photos):
    done = predict(photos, "--labels", photos / "labels.csv", "--json")
    found = json.loads(done.stdout)
    assert (found["top1"]["right"], found["top1"]["of"]) == (2, 3)
    low, high = found["top1"]["interval"]
    assert 0.2 < low < 2 / 3 < high < 0.95  # Wilson's: 0.208 to 0.939
    assert found["top5"]["right"] == 2  # the sixth class is the seventh most probable
    shown = predict(photos, "--labels", photos / "labels.csv").stdout
    assert shown.startswith("top1   66.7 %  (2 of 3, 95 %: 20.8 to 93.9)")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["away.png"], "there is no picture 'away.png'"),
        (["{photos}/labels.csv"], "is not a whole picture"),
        (["{photos}", "--top", "0"], "--top is 0"),
        (["{photos}", "--labels", "away.csv"], "cannot read the labels in 'away.csv'"),
        (["{photos}", "--labels", "{tmp}/names.csv"], "columns file and class_index"),
        (["{photos}", "--labels", "{tmp}/few.csv"], "has no class for 2 of 3 pictures"),
        (["{photos}", "--labels", "{tmp}/high.csv"], "the weights know 0 to 6"),
        (["{tmp}"], "holds no picture"),
        (["{photos}", "--arguments", "hidden"], "is no setting"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(predict, photos, tmp_path, flags, words):
    (tmp_path / "names.csv").write_text("file,name\na.png,day\n")
    (tmp_path / "few.csv").write_text("file,class_index\na.png,1\n")
    (tmp_path / "high.csv").write_text("file,class_index\na.png,1\nb.jpg,0\nc.png,7\n")
    done = predict(*(flag.format(photos=photos, tmp=tmp_path) for flag in flags))
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_weights_without_a_head_name_no_classes(run_script, some_variables, tmp_path, photos):
    network = cnnjax.create("mlp", num_classes=0, hidden=(2,))
    passport = Passport("mlp", "cnnjax", *("",) * 2, None, None, "", "", Preprocessing(8, 8), ())
    variables = some_variables(network, (8, 8, 3))
    path = tmp_path / "body.safetensors"
    pretrained.save(path, network, variables, passport, image_shape=(8, 8, 3))
    done = run_script(SCRIPTS / "predict.py", photos, "--network", "mlp", "--weights", path)
    assert "has no head" in done.stderr


@pytest.fixture
def keras_file(some_variables, tmp_path):
    from cnnjax.pretrained.conversion import export
    from cnnjax.pretrained.mobilenet import SOURCES

    network = cnnjax.create("mobilenet", num_classes=3, alpha=0.25)
    arrays = export(some_variables(network, (32, 32, 3)), network, SOURCES["keras"])
    np.savez(tmp_path / "keras.npz", **arrays)
    return tmp_path / "keras.npz"


MOBILENET = ("--network", "mobilenet", "--arguments", "alpha=0.25")


def test_whose_names_a_file_follows_can_be_said_when_predicting(run_script, keras_file, photos):
    predict = partial(
        run_script, SCRIPTS / "predict.py", photos / "a.png", *MOBILENET, "--weights", keras_file
    )
    assert predict("--source", "keras", "--top", 1).returncode == 0
    wrong = predict("--source", "timm")
    assert wrong.returncode == 2
    assert "there are no names of 'timm' for 'mobilenet' in a file as" in wrong.stderr


def test_converted_weights_say_where_they_are_from_and_load_as_they_were(
    run_script, keras_file, tmp_path
):
    out = tmp_path / "own.safetensors"
    done = run_script(SCRIPTS / "convert.py", keras_file, *MOBILENET, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "3 classes" in done.stdout
    assert "source         keras" in done.stdout
    found = pretrained.load("mobilenet", out)
    given = pretrained.load("mobilenet", keras_file, alpha=0.25)
    assert found.network == given.network
    chex.assert_trees_all_equal(jax.device_get(found.variables), jax.device_get(given.variables))


def test_activations_are_recorded_and_the_first_stage_that_differs_is_named(
    run_script, weights, tmp_path
):
    verify = partial(run_script, SCRIPTS / "verify_weights.py", "--network", "mlp")
    reference = ("--reference", tmp_path / "reference.npz")
    recorded = verify(*reference, "--weights", weights, "--record")
    assert recorded.returncode == 0, recorded.stderr
    assert verify(*reference, "--weights", weights).stdout.endswith("all 3 agree to 0.0001\n")
    network, variables, passport, _ = pretrained.load("mlp", weights)
    last = network.stages[-1]
    params = variables["params"] | {last: variables["params"][last] | {"bias": np.ones(7)}}
    other = tmp_path / "other.safetensors"
    arrays = {"params": jax.tree.map(np.float32, params)}
    pretrained.save(other, network, arrays, passport, image_shape=(SIDE, SIDE, 3))
    done = verify(*reference, "--weights", other)
    assert done.returncode == 1
    assert f"the first that differs is {last} ({last})" in done.stdout


def test_nothing_is_written_of_weights_that_do_not_fit(run_script, keras_file, tmp_path):
    out = tmp_path / "own.safetensors"
    convert = partial(run_script, SCRIPTS / "convert.py", keras_file, "--out", out)
    for flags, words in (
        (("--network", "mobilenet"), "do not fit"),
        ((*MOBILENET, "--num-classes", "9"), "has 3 classes, not 9"),
        ((*MOBILENET, "--sha256", "f" * 64), "has the sha256"),
        ((*MOBILENET, "--to", "torchvision"), "there are no names of 'torchvision'"),
    ):
        done = convert(*flags)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["keras.npz"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--reference", "away.npz"), "cannot read the reference"),
        (("--reference", "a.json"), "is no .npz"),
        (("--reference", "a.npz", "--tolerance", "0"), "--tolerance is 0"),
        (("--reference", "a.npz", "--image", "8x8x3"), "--image is of --record"),
        (("--reference", "a.npz", "--record", "--image", "8x8"), "give height, width"),
    ],
)
def test_verifying_with_a_wrong_flag_is_one_line(run_script, weights, flags, words):
    done = run_script(
        SCRIPTS / "verify_weights.py", "--network", "mlp", "--weights", weights, *flags
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
