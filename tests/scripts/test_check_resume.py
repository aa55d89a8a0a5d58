"""scripts/check_resume.py: killed trainings end like others, and a bit that differs is found."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import check_resume
import numpy as np
import pytest
from check_resume import Config, Pace, differences, kill_and_resume, left_by, undisturbed
from train import run

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_resume.py"


@pytest.fixture(scope="module")
def trained(config):
    """The folder of a training of 5 steps."""
    finished = config(steps=5, evaluations=1, keep_checkpoint=True)
    run(finished)
    return finished.out


def test_what_is_compared_are_weights_optimizer_state_metrics_and_test_results(trained):
    names = " ".join(left_by(trained))
    assert "params.fc1.kernel" in names
    assert "opt_state" in names
    assert "step key" in names or "key" in names
    assert all(f"metrics of step {step}: loss" in names for step in range(1, 6))
    assert "test images: accuracy" in names
    assert differences(left_by(trained), left_by(trained)) == []


def test_one_bit_is_enough_to_differ(trained):
    whole = left_by(trained)
    name = next(name for name in whole if name.startswith("params") and "kernel" in name)
    flipped = whole[name].copy()
    flipped.view(np.uint8).reshape(-1)[0] ^= 1
    assert differences(whole, whole | {name: flipped}) == [name]


def test_what_is_not_there_differs(trained):
    whole = left_by(trained)
    less = dict(whole)
    del less["metrics of step 3: loss"]
    assert differences(whole, less) == ["metrics of step 3: loss"]


def test_a_metric_that_was_changed_on_disk_is_named(trained, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    lines = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    lines[1]["loss"] = np.nextafter(lines[1]["loss"], 9)
    (other / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert differences(left_by(trained), left_by(other)) == ["metrics of step 2: loss"]


def test_a_folder_in_use_is_refused(run_script, tmp_path):
    (tmp_path / "mine").write_text("")
    done = run_script(SCRIPT, "--out", tmp_path)
    assert done.returncode == 2
    assert "is not empty; choose another --out" in done.stderr


STEPS = 20
TRAINING = """
import json, pathlib, sys, time
folder, steps, step_seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
folder.mkdir(exist_ok=True)
metrics = folder / "metrics.jsonl"
taken = len(metrics.read_text().splitlines()) if metrics.exists() else 0
with metrics.open("a", buffering=1) as file:
    for step in range(taken + 1, steps + 1):
        time.sleep(step_seconds)
        file.write(json.dumps({"step": step}) + chr(10))
time.sleep(float(sys.argv[4]))
"""


@pytest.fixture
def starter(tmp_path):
    """(seconds of a step, seconds after the last) -> what starts such a training by its name."""

    def make(step, end):
        def start(name):
            (tmp_path / f"{name}.err").write_text("")
            numbers = map(str, (STEPS, step, end))
            return subprocess.Popen(
                [sys.executable, "-IS", "-c", TRAINING, tmp_path / name, *numbers]
            )

        return start

    return make


@pytest.mark.parametrize("start_seconds", [0.0, 100.0])
def test_every_kill_lands_at_a_step_of_its_own_drawing(starter, tmp_path, start_seconds):
    config = Config(steps=STEPS, kills=6, out=tmp_path)
    killed = kill_and_resume(starter(0.02, 0.5), config, Pace(start_seconds, 0.0))
    assert list(killed) == ["killed"]
    steps = killed["killed"]
    assert len(steps) == 6
    assert steps == sorted(steps)
    assert len({*steps}) > 2
    lines = (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == STEPS


def test_kills_that_came_too_late_land_in_another_folder(starter, tmp_path):
    config, late = Config(steps=3, kills=4, out=tmp_path), Pace(0.0, 9.0)
    killed = kill_and_resume(starter(0.001, 0.0), config, late)
    assert len(killed) > 1
    assert sum(map(len, killed.values())) == 4
    for name in killed:
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == STEPS


def test_the_pace_is_that_of_the_lines_of_metrics(monkeypatch, tmp_path):
    clock = itertools.count()
    seen = [0, 0, 1, 1, 2, 4]  # a second each
    monkeypatch.setattr(check_resume, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(check_resume, "reported", lambda process, folder: iter(seen))
    ended = SimpleNamespace(wait=lambda: 0)
    assert undisturbed(ended, tmp_path) == (Pace(start=3, step=1.0), 7)


@pytest.mark.slow
def test_a_flag_that_the_training_does_not_take_is_one_line(run_script, tmp_path):
    done = run_script(SCRIPT, "--out", tmp_path / "out", "--flags=--optimizer sdg")
    assert done.returncode == 2
    assert "did you mean 'sgd'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow  # several processes, each of which imports and compiles
def test_a_training_that_is_killed_ends_with_the_same_bits(archive, tmp_path):
    flags = ["--network", "mlp", "--dataset", f"npz:{archive}", "--steps", "20", "--kills", "3"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *flags, "--out", tmp_path / "out"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, bit by bit, after 3 kills (at steps " in done.stdout
