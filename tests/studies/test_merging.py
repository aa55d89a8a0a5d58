"""Two folders with the runs of one study, as machines without a common disk leave them."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import claim_folder
from cnnjax.studies.merging import merge
from cnnjax.studies.plans import Plan, digest
from cnnjax.studies.runs import Folder

SHARES = {"one": ("baseA", "A1B"), "two": ("baseA", "baseB", "AB")}


@pytest.fixture(scope="module")
def done(toy_type, tmp_path_factory) -> Path:
    """one has baseA and A1B; two has baseA as well, baseB and AB; alone is done nowhere."""
    place = tmp_path_factory.mktemp("machines")
    for name, share in SHARES.items():
        claim_folder(place / name, "toy", {"slope": 2})
        folder = Folder(Plan(toy_type.runs()), place / name, toy_type(place).perform)
        for run in share:
            folder.execute_one(run)
    return place


@pytest.fixture
def folders(done, tmp_path) -> list[Path]:
    """The folders of both machines, to do with as one likes."""
    return [Path(shutil.copytree(done / name, tmp_path / name)) for name in SHARES]


def change(folder: Path, run: str, **content: object) -> None:
    """Has that run be done again there with another result."""
    path = folder / "runs" / run / "result.json"
    result = json.loads(path.read_text()) | content
    del result["digest"]
    path.write_text(json.dumps(result | {"digest": digest(result)}))


def row(folder: Path, run: str) -> dict:
    return json.loads((folder / "runs" / run / "result.json").read_text())["row"]


def test_a_merged_folder_has_all_runs_and_the_study_goes_on_in_it(toy, folders, tmp_path):
    merged = merge(folders, tmp_path / "all")
    assert sorted(merged.copied) == ["A1B", "AB", "baseA", "baseB"]
    assert (merged.present, merged.unfinished) == ([], [])
    toy.root = tmp_path / "all"
    rows = toy.again()
    assert toy.performed == ["alone"]
    toy.root = tmp_path / "at once"
    assert rows == toy.again()


def test_the_weights_of_merged_bases_are_there_for_the_runs_that_need_them(toy, folders, tmp_path):
    merge(folders, tmp_path / "all")
    shutil.rmtree(tmp_path / "all" / "runs" / "AB")
    toy.root = tmp_path / "all"
    toy.again()
    assert toy.performed == ["AB", "alone"]


def test_the_target_may_be_one_of_them(folders):
    merged = merge(folders[1:], folders[0])
    assert (sorted(merged.copied), sorted(merged.present)) == (["AB", "baseB"], ["A1B", "baseA"])
    assert merge(folders, folders[0]).copied == []


def test_what_is_finished_nowhere_is_named_and_what_is_elsewhere_is_not(folders, tmp_path):
    for folder, run in ((folders[0], "baseA"), (folders[1], "alone"), (folders[1], "AB")):
        directory = folder / "runs" / run
        directory.mkdir(exist_ok=True)
        (directory / "result.json").write_text("{")
    merged = merge(folders, tmp_path / "all")
    assert merged.unfinished == [folders[1] / "runs" / "AB", folders[1] / "runs" / "alone"]
    assert not (tmp_path / "all" / "runs" / "alone").exists()
    assert (tmp_path / "all" / "runs" / "baseA" / "result.json").exists()


def test_a_half_done_run_in_the_target_gives_way_to_a_finished_one(folders):
    half = folders[0] / "runs" / "baseB"
    (half / "checkpoint").mkdir(parents=True)
    (half / "identity").write_text("of an attempt")
    merge(folders, folders[0])
    assert not (half / "checkpoint").exists()
    assert row(folders[0], "baseB") == row(folders[1], "baseB")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"row": {"run": "baseA", "accuracy": 3.0, "loss": 1.0}}, "accuracy is "),
        ({"identity": "f" * 64}, "with one configuration in "),
        ({"curve": [{"step": 1}]}, "its curve in "),
    ],
    ids=["numbers", "configuration", "curve"],
)
def test_a_run_that_was_done_twice_with_another_outcome_is_named_and_nothing_is_copied(
    folders, tmp_path, changes, says
):
    change(folders[1], "baseA", **changes)
    with pytest.raises(CnnjaxError, match=f"run baseA was done twice: {says}") as error:
        merge(folders, tmp_path / "all")
    assert all(str(folder) in str(error.value) for folder in folders)
    assert not (tmp_path / "all").exists()


def test_other_seconds_are_no_conflict(folders, tmp_path):
    change(folders[1], "baseA", row=row(folders[1], "baseA") | {"seconds": 99.0})
    merge(folders, tmp_path / "all")


@pytest.mark.parametrize(
    ("study", "config", "says"),
    [
        ("other", {"slope": 2}, "study toy in .*one, other in .*three"),
        ("toy", {"slope": 3}, "slope is 2 in .*one and 3 in .*three"),
    ],
)
def test_folders_of_other_studies_or_configurations_are_refused(
    folders, tmp_path, study, config, says
):
    claim_folder(tmp_path / "three", study, config)
    with pytest.raises(CnnjaxError, match=f"these are not runs of one study: {says}; merge equal"):
        merge([folders[0], tmp_path / "three"], tmp_path / "all")
    with pytest.raises(CnnjaxError, match="these are not runs of one study"):
        merge(folders, tmp_path / "three")


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_a_study_is_refused(folders, tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CnnjaxError, match=f"{name} holds no study: No such file"):
        merge([folders[0], tmp_path / name], tmp_path / "all")


def test_a_run_at_which_a_process_is_at_work_in_the_target_is_left_to_it(folders):
    directory = folders[0] / "runs" / "baseB"
    directory.mkdir()
    with (
        FileLock(directory / ".lock"),
        pytest.raises(CnnjaxError, match=r"another process is at work on .*baseB; wait until"),
    ):
        merge(folders, folders[0])
