"""The study from data to figure, as a user runs it: real processes on a tiny data set."""

import csv
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import transferability
from PIL import Image
from transferability import Config, run, shrink
from transferability_protocol import Protocol

from cnnjax.errors import CnnjaxError

LENGTH = ("--splits", "2", "--steps", "30")
ARMS = ("baseA", "baseB", "base2xB", "B1B", "B1B+", "A1B", "A1B+", "random1B")
NAMES = [f"split{split}-{arm}" for split in range(2) for arm in ARMS]


@pytest.fixture(scope="module")
def finished(tiny, programs, tmp_path_factory, study_type):
    """The study, run once to its end, and what it said."""
    study = study_type(tiny, tmp_path_factory.mktemp("study"), programs)
    study.status, study.stdout, study.stderr = study.run(*LENGTH)
    return study


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of the finished study's folder, to do with as one likes."""
    shutil.copytree(finished.folder / "out", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def same(config, copy):
    """The finished study's configuration, in this process and on the copy."""
    return config(network="mlp", steps=30, out=copy)


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_ends_well_and_has_nothing_to_complain_of(finished):
    assert finished.status == 0
    assert finished.stderr == ""


def test_every_run_is_a_line_with_its_accuracy_time_and_the_time_left(finished):
    lines = finished.stdout.splitlines()[: len(NAMES)]
    for i, (line, name) in enumerate(zip(lines, NAMES, strict=True), start=1):
        pattern = rf"\[{i}/16\] {re.escape(name)}: \d+\.\d %, \d+\.\d s, (\d+:\d\d left|time .*)"
        assert re.fullmatch(pattern, line)


def test_the_claims_are_printed_with_verdicts_and_the_numbers_that_decide(finished):
    claims = finished.stdout.partition("The paper's claims")[2]
    verdicts = re.findall(r"│ (supported|contradicted|undecided)\s+│", claims)
    assert len(verdicts) == 4  # those that one early layer can decide
    for numbers in ("AnB − base at n = 1: ", "AnB+ − base2x at n = 1: "):
        assert re.search(re.escape(numbers) + r"[+-]\d", claims)


def test_the_table_is_printed_whole(finished):
    table = finished.stdout.partition("Points against")[2].partition("The paper's claims")[0]
    (line,) = [line for line in table.splitlines() if line.startswith("│ 1 ")]
    assert len(re.findall(r"[+-]\d+\.\d ± \d+\.\d", line)) == 5


def test_the_paths_of_what_was_written_come_last_and_are_there(finished):
    paths = finished.stdout.splitlines()[-3:]
    assert paths == ["out/results.csv", "out/figure.svg", "out/figure.png"]
    assert all((finished.folder / path).stat().st_size > 0 for path in paths)


def test_results_have_a_row_for_each_run_with_all_columns(finished):
    found = rows(finished.folder / "out")
    assert tuple(found[0]) == (
        *("run", "treatment", "n", "split", "source", "target", "accuracy", "change", "loss"),
        *("steps", "seconds", "config_hash"),
    )
    assert [row["run"] for row in found] == NAMES
    for row in found:
        assert 0 <= float(row["accuracy"]) <= 100
        assert float(row["loss"]) > 0
        assert int(row["steps"]) == (60 if row["treatment"] == "base2x" else 30)
        assert int(row["n"]) == (0 if row["treatment"].startswith("base") else 1)
        assert re.fullmatch("[0-9a-f]{16}", row["config_hash"])
    assert len({row["config_hash"] for row in found}) == len(found)


def test_a_change_is_the_accuracy_less_that_of_the_base_of_the_same_target(finished):
    found = {row["run"]: row for row in rows(finished.folder / "out")}
    for row in found.values():
        base = found[f"split{row['split']}-base{row['target']}"]
        expected = float(row["accuracy"]) - float(base["accuracy"])
        assert float(row["change"]) == pytest.approx(expected, abs=1e-3)


def test_the_networks_have_learnt_something_and_the_arms_differ(finished):
    accuracies = [float(row["accuracy"]) for row in rows(finished.folder / "out")]
    assert max(accuracies) > 50  # chance is a third
    assert len(set(accuracies)) > 3


def test_the_figure_is_a_drawing_and_a_picture(finished):
    root = ElementTree.parse(finished.folder / "out" / "figure.svg").getroot()
    text = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "mlp on tiny.npz, random halves of 6 classes (3 in B)" in text
    assert "2 splits, A to B" in text
    with Image.open(finished.folder / "out" / "figure.png") as picture:
        assert picture.size[0] > 1000


def test_weights_are_kept_of_bases_only(finished):
    kept = {path.parent.name for path in (finished.folder / "out" / "runs").glob("*/weights")}
    assert kept == {f"split{split}-base{half}" for split in range(2) for half in "AB"}


def test_the_same_command_again_trains_nothing_and_gives_the_same_files(
    same, copy, monkeypatch, capsys
):
    def perform(*_):
        raise AssertionError("a finished run was performed again")

    monkeypatch.setattr(Protocol, "perform", perform)
    before = snapshot(copy)
    run(same)
    after = snapshot(copy)
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert capsys.readouterr().out.count("already finished") == len(NAMES)


def test_the_list_of_a_finished_study_says_so_and_writes_nothing(same, copy, capsys):
    before = snapshot(copy)
    run(transferability.replace(same, list=True))
    assert snapshot(copy) == before
    out = capsys.readouterr().out
    assert "16 runs" in out
    assert out.count(" finished ") == len(NAMES)


def test_the_list_of_a_new_study_names_runs_needs_and_costs_and_writes_nothing(
    config, tmp_path, capsys
):
    run(config(network="mlp", steps=30, list=True))
    out = capsys.readouterr().out
    for name in NAMES:
        assert f" {name} " in out
    assert re.search(r"│ split1-A1B\s+│ split1-baseA │\s+30 │\s+4\.6 │\s+│", out)
    assert "finished" not in out
    assert os.listdir(tmp_path) == []


def test_a_part_of_the_plan_in_the_same_folder_draws_on_what_is_there(same, copy, capsys):
    run(transferability.replace(same, splits=1, treatments=("AnB",)))
    assert [row["run"] for row in rows(copy)] == ["split0-baseA", "split0-baseB", "split0-A1B"]
    assert capsys.readouterr().out.count("already finished") == 3


def test_a_single_split_decides_nothing(same, copy, capsys):
    run(transferability.replace(same, splits=1))
    out = capsys.readouterr().out
    assert "undecided" in out
    assert "supported" not in out
    assert "contradicted" not in out


def test_one_run_alone_says_which_runs_must_come_before(config, tmp_path):
    with pytest.raises(CnnjaxError) as error:
        run(config(only="split1-A1B"))
    assert "run split1-A1B starts from split1-baseA, not finished" in str(error.value)
    assert "do first: --only split1-baseA" in str(error.value)
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_runs_taken_one_by_one_by_a_scheduler_give_the_same_results(config, tmp_path, capsys):
    part = config(network="mlp", steps=30, splits=1, treatments=("AnB",))
    for name in ("baseB", "baseA", "A1B"):  # bases in any order
        run(transferability.replace(part, only=f"split0-{name}"))
    assert "[3/3] split0-A1B" in capsys.readouterr().out
    run(part)
    assert capsys.readouterr().out.count("already finished") == 3
    run(transferability.replace(part, out=tmp_path / "at once"))
    one_by_one, at_once = (
        [{name: row[name] for name in row if name != "seconds"} for row in rows(folder)]
        for folder in (part.out, tmp_path / "at once")
    )
    assert one_by_one == at_once
    assert [row["run"] for row in at_once] == [f"split0-{n}" for n in ("baseA", "baseB", "A1B")]


def test_until_all_runs_are_there_the_table_has_those_that_are(same, copy, capsys):
    for name in ("split0-A1B", "split1-base2xB"):
        (copy / "runs" / name / "result.json").unlink()
    (copy / "results.csv").unlink()
    run(transferability.replace(same, only="split0-baseB"))
    assert len(rows(copy)) == len(NAMES) - 2
    assert "14 of 16 runs are finished; the figure follows when all are" in capsys.readouterr().out


def test_the_smoke_form_is_a_few_steps_on_a_few_images_in_a_folder_of_its_own():
    small = shrink(Config())
    assert (small.splits, small.steps, small.epochs, small.layers) == (2, 4, None, "1")
    assert small.images_per_class == 4
    assert small.out == Path("results/transferability-smoke")
    assert shrink(Config(out=Path("mine"), layers="2")).out == Path("mine")
    assert shrink(Config(layers="2,3")).layers == "2,3"


@pytest.mark.slow
def test_the_smoke_form_of_the_default_study_ends_within_seconds(study):
    study.arguments = lambda *flags: list(flags)
    status, out, err = study.run("--smoke")
    assert (status, err) == (0, "")
    assert "results/transferability-smoke/figure.png" in out
