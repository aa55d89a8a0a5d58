"""Killed at any moment, interrupted, damaged: the same command goes on, and the results end as if
nothing had happened. Real processes, real signals, real files."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

# baseA, baseB, A1B
FLAGS = ("--network", "lenet5", "--splits", "1", "--steps", "120", "--treatments", "AnB")
# The script itself, but with a checkpoint at every line of metrics (every 50 steps), not every ten
# seconds: so a run of a second has some.
OFTEN = f"""
import sys
sys.path.insert(0, {str(EXPERIMENTS)!r})
from cnnjax.training import fit
fit.__kwdefaults__["checkpoint_seconds"] = 0.0
import transferability
from cnnjax import command
command.main(transferability.Config, transferability.run, transferability.__doc__, resumes=True)
"""


@pytest.fixture(scope="module")
def whole(tiny, programs, tmp_path_factory, study_type):
    """The study by the very script, run once without a disturbance."""
    study = study_type(tiny, tmp_path_factory.mktemp("undisturbed"), programs)
    status, _, err = study.run(*FLAGS)
    assert (status, err) == (0, "")
    return study


@pytest.fixture(scope="module")
def undisturbed(whole) -> list[dict[str, str]]:
    return whole.table()


def start(study) -> subprocess.Popen:
    return study.start(*FLAGS, program=("-c", OFTEN))


def finish(study) -> str:
    """Runs the same command to its end; returns what it said."""
    status, out, err = study.run(*FLAGS, program=("-c", OFTEN))
    assert (status, err) == (0, "")
    return out


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Waits until there is `path`."""
    while not path.exists():
        assert process.poll() is None, f"it ended before there was {path}"
        time.sleep(0.001)


def kill_at(study, path: str) -> str:
    """Starts the study, kills it -9 as soon as there is `path`; returns what it had said."""
    process = start(study)
    wait_for(study.folder / "out" / path, process)
    process.kill()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return out


def checkpoint(name: str) -> str:
    return f"runs/split0-{name}/checkpoint/manifest.json"


def interrupt_at(study, path: str) -> tuple[int, str, str]:
    """Sends the study Ctrl-C as soon as there is `path`; returns status, output and errors."""
    process = start(study)
    wait_for(study.folder / "out" / path, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.slow
def test_killed_and_interrupted_it_ends_as_if_nothing_had_happened(study, undisturbed):
    kill_at(study, checkpoint("baseA"))  # in the middle of a base
    interrupt_at(study, checkpoint("A1B"))  # in the middle of a transfer
    out = finish(study)
    assert "note:" not in out  # nothing of what was left was damaged
    assert out.count("already finished") == 2
    assert study.table() == undisturbed
    assert (study.folder / "out" / "figure.svg").exists()


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def largest(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_its_run_done_from_the_start(study, undisturbed):
    damages = {
        "baseA": lambda folder: os.truncate(arrays := largest(folder), arrays.stat().st_size // 2),
        "baseB": lambda folder: flip_bit(largest(folder)),
        "A1B": lambda folder: (folder / "manifest.json").write_text(""),
    }
    said = ""
    for name, damage in damages.items():
        said += kill_at(study, checkpoint(name))
        damage((study.folder / "out" / checkpoint(name)).parent)
    said += finish(study)
    notes = [line for line in said.splitlines() if line.startswith("note: ")]
    assert len(notes) == len(damages)
    for name, note in zip(damages, notes, strict=True):
        assert f"runs/split0-{name}/checkpoint is " in note
        assert "this training starts from the beginning" in note
    assert study.table() == undisturbed


@pytest.mark.slow
def test_damaged_weights_and_results_are_named_and_their_runs_done_again(study, whole):
    shutil.copytree(whole.folder / "out", study.folder / "out")
    runs = study.folder / "out" / "runs"
    flip_bit(largest(runs / "split0-baseA" / "weights"))
    os.truncate(runs / "split0-A1B" / "result.json", 100)
    (runs / "split0-A1B" / "metrics.jsonl").write_bytes(b'{"step": 50, "lo\xff\n[]\n{}\n')
    out = finish(study)
    assert "note: out/runs/split0-A1B/result.json is damaged; run split0-A1B is done again" in out
    assert "split0-baseA/weights is damaged" in out
    assert "(run split0-baseA is done again)" in out
    assert out.count("note: ") == 2
    assert study.table() == whole.table()


def test_an_interruption_says_how_to_go_on(study):
    status, out, err = interrupt_at(study, checkpoint("baseA"))
    assert status == 130
    assert err.strip() == "stopped; the same command goes on where it was"
    assert "Traceback" not in out + err


@pytest.mark.slow
def test_two_processes_in_one_folder_do_not_disturb_each_other(study, undisturbed):
    first = start(study)
    wait_for(study.folder / "out" / checkpoint("baseA"), first)
    first.send_signal(signal.SIGSTOP)  # so that it is surely still there when the other comes
    status, out, err = study.run(*FLAGS)
    first.send_signal(signal.SIGCONT)
    assert status == 2
    assert out == ""
    assert err.startswith("error: another process is at work on run split0-baseA in out; wait")
    assert err.count("\n") == 1
    first.communicate(timeout=300)
    assert first.returncode == 0
    assert study.table() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("network", ["alexnet_small", "lenet5"])
def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(study, network):
    """Kills spread over the whole study, each where the one before has left it; every process
    compiles its programs itself."""
    flags = (*FLAGS, "--network", network, "--layers", "2", "--learning-rate", "0.1")
    study.programs = None
    began = time.monotonic()
    status, *_ = study.run(*flags, program=("-c", OFTEN))
    whole = time.monotonic() - began
    assert status == 0
    undisturbed = study.table()
    for turn in range(6):
        shutil.rmtree(study.folder / "out")
        for kill in range(3):
            process = study.start(*flags, program=("-c", OFTEN))
            part = 0.2 + 0.8 * (7 * turn + 3 * kill) % 10 / 10
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=part * whole)
            process.kill()
            process.communicate()
        status, out, err = study.run(*flags, program=("-c", OFTEN))
        assert (status, err) == (0, "")
        assert "note:" not in out
        assert study.table() == undisturbed
