"""scripts/fault_campaign.py: what it counts is so, and what differs is found."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from fault_campaign import Config, keep
from faults import damages
from faults.bench import Bench, Tally
from faults.kills import PHASES, Kills, phase, progress
from faults.pages import TABLES, between, write_page
from faults.subjects import Ended, Subject, differing, leftovers

from cnnjax import CnnjaxError
from cnnjax.training import checkpoints

SCRIPTS = Path(__file__).parents[3] / "scripts"
PAGE = Config.page
RECORD = Config.record


def left(folder):
    return {"loss": np.float32((folder / "loss").read_text())}


TRAINING = Subject("training", ("train.py",), left, "result.json", "")


@pytest.fixture
def out(tmp_path):
    """The folder of a training that has begun."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "study.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "early"),
        (("checkpoint/manifest.json",), "between"),
        ((".checkpoint.new.1.tmp/d",), "checkpoint"),
        (("checkpoint/d", ".checkpoint.new.1/d"), "checkpoint"),
        ((".checkpoint.old.1/d", ".checkpoint.new.2/d"), "swap"),
        (("checkpoint/d", ".checkpoint.old.1/d"), "checkpoint"),
        ((".weights.new.1/d",), "weights"),
        ((".result.1.json",), "file"),
        (("result.json",), "late"),
    ],
)
def test_where_a_process_was_killed_is_read_from_its_folder(out, names, expected):
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("")
    assert phase(TRAINING, out, set()) == PHASES[expected]


def test_what_was_left_over_before_does_not_count(out):
    (out / ".result.1.json").write_text("")
    assert phase(TRAINING, out, set(leftovers(out))) == PHASES["early"]
    (out / "study.json").unlink()
    assert phase(TRAINING, out, set()) == PHASES["nothing"]


def test_the_steps_that_are_safe_are_those_of_a_whole_checkpoint_wherever_it_lies(out):
    assert progress(TRAINING, out) == 0
    checkpoints.save(out / "checkpoint", {"step": np.int32(7)})
    assert progress(TRAINING, out) == 7
    (out / "checkpoint").rename(out / ".checkpoint.old.1")
    assert progress(TRAINING, out) == 7
    next((out / ".checkpoint.old.1").rglob("manifest.json")).unlink()
    assert progress(TRAINING, out) == 0


def test_another_bit_and_what_is_missing_are_found(out):
    (out / "loss").write_text("1.5")
    assert differing(TRAINING, out, {"loss": np.float32(1.5)}) == []
    assert differing(TRAINING, out, {"loss": np.nextafter(np.float32(1.5), 2)}) == ["loss"]
    (out / "loss").unlink()
    assert len(differing(TRAINING, out, {})) == 1


@pytest.fixture
def bench(tmp_path, out):
    whole = {"training": {"loss": np.float32(1.5)}}
    (out / "loss").write_text("1.5")
    return Bench(tmp_path, tmp_path, {"training": TRAINING}, whole, random.Random(0), print)


def test_a_try_is_clear_in_one_line_and_the_same_with_the_same_bits(bench, out):
    tally = Tally("a fault", "training")
    bench.judge(tally, out, Ended(2, "", f"error: {bench.work}/out7 is full\n"), Ended(0, "", ""))
    assert (tally.tried, tally.clear, tally.went_on, tally.same) == (1, 1, 1, 1)
    assert tally.said == {"error: OUT is full": 1}
    assert not out.exists()


def test_a_traceback_another_bit_and_a_failure_count_against_it(bench, out):
    (out / "loss").write_text("1.6")
    tally = Tally("a fault", "training")
    bench.judge(tally, out, Ended(1, "note: x\n", "Traceback\nZeroDivisionError\n"))
    assert (tally.tried, tally.clear, tally.went_on, tally.same) == (1, 0, 0, 0)
    assert out.exists()  # kept to be looked at


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "lose"])
def test_every_harm_changes_the_folder(tmp_path, harm):
    for name in ("a", "b/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"some content")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    getattr(damages, harm)(tmp_path, random.Random(0))
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert sum(before[p] != after.get(p) for p in before) == 1


def test_a_process_is_killed_before_the_change_that_was_asked_for(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        f"out = Path({str(tmp_path)!r}) / 'out'\n"
        "out.mkdir()\n"
        "(out / 'a').write_text('')\n"
        "(out / 'a').rename(out / 'b')\n"
        "(out / 'b').unlink()\n"
        "print('done')\n"
    )
    seen = []
    for kill in range(1, 6):
        faults = {"folder": str(tmp_path / "out"), "kill": kill, "count": str(tmp_path / "count")}
        code = (
            f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
            "from faults import faulty\n"
            "from pathlib import Path\n"
            f"faulty.run([{str(script)!r}], {faults!r}, {{}}, Path({str(tmp_path / 'said')!r}))\n"
        )
        status = subprocess.run([sys.executable, "-c", code]).returncode
        names = [p.name for p in (tmp_path / "out").iterdir()] if kill > 1 else []
        seen.append((status, names))
        for path in [*(tmp_path / "out").glob("*")]:
            path.unlink()
        if kill > 1:
            (tmp_path / "out").rmdir()
    killed = -signal.SIGKILL
    assert seen == [(killed, []), (killed, []), (killed, ["a"]), (killed, ["b"]), (0, [])]
    assert (tmp_path / "count").read_text() == "4"
    assert (tmp_path / "said.out").read_text() == "done\n"


def test_the_tables_of_the_page_are_those_of_the_figures(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_page(page, json.loads(RECORD.read_text()))
    assert page.read_text() == PAGE.read_text()


def test_a_page_without_marks_is_told():
    with pytest.raises(CnnjaxError, match="has no <!-- kills -->"):
        between("text", "kills", "new", PAGE)


def test_a_part_takes_the_place_of_its_earlier_figures_alone(tmp_path):
    record = tmp_path / "record.json"
    keep(record, "kills", {"wrong": 1})
    keep(record, "fuzz", {"wrong": 2})
    keep(record, "kills", {"wrong": 0})
    assert json.loads(record.read_text()) == {"kills": {"wrong": 0}, "fuzz": {"wrong": 2}}
    record.write_text("[")
    with pytest.raises(CnnjaxError, match="is damaged"):
        keep(record, "kills", {})


def test_a_table_of_kills_has_a_column_for_each_subject():
    machine = {"cpu_cores": 2, "device": "cpu", "jax": "0.10"}
    rows = [asdict(Kills(name)) for name in ("training", "study")]
    lines = list(TABLES["kills"]({"rows": rows, "seconds": 60, "machine": machine}))
    assert lines[0] == "|  | training | study |"
    assert "| kills | 0 | 0 |" in lines


@pytest.mark.slow  # some forty starts of a training and a study
def test_the_campaign_in_small_finds_nothing(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    flags = ["--parts", "kills", "--kills", "8", "--record", tmp_path / "record.json"]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "fault_campaign.py", *flags, "--page", page, "--work", "work"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "record.json").read_text())["kills"]["rows"]
    assert [sum(row["kills"].values()) for row in rows] == [4, 4]
