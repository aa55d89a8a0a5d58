"""scripts/advise.py on a folder of tiny pictures and a tiny network, from the flags to the page."""

import csv
import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import cnnjax
from cnnjax import pretrained
from cnnjax.advisor.protocol import Protocol
from cnnjax.data import load
from cnnjax.pretrained import Passport, Preprocessing
from cnnjax.training import classification, evaluate
from cnnjax.transfer import initialise, pooled_features

SCRIPT = Path(__file__).parents[2] / "scripts" / "advise.py"
CLASSES = ("<b>round", "square & co", "wave")
SIDE = 10
OPTIONS = ("probe-fc1", "probe-fc2", "last-2", "all", "scratch")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Noisy patterns: 10 pictures of each class to choose by, 4 to report on; grey."""
    root, rng = tmp_path_factory.mktemp("photos") / "my $photos", np.random.default_rng(0)
    patterns = rng.integers(0, 256, (3, SIDE, SIDE))
    for part, count in (("train", 10), ("test", 4)):
        for name, pattern in zip(CLASSES, patterns, strict=True):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                noisy = np.clip(pattern + rng.normal(0, 110, pattern.shape), 0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network of three stages, as made for five classes of grey images."""
    network = cnnjax.create("mlp", hidden=(12, 8), num_classes=5)
    image = (SIDE, SIDE, 1)
    preprocessing = Preprocessing(SIDE, SIDE)
    about = Passport("mlp", "cnnjax", "made up", "", None, None, "", "", preprocessing, ())
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    variables = initialise(network, image, seed=0)
    pretrained.save(path, network, variables, about, image_shape=image)
    return path


@pytest.fixture
def flags(photos, weights):
    def make(*more, data=photos, out="out"):
        first = ("--data", f"folder:{data}", "--network", "mlp", "--weights", weights)
        return (*first, "--folds", 2, "--epochs", 2, "--scratch-epochs", 2, "--out", out, *more)

    return make


@pytest.fixture(scope="module")
def study(photos, weights, tmp_path_factory):
    """A folder in which the advisor has measured everything, and what it said."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def advised(study, flags, run_script):
    """Runs in it, the first time for all tests."""
    said = study / "said.txt"
    if not said.exists():
        done = run_script(SCRIPT, *flags(), cwd=study)
        assert done.returncode == 0, done.stderr
        said.write_text(done.stdout)
    return study / "out"


def rows(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def refused(done, says):
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_every_option_is_measured_on_the_same_splits(advised):
    found = [(row["option"], row["split"]) for row in rows(advised)[1:]]
    assert found == [(option, str(split)) for option in OPTIONS for split in range(2)]
    assert all(0 <= float(row["accuracy"]) <= 100 for row in rows(advised)[1:])


def test_parameters_trained_are_counted(advised):
    found = {row["option"]: row["parameters"] for row in rows(advised)[1:]}
    whole = (100 * 12 + 12) + (12 * 8 + 8) + (8 * 3 + 3)
    assert found["probe-fc1"] == str(13 * 3)
    assert found["probe-fc2"] == str(9 * 3)
    assert found["last-2"] == str((12 * 8 + 8) + (8 * 3 + 3))
    assert found["all"] == found["scratch"] == str(whole)


def test_multiply_adds_are_counted(advised):
    found = {row["option"]: int(row["multiply_adds"]) for row in rows(advised)}
    steps = 2  # of 32 images: two epochs of 15 in whole steps
    small, everything = 12 * 8 + 8 * 3, 100 * 12 + 12 * 8 + 8 * 3
    assert found["probe-fc1"] == 30 * 1200
    assert found["features"] == found["probe-fc2"] == 30 * (1200 + 96)
    assert found["last-2"] == 30 * 1200 + 3 * 32 * small * steps // 2
    assert found["all"] == 3 * 32 * everything * steps // 2


def test_the_page_says_what_is_recommended_and_how_to_train_it(advised):
    page, said = (advised / "report.html").read_text(), (advised.parent / "said.txt").read_text()
    command = next(line for line in said.splitlines() if line.startswith("python scripts/"))
    chosen = command.rpartition("--train ")[2]
    assert chosen in OPTIONS
    for text in (f"--train {chosen}</code>", "How sure is it?", "Nothing was left out", "<svg"):
        assert text in page
    assert "of 3 classes" in page
    assert "my $photos" in page


def test_names_of_folders_are_text_on_the_page(run_script, flags, photos, study, advised):
    page = (advised / "report.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page


def test_what_is_done_is_not_done_again(advised, flags, run_script):
    before = {p: p.stat().st_mtime_ns for p in (advised / "runs").rglob("result.json")}
    csv_before = (advised / "results.csv").read_bytes()
    done = run_script(SCRIPT, *flags(), cwd=advised.parent)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in (advised / "runs").rglob("result.json")} == before
    assert (advised / "results.csv").read_bytes() == csv_before


def test_what_a_budget_leaves_out_is_said_and_a_larger_one_adds_it(
    advised, flags, run_script, monkeypatch, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(advised, out)
    shutil.rmtree(out / "runs" / "scratch-split0")
    shutil.rmtree(out / "runs" / "scratch-split1")

    def out_of_reach(self, run, budget, stage_seconds):
        return 1e6

    with monkeypatch.context() as patch:
        patch.setattr(Protocol, "rough", out_of_reach)
        done = run_script(SCRIPT, *flags("--budget", "1h"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from scratch: left out: it takes about 555 h" in done.stdout
    assert {row["option"] for row in rows(out)} == {"features", *OPTIONS[:-1]}
    assert "Left out" in (out / "report.html").read_text()
    done = run_script(SCRIPT, *flags("--budget", "2h"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    untimed = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(out)]
    assert untimed == [{k: v for k, v in row.items() if k != "seconds"} for row in rows(advised)]


def test_a_budget_too_small_for_anything_is_one_line_and_leaves_no_report(
    flags, run_script, tmp_path
):
    refused(
        run_script(SCRIPT, *flags("--budget", "0.001s"), cwd=tmp_path),
        "--budget 0.001s is too small for anything.*give --budget .*m or more",
    )
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not left & {"results.csv", "report.html", "figure.svg", "figure.png"}


def test_the_command_trains_a_whole_network_that_can_be_loaded(advised, flags, run_script, photos):
    for option in ("last-2", "probe-fc2"):
        out = f"out-{option}"
        done = run_script(SCRIPT, *flags("--train", option, out=out), cwd=advised.parent)
        assert done.returncode == 0, done.stderr
        model = advised.parent / out / "model"
        result = json.loads((model / "result.json").read_text())
        assert (result["training_images"], result["test_images"]) == (30, 12)
        loaded = pretrained.load("mlp", model / result["kept"])
        assert loaded.passport.classes == CLASSES
        test = load(f"folder:{photos}").test
        data = jnp.asarray(test.images), jnp.asarray(test.labels)
        found = evaluate(loaded.network, classification, loaded.variables, data)
        assert found["accuracy"] == pytest.approx(result["test_accuracy"], abs=1e-6)
        again = run_script(SCRIPT, *flags("--train", option, out=out), cwd=advised.parent)
        assert "finished" in again.stdout


def test_a_classifier_on_an_early_stage_is_kept_as_weights_on_its_features(
    advised, flags, run_script, photos, weights
):
    done = run_script(SCRIPT, *flags("--train", "probe-fc1"), cwd=advised.parent)
    assert done.returncode == 0, done.stderr
    result = json.loads((advised / "model" / "result.json").read_text())
    with safe_open(advised / "model" / result["kept"], framework="numpy") as file:
        kernel, bias = file.get_tensor("kernel"), file.get_tensor("bias")
        assert json.loads(file.metadata()["classes"]) == list(CLASSES)
    source, test = pretrained.load("mlp", weights), load(f"folder:{photos}").test
    features = pooled_features(source.network, source.variables, test.images, ["fc1"])["fc1"]
    predicted = np.argmax(np.asarray(features) @ kernel + bias, axis=1)
    assert np.mean(predicted == test.labels) == pytest.approx(result["test_accuracy"], abs=1e-6)


def test_the_plan_is_listed_without_measuring(flags, run_script, tmp_path):
    done = run_script(SCRIPT, *flags("--list"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in OPTIONS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--budget", "soon"), "'soon' is no length of time"),
        (("--folds", 1), "--folds is 1, which cannot be; give at least 2"),
        (("--learning-rate", 0), "--learning-rate is 0.0"),
        (("--pretrained-factor", 2), "--pretrained-factor is 2.0"),
        (("--margin", -1), "--margin is -1.0"),
        (("--folds", 40), "30 images cannot be dealt to 40 folds"),
        (("--train", "last-3"), "no option 'last-3'; there are probe-fc1.*did you mean 'last-2'"),
        (("--image-size", 7), "stage fc1 has another shape; give images of as many channels"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(flags, run_script, tmp_path, more, says):
    refused(run_script(SCRIPT, *flags(*more), cwd=tmp_path), says)
    assert not (tmp_path / "out").exists()


def test_one_image_of_a_class_is_refused_by_name(flags, run_script, photos, tmp_path):
    for part, count in (("train", 1), ("test", 1)):
        for name in CLASSES:
            (tmp_path / "few" / part / name).mkdir(parents=True)
            for i in range(count):
                source = photos / part / name / f"{i}.png"
                (tmp_path / "few" / part / name / f"{i}.png").write_bytes(source.read_bytes())
    done = run_script(SCRIPT, *flags(data=tmp_path / "few"), cwd=tmp_path)
    refused(done, "class '<b>round' has 1 image to choose by; expected 2 or more")
    assert not (tmp_path / "out").exists()


def test_grey_images_are_repeated_for_weights_that_take_colours(
    photos, flags, run_script, tmp_path
):
    network = cnnjax.create("mlp", hidden=(4,), num_classes=2)
    image = (SIDE, SIDE, 3)
    about = Passport("mlp", "cnnjax", "", "", None, None, "", "", Preprocessing(SIDE, SIDE), ())
    path = tmp_path / "colour.safetensors"
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *image)))
    variables = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), shapes)
    pretrained.save(path, network, variables, about, image_shape=image)
    done = run_script(SCRIPT, *flags("--weights", path, "--list"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
