"""The command that prints a ledger."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import cnnjax

SCRIPT = Path(__file__).parents[2] / "scripts" / "ledger.py"


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the script in this process; returns (status, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return call


def line(text, *words):
    """The one line of a table that begins with these cells."""
    cells = [[c.strip() for c in row.split("│")[1:-1]] for row in text.splitlines() if "│" in row]
    (found,) = [row for row in cells if row[: len(words)] == list(words)]
    return found


def test_lenet5_is_printed_with_its_arithmetic_and_the_slips_of_the_slides(command):
    status, out, _ = command("lenet5")
    assert status == 0
    assert line(out, "c1")[1:7] == [
        "28×28×6 → 14×14×6", "6 every 2", "6·(5·5·1+1)", "156", "117,600", "624 B",
    ]  # fmt: skip
    assert line(out, "c1")[-1] == "agrees"
    assert line(out, "c3")[-1].startswith("prints stride 2, is 1: from 14 to 10 pixels is stride 1")
    assert line(out, "c5")[2:5] == ["all", "120·(400+1)", "48,120"]
    assert line(out, "total")[4:6] == ["61,706", "416,520"]
    assert "convolutions 2,572 (4.2 %), fully connected 59,134 (95.8 %)" in out
    assert "lecture 2: prints parameters 61706, agrees" in out


def test_alexnets_slides_are_corrected(command):
    _, out, _ = command("alexnet")
    assert line(out, "conv2")[-1] == "agrees"
    assert line(out, "fc7")[4] == "16,781,312"
    assert "prints parameters 16777216, is 16,781,312" in line(out, "fc7")[-1]
    assert "convolutions 3,747,200 (6.0 %), fully connected 58,631,144 (94.0 %)" in out
    assert "prints parameters 62369152, is 62,378,344: leaves out the 9,192 biases" in out
    assert "prints size fc6 fc7 nearly 1 GB, is 208.0 MiB" in out


def test_the_lecture_is_quoted_only_for_the_network_it_speaks_of(command):
    _, out, _ = command("vgg16", "--num-classes", "2")
    assert all(line(out, stage)[-1] == "agrees" for stage in cnnjax.create("vgg16").stages)
    assert "lecture 5: prints parameters 134,268,738, agrees" in out
    _, out, _ = command("vgg16")
    assert "134,268,738" not in out
    assert "lecture 4: prints parameters 138,357,544, agrees" in out
    _, out, _ = command("lenet5", "--image", "28x28x1")
    assert "lecture" not in out


def test_running_statistics_are_told(command):
    _, out, _ = command("vgg11_bn", "--image", "32x32x3")
    assert "kept beside the parameters: 5,504 running statistics" in out
    assert "other 5,504 (" in out


def test_json_holds_the_same(command):
    status, out, _ = command("lenet5", "--json")
    report = json.loads(out)
    assert status == 0
    assert [row["parameters"] for row in report["stages"]] == [156, 2416, 48120, 10164, 850]
    assert report["stages"][1]["field"]["size"] == [16, 16]
    assert report["total"]["parameters"] == 61_706
    assert {fact["printed"]: fact["agrees"] for fact in report["lectures"]}["61706"] is True


@pytest.mark.slow
def test_all_that_the_lectures_print_is_listed(command):
    _, out, _ = command("--lectures")
    rows = [[c.strip() for c in row.split("│")[1:-1]] for row in out.splitlines() if "│" in row]
    inception = [row for row in rows if row[3] == "multiply-adds" and row[0] == "3"]
    assert [row[4:] for row in inception] == [
        ["120 Million", "120,422,400", "agrees"],
        ["12.4 Million", "12,443,648", "agrees"],
    ]
    _, out, _ = command("--lectures", "--json")
    assert {fact["lecture"] for fact in json.loads(out)} == {1, 2, 3, 4, 5}


def test_the_networks_are_listed(command):
    assert command("--list")[1].split() == cnnjax.list_models()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no network is named", "lenet5"]),
        (["lenet"], ["no network 'lenet'", "did you mean 'lenet5'"]),
        (["lenet5", "--image", "32x32"], ["'32x32'", "such as 32x32x1"]),
        (["lenet5", "--image", "0x32x1"], ["'0x32x1'", "at least 1"]),
        (["lenet5", "--image", "8x8x1"], ["8 x 8 x 1 do not fit", "16 x 16"]),
        (["lenet5", "--num-classes", "-1"], ["num_classes is -1", "0 (no head) or more"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(command, arguments, words):
    status, out, err = command(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in err


def test_it_runs_as_a_process_from_any_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "mlp"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "1200·(1200+1)" in done.stdout
