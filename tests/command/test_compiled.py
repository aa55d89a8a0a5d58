"""Programs are compiled sooner where that pays, and kept for the next start."""

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import make_dataclass
from types import SimpleNamespace

import jax
import pytest

from cnnjax import command
from cnnjax.command import compiled


def call(monkeypatch, run: Callable, *arguments: str) -> None:
    """A command line that does `run`."""
    monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
    command.main(make_dataclass("Config", [("smoke", bool, False)]), run, "What it is.")


LEVEL = "--xla_backend_optimization_level"


@pytest.mark.parametrize(
    ("before", "plugins", "after"),
    [
        ("", [], f"{LEVEL}=2"),
        ("--xla_dump_to=x", [], f"--xla_dump_to=x {LEVEL}=2"),
        (f"{LEVEL}=3", [], f"{LEVEL}=3"),
        ("", ["xla_cuda12"], ""),
    ],
    ids=["by itself", "beside other flags", "not against the user's", "not with an accelerator"],
)
def test_without_an_accelerator_a_command_compiles_sooner(monkeypatch, before, plugins, after):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(compiled, "entry_points", lambda group: plugins)
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    during = []
    call(monkeypatch, lambda config: during.append(os.environ["XLA_FLAGS"]))
    assert during == [after]


def test_a_smoke_form_is_compiled_soonest(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(compiled, "entry_points", lambda group: [])
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    during = []
    call(monkeypatch, lambda config: during.append(os.environ["XLA_FLAGS"]), "--smoke")
    assert during == [f"{LEVEL}=0"]


def test_the_second_start_compiles_nothing_unless_nothing_is_to_be_kept(tmp_path):
    code = (
        "import sys\n"
        "from dataclasses import make_dataclass\n"
        "import jax\n"
        "from cnnjax import command\n"
        "def run(config):\n"
        "    events = []\n"
        "    jax.monitoring.register_event_listener(lambda name, **_: events.append(name))\n"
        "    jax.numpy.zeros(3) + 1\n"
        "    for name in ('compile_requests_use_cache', 'cache_hits'):\n"
        "        print(events.count('/jax/compilation_cache/' + name))\n"
        "command.main(make_dataclass('Config', [('n', int, 1)]), run, 'What it is.')\n"
    )

    def requests_and_hits(*flags: str) -> list[int]:
        environment = os.environ | {"CNNJAX_CACHE": str(tmp_path)}
        process = subprocess.run(
            [sys.executable, "-c", code, *flags], env=environment, capture_output=True, text=True
        )
        assert process.stderr == ""
        return [int(count) for count in process.stdout.split()]

    assert requests_and_hits("--no-compile-cache") == [0, 0]
    assert not any(tmp_path.iterdir())
    requests, hits = requests_and_hits()
    assert (requests > 0, hits) == (True, 0)
    assert requests_and_hits() == [requests, requests]
    for program in tmp_path.rglob("*-cache"):  # damaged since it was looked at: JAX meets it
        status = program.stat()
        program.write_bytes(bytes(status.st_size))
        os.utime(program, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert requests_and_hits() == [requests, 0]


def test_programs_that_were_used_the_longest_ago_make_room_for_others(monkeypatch, tmp_path):
    for name, age in (("old", 300), ("new", 100), ("older, used", 400)):
        (tmp_path / name).write_bytes(bytes(10))
        used = time.time() - age
        os.utime(tmp_path / name, (time.time() if "used" in name else used, used))
    monkeypatch.setattr(compiled, "COMPILED_BYTES", 20)
    compiled._make_room(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["new", "older, used"]
    compiled._make_room(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["new", "older, used"]


def test_without_a_place_to_write_to_a_command_runs_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "file"))
    seen = []
    jax.config.update("jax_enable_compilation_cache", True)
    try:
        call(monkeypatch, seen.append)
    finally:
        jax.config.update("jax_enable_compilation_cache", False)
    assert len(seen) == 1


def test_compiled_programs_that_a_killed_process_left_half_written_are_removed(tmp_path):
    whole = zlib.compress(b"program" * 100)
    for name, content in (("whole", whole), ("half", whole[:-5]), ("empty", b"")):
        (tmp_path / f"{name}-cache").write_bytes(content)
    compiled._drop_half_written(tmp_path)
    assert [path.name for path in tmp_path.glob("*-cache")] == ["whole-cache"]


def test_programs_that_zstandard_packed_are_looked_at_where_it_is_there(monkeypatch):
    packed = b"\x28\xb5\x2f\xfd and more"
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert compiled._is_whole(packed)
    said = {packed: b"program"}
    monkeypatch.setitem(sys.modules, "zstandard", SimpleNamespace(decompress=said.__getitem__))
    assert compiled._is_whole(packed)
    assert not compiled._is_whole(packed[:-1])


def test_of_compiled_programs_only_new_ones_are_looked_at(monkeypatch, tmp_path):
    (tmp_path / "one-cache").write_bytes(zlib.compress(b"program"))
    looked, is_whole = [], compiled._is_whole
    monkeypatch.setattr(compiled, "_is_whole", lambda c: looked.append(c) or is_whole(c))
    compiled._drop_half_written(tmp_path)
    compiled._drop_half_written(tmp_path)
    assert len(looked) == 1


@pytest.mark.parametrize("seconds", [-1e6, 1e6])
def test_a_clock_that_was_set_hides_no_half_written_program(tmp_path, seconds):
    compiled._drop_half_written(tmp_path)
    program = tmp_path / "new-cache"
    program.write_bytes(b"no program")
    os.utime(program, (time.time() + seconds,) * 2)
    compiled._drop_half_written(tmp_path)
    assert not program.exists()


def test_a_program_that_another_process_is_writing_stays(monkeypatch, tmp_path):
    program = tmp_path / "new-cache"
    program.write_bytes(b"half")
    monkeypatch.setattr(compiled.time, "sleep", lambda seconds: program.write_bytes(b"and more"))
    compiled._drop_half_written(tmp_path)
    assert program.exists()
