"""scripts/train.py on streamed data: what it says and leaves, and what it makes of broken files."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import train_data
from PIL import Image
from rich.console import Console
from train import run
from training_bar import TrainingBar

from cnnjax.training.lines import read_lines

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """90 pictures of three patterns in parts of their own; one training picture is broken."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    patterns = random.integers(0, 256, (3, 12, 12))
    for number in range(90):
        part = ("train", "train", "validation", "test")[number // 3 % 4]
        folder = root / part / f"class{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = patterns[number % 3] + random.normal(0, 60, (12, 12))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number:02}.png")
    (root / "train" / "class1" / "01.png").write_text("no picture")
    return root


def test_a_streamed_training_tells_what_it_read_and_how_fast(pictures, config, capsys):
    settings = config(dataset=f"folder:{pictures}", stream="yes", workers=3)
    run(settings)
    result = json.loads((settings.out / "result.json").read_text())
    assert result["test"]["accuracy"] > 0.9
    streamed = result["streamed"]
    assert streamed["workers"] == 3
    assert streamed["corrupt_images"] == {"train": 1, "validation": 0, "test": 0, "records": 0}
    assert "01.png' is not a whole picture" in streamed["corrupt"][0]
    assert streamed["images_per_second"].keys() == {"reader", "step", "both"}
    assert read_lines(settings.out)[-1]["corrupt_images"] == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "01.png' is not a whole picture" in said
    assert "(another image stands in for it)" in said


def test_the_display_tells_which_of_reader_and_step_holds_the_other_up():
    text = io.StringIO()
    with TrainingBar(Console(file=text, width=200), 10, 8) as bar:
        bar.show(1)
        bar.show(5, "reader 400, step 90 images/s")
    assert "reader 400, step 90 images/s" in text.getvalue()


def test_large_data_is_streamed_without_being_asked_and_a_sentence_says_so(
    pictures, config, capsys, monkeypatch
):
    monkeypatch.setattr(train_data, "STREAMED_FROM", 10_000)
    settings = config(dataset=f"folder:{pictures}", steps=2, evaluations=1)
    run(settings)
    assert "streamed" in json.loads((settings.out / "result.json").read_text())
    said = " ".join(capsys.readouterr().out.split())
    assert "they are read from their files as the training needs them (--stream no" in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--stream", "yes", "--strict"], "01.png' is not a whole picture"),
        (["--workers", "2"], "--workers and --strict are for data that is streamed"),
        (["--stream", "yes", "--workers", "0"], "0 workers cannot read"),
    ],
)
def test_what_cannot_be_is_one_line(run_script, pictures, tmp_path, flags, says):
    name = ["--dataset", f"folder:{pictures}", "--network", "mlp", "--steps", "9"]
    done = run_script(SCRIPT, *name, *flags, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow  # several processes, each of which imports and compiles
def test_a_streamed_training_that_is_killed_ends_with_the_same_bits(run_script, pictures, tmp_path):
    flags = ["--network", "mlp", "--dataset", f"folder:{pictures}", "--steps", "60", "--kills", "4"]
    done = run_script(
        SCRIPT.with_name("check_resume.py"),
        *flags,
        "--flags=--stream yes --augment flip",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, bit by bit, after" in done.stdout


@pytest.mark.slow  # two processes
def test_streamed_batches_are_divided_among_devices_and_nothing_else_changes(pictures, tmp_path):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    asked = ["--dataset", f"folder:{pictures}", "--stream", "yes", "--network", "resnet20"]
    asked += ["--steps", "6", "--batch-size", "8", "--evaluations", "2", "--augment", "flip"]
    lines = []
    for devices in ("1", "4"):
        out = tmp_path / devices
        subprocess.run(
            [sys.executable, SCRIPT, *asked, "--devices", devices, "--out", out],
            env=environment,
            check=True,
            capture_output=True,
        )
        lines.append(read_lines(out))
    assert len(lines[0]) == len(lines[1]) == 6
    for one, four in zip(*lines, strict=True):
        assert four == pytest.approx(one, rel=1e-3)


@pytest.mark.slow  # five processes
def test_two_processes_of_which_one_is_killed_train_on_a_stream_as_one_does(pictures, tmp_path):
    asked = [sys.executable, SCRIPT, "--dataset", f"folder:{pictures}", "--stream", "yes"]
    asked += ["--network", "lenet5", "--image-size", "32", "--learning-rate", "0.001"]
    asked += ["--steps", "40", "--batch-size", "8", "--evaluations", "20"]
    asked += ["--checkpoint-seconds", "0", "--out"]
    subprocess.run([*asked, tmp_path / "one"], check=True, capture_output=True)

    def start():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        here = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process"]
        return [
            subprocess.Popen([*asked, tmp_path / "two", *here, index], stdout=subprocess.PIPE)
            for index in "01"
        ]

    first = start()
    while not (tmp_path / "two" / "checkpoint").exists():
        time.sleep(0.01)
    first[1].kill()
    assert [process.wait(100) != 0 for process in first] == [True, True]
    assert read_lines(tmp_path / "two")[-1]["step"] < 40
    said = [process.communicate(timeout=300)[0] for process in start()]
    assert not any(b"Gloo" in text for text in said)
    one, two = (read_lines(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) == 40
    for line, other in zip(one, two, strict=True):
        assert other == pytest.approx(line, rel=2e-3, abs=2e-5)
