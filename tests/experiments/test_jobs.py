"""A study as jobs of their own, against the same study in one process: all real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "transferability.py"
ARMS = ("baseA", "baseB", "A1B", "A1B+")
FLAGS = ("--splits", "1", "--steps", "30", "--treatments", "AnB", "AnB+")


def process_of(run: str, folder: Path) -> int:
    """The id of the process that does that run there, once it is at work on it."""
    directory = folder / "out" / "runs" / run
    for _ in range(1200):
        if (directory / "identity").exists():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    ours = {b"--only", run.encode(), str(SCRIPT).encode()} <= set(words)
                    if ours and (process / "cwd").readlink() == folder:
                        return int(process.name)
                except OSError:  # it has ended
                    continue
        time.sleep(0.05)
    raise AssertionError(f"{run} was never at work")


@pytest.mark.slow
def test_jobs_of_which_one_is_killed_give_the_table_and_the_figure_of_one_process(
    study_type, tiny, programs, tmp_path
):
    one = study_type(tiny, tmp_path / "one", programs)
    jobs = study_type(tiny, tmp_path / "jobs", programs)
    for place in (one, jobs):
        place.folder.mkdir()
    assert one.run(*FLAGS)[0] == 0

    flags = " ".join(jobs.arguments(*FLAGS))
    submit = [sys.executable, ROOT / "scripts" / "submit.py", SCRIPT, f"--flags={flags}"]
    given = {"cwd": jobs.folder, "env": jobs.environment(), "text": True}
    given |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    first = subprocess.Popen([*submit, "--executor", "local"], **given)
    os.kill(process_of("split0-baseA", jobs.folder), signal.SIGKILL)
    said, errors = first.communicate(timeout=600)
    assert (first.returncode, errors) == (1, "")
    (log,) = re.findall(r"^split0-baseA: failed: .*; log: (.*)$", said, re.M)
    assert Path(log).exists()
    assert "split0-baseB: finished" in said
    assert "split0-A1B: not begun, for it needs split0-baseA" in said

    second = subprocess.run([*submit, "--executor", "local"], **given)
    assert (second.returncode, second.stderr) == (0, "")
    assert "baseB" not in second.stdout
    assert jobs.table() == one.table()
    assert [row["run"] for row in jobs.table()] == [f"split0-{arm}" for arm in ARMS]
    figures = [(place.folder / "out" / "figure.svg").read_bytes() for place in (one, jobs)]
    assert figures[0] == figures[1]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["merging", "copying"])
def test_runs_done_apart_and_put_together_give_the_table_of_one_folder(
    study_type, tiny, programs, tmp_path, by
):
    apart = [study_type(tiny, tmp_path / name, programs) for name in ("one", "two", "whole")]
    flags = ("--splits", "2", "--steps", "30", "--treatments")
    for place in apart:
        place.folder.mkdir()
    one, two, whole = apart
    for place, runs in ((one, ("split0-baseA", "split0-baseB")), (two, ("split1-baseA",))):
        for run in runs:
            assert place.run(*flags, "AnB", "--only", run)[0] == 0
    assert whole.run(*flags, "AnB")[0] == 0
    if by == "merging":
        merge = [sys.executable, ROOT / "scripts" / "merge_runs.py", "one/out", "two/out"]
        subprocess.run([*merge, "--out", "both/out"], cwd=tmp_path, check=True)
    else:
        shutil.copytree(one.folder / "out", tmp_path / "both" / "out")
        shutil.copytree(
            two.folder / "out" / "runs", tmp_path / "both" / "out" / "runs", dirs_exist_ok=True
        )
    both = study_type(tiny, tmp_path / "both", programs)
    status, said, _ = both.run(*flags, "AnB")
    assert status == 0
    assert said.count("already finished") == 3
    assert both.table() == whole.table()
