"""scripts/train.py: on real files, in real processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import train
import train_results
from PIL import Image
from rich.console import Console
from train import Config, run
from train_arguments import make_network
from training_bar import TrainingBar

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data import load
from cnnjax.layers import ConvNorm, PoolDense
from cnnjax.models import NETWORKS, Network
from cnnjax.models.network import keep_auxiliary, wants_auxiliary
from cnnjax.studies.plans import digest
from cnnjax.training import checkpoints, classification, evaluate, fit
from cnnjax.transfer import variable_shapes

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.fixture(scope="module")
def trained(config):
    settings = config(augment=("shift:0.1",), optimizer="adam", learning_rate=1e-2)
    run(settings)
    return settings


def result(settings):
    return json.loads((settings.out / "result.json").read_text())


def weights(settings):
    network = make_network(
        settings.network,
        settings.arguments,
        num_classes=3,
        image=(12, 12, 1),
        dtype=settings.dtype,
        remat=settings.remat,
    )
    return checkpoints.restore(settings.out / "weights", variable_shapes(network, (12, 12, 1)))


def said(capsys):
    return " ".join(capsys.readouterr().out.split())


def same(one, other):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), one, other)))


def test_a_network_learns_and_the_result_says_on_what_and_how_well(trained):
    found = result(trained)
    assert found["training_images"] == 270  # a tenth is kept for validation
    assert found["test_images"] == 50
    assert found["parameters"] == 144 * 16 + 16 + 16 * 3 + 3
    assert found["test"]["accuracy"] > 0.9
    assert {"precision_macro", "recall_macro", "f1_macro", "loss"} < set(found["test"])


def test_the_weights_that_are_kept_are_those_that_were_measured(trained):
    network = cnnjax.create("mlp", hidden=(16,), num_classes=3)
    test = load(trained.dataset).test
    data = jnp.asarray(test.images), jnp.asarray(test.labels)
    again = evaluate(network, classification, weights(trained), data)
    assert again["accuracy"] == result(trained)["test"]["accuracy"]
    assert not (trained.out / "checkpoint").exists()


def test_the_confusion_matrix_counts_every_test_image_once(trained):
    rows = list(csv.reader((trained.out / "confusion.csv").open()))
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
    assert rows[0] == ["predicted \\ actual", "0", "1", "2"]
    assert counts.sum(axis=0).tolist() == [17, 17, 16]  # a column for each actual class
    assert np.trace(counts) == round(result(trained)["test"]["accuracy"] * 50)


def test_the_curve_is_drawn_without_the_marks_of_a_diagnosis(trained, monkeypatch):
    with Image.open(trained.out / "curve.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10  # something is drawn
    lines = [json.loads(line) for line in (trained.out / "metrics.jsonl").open()]
    drawn = []
    monkeypatch.setattr(train_results, "save_png", lambda figure, path: drawn.append(figure))
    found = result(trained)["test"]
    train_results.draw_curve(lines, "mlp", found, trained.out)
    (figure,) = drawn
    assert figure.get_suptitle().startswith(f"mlp\ntest accuracy {found['accuracy']:.4f}")
    labels = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    assert labels == {"training", "validation"}


def test_the_result_says_how_long_it_took_on_what(trained):
    found = result(trained)
    assert found["seconds"] > 0
    assert set(found["machine"]) == {"device", "devices", "cpu_cores", "jax"}


def test_the_validation_images_are_looked_at_as_often_as_asked(trained):
    lines = [json.loads(line) for line in (trained.out / "metrics.jsonl").open()]
    assert [line["step"] for line in lines if "validation_loss" in line] == [10, 20, 30, 40]


def test_a_finished_training_is_not_done_again(trained, capsys):
    before = (trained.out / "result.json").stat().st_mtime_ns
    run(trained)
    assert "finished" in capsys.readouterr().out
    assert (trained.out / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("harm", ["truncated", "another number"])
def test_a_damaged_result_is_named_and_its_training_done_again(config, capsys, harm):
    settings = config(steps=5, evaluations=1)
    run(settings)
    whole, path = result(settings), settings.out / "result.json"
    text = path.read_text()
    path.write_text(text[:40] if harm == "truncated" else text.replace('"steps": 5', '"steps": 6'))
    run(settings)
    assert f"note: {path} is damaged; this training is done again" in said(capsys)
    assert result(settings)["test"] == whole["test"]
    assert result(settings)["digest"] == digest(
        {name: value for name, value in result(settings).items() if name != "digest"}
    )


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


class StoppedError(Exception):
    """As if somebody had pressed Ctrl-C."""


class Tiny(Network):
    """All that has a state of its own: batch normalisation, dropout, an auxiliary head."""

    auxiliary_weight = 0.3

    def layers(self):
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        norm = {"momentum": 0.9, "epsilon": 1e-5}
        return {
            "conv1": WithHead(ConvNorm(4, 3, activation=nn.relu, **norm, **types)),
            "fc2": PoolDense(self.num_classes, dropout=0.5, **types),
        }


class WithHead(nn.Module):
    body: nn.Module

    @nn.compact
    def __call__(self, x, *, train):
        y = self.body(x, train=train)
        if wants_auxiliary(self, train):
            keep_auxiliary(self, PoolDense(3, name="head")(y, train=train))
        return y


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "tiny", "arguments": (), "dtype": "bfloat16", "remat": True},
        pytest.param({"network": "cifar_vgg", "arguments": ()}, marks=pytest.mark.slow),
    ],
    ids=["tiny", "cifar_vgg"],
)
def test_stopped_and_started_again_it_ends_with_the_same_bits(config, monkeypatch, changes):
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)
    settings = {"augment": ("flip", "shift:0.1"), "steps": 12, "batch_size": 8} | changes
    settings |= {"checkpoint_seconds": 0.0}  # with every line of metrics
    whole, stopped = config(**settings), config(**settings)
    run(whole)

    def stop(step):
        if step >= 7:
            raise StoppedError

    # The last checkpoint before step 7 is of step 6.
    monkeypatch.setattr(train, "fit", lambda *a, **k: fit(*a, **{**k, "on_steps": stop}))
    with pytest.raises(StoppedError):
        run(stopped)
    assert (stopped.out / "checkpoint").exists()
    assert not (stopped.out / "result.json").exists()
    monkeypatch.setattr(train, "fit", fit)
    run(stopped)
    one, other = result(whole), result(stopped)
    assert other["seconds"] is None  # they would be those of a part
    assert one["test"] == other["test"]
    for kept in ("metrics.jsonl", "confusion.csv", "curve.png"):
        assert (whole.out / kept).read_bytes() == (stopped.out / kept).read_bytes()
    assert same(weights(whole), weights(stopped))
    statistics = jax.tree.leaves(weights(whole)["batch_stats"])
    assert all(bool((leaf != leaf.ravel()[0]).any()) for leaf in statistics)  # they have moved


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
    given = {"dataset": f"npz:{archive}", "network": "mlp", "arguments": ("hidden=(300,300)",)}
    one, other = (Config(out=tmp_path / name, **given) for name in ("whole", "killed"))
    assert same(weights(one), weights(other))
