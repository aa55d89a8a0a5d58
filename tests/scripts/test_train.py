"""scripts/train.py: on real files, in real processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from train import Config, learning_rate, make_optimizer, run
from train_arguments import AUGMENTATIONS, read_arguments, read_augmentation
from training_bar import TrainingBar

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data import augment, load
from cnnjax.data.augment import compose, flip, rotate, shift
from cnnjax.training import checkpoints, classification, evaluate
from cnnjax.transfer import variable_shapes

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Three noisy patterns, 12 x 12; no validation part."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (3, 12, 12))

    def part(count):
        labels = np.arange(count) % 3
        images = patterns[labels] + rng.normal(0, 80, (count, 12, 12))
        return np.clip(images, 0, 255).astype(np.uint8), labels

    path = tmp_path_factory.mktemp("data") / "patterns.npz"
    (x_train, y_train), (x_test, y_test) = part(300), part(50)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="module")
def config(archive, tmp_path_factory):
    """A training of seconds; keywords change it."""

    def make(**changes):
        out = tmp_path_factory.mktemp("run") / "out"
        small = {"dataset": f"npz:{archive}", "network": "mlp", "arguments": ("hidden=(16,)",)}
        small |= {"steps": 40, "batch_size": 16, "evaluations": 4, "out": out}
        return Config(**small | changes)

    return make


@pytest.fixture(scope="module")
def trained(config):
    settings = config(augment=("shift:0.1",), optimizer="adam", learning_rate=1e-2)
    run(settings)
    return settings


def result(settings):
    return json.loads((settings.out / "result.json").read_text())


def test_a_network_learns_and_the_result_says_on_what_and_how_well(trained):
    found = result(trained)
    assert found["training_images"] == 270  # a tenth is kept for validation
    assert found["test_images"] == 50
    assert found["parameters"] == 144 * 16 + 16 + 16 * 3 + 3
    assert found["test"]["accuracy"] > 0.9
    assert {"precision_macro", "recall_macro", "f1_macro", "loss"} < set(found["test"])


def test_the_weights_that_are_kept_are_those_that_were_measured(trained):
    network = cnnjax.create("mlp", hidden=(16,), num_classes=3)
    weights = checkpoints.restore(trained.out / "weights", variable_shapes(network, (12, 12, 1)))
    test = load(trained.dataset).test
    data = jnp.asarray(test.images), jnp.asarray(test.labels)
    again = evaluate(network, classification, weights, data)
    assert again["accuracy"] == result(trained)["test"]["accuracy"]
    assert not (trained.out / "checkpoint").exists()


def test_the_confusion_matrix_counts_every_test_image_once(trained):
    rows = list(csv.reader((trained.out / "confusion.csv").open()))
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
    assert rows[0] == ["predicted \\ actual", "0", "1", "2"]
    assert counts.sum(axis=0).tolist() == [17, 17, 16]  # a column for each actual class
    assert np.trace(counts) == round(result(trained)["test"]["accuracy"] * 50)


def test_the_validation_images_are_looked_at_as_often_as_asked(trained):
    lines = [json.loads(line) for line in (trained.out / "metrics.jsonl").open()]
    assert [line["step"] for line in lines if "validation_loss" in line] == [10, 20, 30, 40]


def test_a_finished_training_is_not_done_again(trained, capsys):
    before = (trained.out / "result.json").stat().st_mtime_ns
    run(trained)
    assert "finished" in capsys.readouterr().out
    assert (trained.out / "result.json").stat().st_mtime_ns == before


def test_off_a_terminal_each_tenth_of_the_training_is_a_line(capsys):
    bar = TrainingBar(Console(), steps=40, batch_size=16)
    with bar:
        for step in range(1, 41):
            bar.show(step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [f"{step}/40" for step in range(4, 41, 4)]
    assert "images/s" in lines[0]


def test_a_folder_of_another_training_is_refused(trained):
    other = Config(**{**trained.__dict__, "seed": 1})
    with pytest.raises(CnnjaxError, match="seed is 0 there and 1 here"):
        run(other)


@pytest.mark.slow  # the first checkpoint is written after ten seconds
def test_killed_and_started_again_it_ends_with_the_same_weights(archive, config, tmp_path):
    flags = ["--dataset", f"npz:{archive}", "--network", "mlp", "--arguments", "hidden=(300,300)"]
    flags += ["--steps", "20000", "--augment", "flip", "--schedule", "step"]

    def start(out):
        command = [sys.executable, str(SCRIPT), *flags, "--out", str(tmp_path / out)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    whole = start("whole")
    killed = start("killed")
    while not (tmp_path / "killed" / "checkpoint").exists():
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "result.json").exists()
    again = start("killed")
    assert (whole.wait(), again.wait()) == (0, 0)
    shapes = variable_shapes(cnnjax.create("mlp", hidden=(300, 300), num_classes=3), (12, 12, 1))
    one, other = (
        checkpoints.restore(tmp_path / x / "weights", shapes) for x in ("whole", "killed")
    )
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), one, other)))


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one_cycle"])
def test_every_schedule_rises_over_the_warm_up_and_ends_with_the_training(config, schedule):
    rate = learning_rate(config(schedule=schedule, learning_rate=0.4, warmup=0.25), steps=100)
    rates = [float(rate(t)) for t in range(101)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.4)
    assert (rates[100] == rates[30]) == (schedule == "constant")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay_shrinks_kernels_once_and_biases_never(config, optimizer):
    given = config(optimizer=optimizer, weight_decay=0.1, learning_rate=0.5, warmup=0.0)
    made = make_optimizer(given, steps=10)
    params = {"fc1": {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = made.update(zeros, made.init(params), params)
    # sgd: -eta lambda w; adamw the same beside a step of 0; adam divides the decay by its own size
    shrunk = {"sgd": -0.1, "adamw": -0.1, "adam": -0.5}[optimizer]
    assert jnp.allclose(updates["fc1"]["kernel"], shrunk, atol=1e-3)
    assert (updates["fc1"]["bias"] == 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "lenet6"}, "did you mean 'lenet5'"),
        ({"arguments": ("hidden",)}, "write each once, as NAME=VALUE"),
        ({"arguments": ("depth=3",)}, "takes no argument 'depth'"),
        ({"optimizer": "adm"}, "there is no optimizer 'adm'"),
        ({"settings": ("beta=3",)}, "takes no setting 'beta'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"warmup": 1.0}, "--warmup is 1.0; give a part"),
        ({"augment": ("rotat:3",)}, "did you mean 'rotate'"),
        ({"augment": ("rotate:1,2,3,4,5",)}, "rotate takes"),
        ({"augment": ("shift:-1",)}, "shift"),
        ({"augment": ("hue:0.1",)}, "hue was given images of 1 channels"),
        ({"augment": ("random_crop:4",)}, "makes images of 4 x 4 x 1 out of 12 x 12 x 1"),
        ({"batch_size": 0}, "both are at least 1"),
        ({"images_per_class": 1000}, "choose at most"),
        ({"epochs": 1.0}, "give one"),
        ({"network": "alexnet_small", "arguments": ()}, "the smallest square image it takes"),
        ({"learning_rate": -1.0}, "expected a"),
        ({"evaluations": 0}, "--evaluations is 0; give at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(config, changes, words):
    settings = config(**changes)
    with pytest.raises(CnnjaxError, match=words.replace("?", r"\?")) as caught:
        run(settings)
    assert "\n" not in str(caught.value)
    assert not settings.out.exists()


def test_values_are_numbers_tuples_truths_or_words():
    texts = ["a=1", "b=(2, 3)", "c=True", "d=grouped", "e=1e-3"]
    assert read_arguments(texts) == {"a": 1, "b": (2, 3), "c": True, "d": "grouped", "e": 1e-3}


def test_augmentations_are_composed_in_the_order_given():
    made = read_augmentation(["flip", "shift:0.1,0.2", "rotate:15"])
    assert made == compose(flip(), shift(0.1, 0.2), rotate(15))
    assert read_augmentation([]) is None


def test_every_augmentation_of_the_package_that_takes_numbers_can_be_named():
    not_by_numbers = {"Augmentation", "Standardization", "apply", "compose", "fit_standardization"}
    not_by_numbers |= {"image_data_generator", "rescale"}
    assert set(AUGMENTATIONS) == set(augment.__all__) - not_by_numbers
