"""Damage, leftovers of killed processes, other processes, full disks: noticed, named, mended."""

import errno
import json
import os
from pathlib import Path

import jax.numpy as jnp
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax.errors import CnnjaxError
from cnnjax.studies import runs as runs_module
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Folder
from cnnjax.training import checkpoints


def result(toy, name: str) -> Path:
    return toy.root / "runs" / name / "result.json"


def weights(toy, name: str) -> list[Path]:
    """The files of the weights of a run, largest first."""
    found = (toy.root / "runs" / name / "weights").rglob("*")
    return sorted((p for p in found if p.is_file()), key=lambda p: -p.stat().st_size)


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def change_setting(path: Path) -> None:
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "config": {**stored["config"], "seed": 12345}}))


DAMAGES = {
    "another setting": change_setting,
    "half-written": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "not text": lambda path: path.write_bytes(bytes(range(128, 256))),
    "another value": lambda path: path.write_text('{"row": [], "identity": 3}'),
    "a list": lambda path: path.write_text("[1, 2]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_named_once_and_its_run_redone(toy, damage):
    whole = toy.again()
    DAMAGES[damage](result(toy, "A1B"))
    assert toy.again() == whole
    assert toy.performed == ["A1B"]
    assert toy.reports == [f"{result(toy, 'A1B')} is damaged; run A1B is done again"]
    assert toy.again() == whole
    assert toy.performed == []


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_single_flipped_bit_of_a_result_changes_a_row(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "flipped"
    row = {"run": "a", "accuracy": 87.5, "seconds": 1.25, "config_hash": "0123456789abcdef"}
    folder = Folder(Plan([Run("a", {"n": 1, "name": "alexnet"})]), root, perform=None)
    path = root / "runs" / "a" / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = folder.plan.identities["a"]
    stored = {"row": row, "identity": identity, "config": {"n": 1, "name": "alexnet"}}
    stored["digest"] = runs_module.digest(stored)
    path.write_text(json.dumps(stored, indent=1))
    assert folder.finished("a") == row
    place = data.draw(st.integers(0, path.stat().st_size - 1))
    flip(path, place, data.draw(st.integers(0, 7)))
    assert folder.finished("a") in (None, row)


HARMS = {
    "flipped": lambda path: flip(path, path.stat().st_size // 2),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("victim", ["arrays", "manifest"])
def test_damaged_weights_are_named_and_their_run_redone(toy, harm, victim):
    whole = toy.again()
    result(toy, "A1B").unlink()
    arrays = [path for path in weights(toy, "baseA") if path.name != "manifest.json"]
    manifest = toy.root / "runs" / "baseA" / "weights" / "manifest.json"
    HARMS[harm](arrays[0] if victim == "arrays" else manifest)
    assert toy.again() == whole
    assert toy.performed == ["A1B", "baseA"]
    (report,) = toy.reports
    assert str(toy.root / "runs" / "baseA" / "weights") in report
    assert victim == "manifest" or arrays[0].name in report
    assert "run baseA is done again" in report


def test_missing_weights_are_made_by_doing_their_run_again(toy):
    whole = toy.again()
    result(toy, "A1B").unlink()
    for path in weights(toy, "baseA"):
        path.unlink()
    assert toy.again() == whole
    assert toy.performed == ["A1B", "baseA"]


def test_damaged_weights_that_nobody_reads_disturb_nobody(toy):
    whole = toy.again()
    flip(weights(toy, "baseA")[0], 5)
    assert toy.again() == whole
    assert toy.performed == []
    assert toy.reports == []


def test_the_watcher_is_told_when_the_run_in_hand_changes_to_a_damaged_one_and_back(toy):
    toy.again()
    result(toy, "A1B").unlink()
    weights(toy, "baseA")[0].unlink()
    toy.again()
    around = [event for event in toy.events if event[:2] != ("begin", "baseB")]
    begin = around.index(("begin", "A1B", 2))
    assert around[begin : begin + 6] == [
        ("begin", "A1B", 2),
        ("begin", "baseA", 0),
        ("steps", 1),
        ("begin", "A1B", 2),
        ("steps", 1),
        ("end", "A1B", False),
    ]


def test_weights_of_another_shape_are_not_taken(toy):
    whole = toy.again()
    result(toy, "A1B").unlink()
    path = toy.root / "runs" / "baseA" / "weights"
    checkpoints.save(path, {"params": {"conv1": {"kernel": jnp.ones((4,))}}})
    assert toy.again() == whole
    assert toy.performed == ["A1B", "baseA"]
    assert "holds another network" in toy.reports[0]


def test_leftovers_of_a_killed_process_are_cleared_before_the_run_begins(toy):
    whole = toy.again()
    directory = toy.root / "runs" / "A1B"
    result(toy, "A1B").unlink()
    (directory / ".result.0123.json").write_text('{"row"')
    (directory / ".checkpoint.0123").mkdir()
    (directory / ".checkpoint.0123" / "half").write_text("x")
    seen = []
    toy.before = lambda run, tools: seen.extend(p.name for p in tools.directory.iterdir())
    assert toy.again() == whole
    assert sorted(seen) == [".lock", "identity"]


def test_a_checkpoint_of_the_same_configuration_is_kept_for_the_run_to_go_on(toy):
    toy.folder().execute_one("baseA")
    directory = toy.root / "runs" / "baseA"
    result(toy, "baseA").unlink()
    (directory / "checkpoint").mkdir()
    seen = []
    toy.before = lambda run, tools: seen.append((tools.directory / "checkpoint").is_dir())
    toy.folder().execute_one("baseA")
    assert seen == [True]


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe", b"0" * 64])
def test_what_lies_in_the_folder_of_a_run_without_its_identity_is_cleared(toy, mark):
    whole = toy.again()
    directory = toy.root / "runs" / "A1B"
    result(toy, "A1B").unlink()
    (directory / "identity").write_bytes(mark)
    (directory / "checkpoint").mkdir()
    seen = []
    toy.before = lambda run, tools: seen.extend(p.name for p in tools.directory.iterdir())
    assert toy.again() == whole
    assert sorted(seen) == [".lock", "identity"]


def test_a_run_that_another_process_is_at_is_an_error_that_says_so(toy):
    toy.folder().execute_one("baseA")
    directory = toy.root / "runs" / "baseB"
    directory.mkdir()
    with FileLock(directory / ".lock"), pytest.raises(CnnjaxError) as error:
        toy.again()
    assert "another process is at work on run baseB" in str(error.value)
    assert toy.performed == []


def test_the_lock_of_a_dead_process_does_not_hold(toy):
    directory = toy.root / "runs" / "baseA"
    directory.mkdir(parents=True)
    (directory / ".lock").touch()
    toy.folder().execute_one("baseA")
    assert toy.performed == ["baseA"]


def test_a_run_that_another_process_finished_meanwhile_is_not_done_again(toy, monkeypatch):
    whole = toy.again()

    class SlowLock(FileLock):
        def acquire(self, *args, **kwargs):  # by the time it is ours the other has finished
            (hidden := result(toy, "A1B").with_suffix(".hidden")).rename(result(toy, "A1B"))
            assert not hidden.exists()
            return super().acquire(*args, **kwargs)

    result(toy, "A1B").rename(result(toy, "A1B").with_suffix(".hidden"))
    monkeypatch.setattr(runs_module, "FileLock", SlowLock)
    assert toy.again() == whole
    assert toy.performed == []


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(toy):
    toy.root.write_text("a file where the folder should be")
    with pytest.raises(CnnjaxError) as error:
        toy.again()
    assert f"cannot write {toy.root / 'runs' / 'baseA'}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_full_disk_is_an_error_and_leaves_no_half_result(toy, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cnnjax.studies.folders.os.replace", full)
    with pytest.raises(CnnjaxError, match="No space left on device; free space"):
        toy.again()
    monkeypatch.undo()
    directory = toy.root / "runs" / "baseA"
    assert [path.name for path in directory.iterdir()] == [".lock"]
