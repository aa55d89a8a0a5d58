import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import claim_folder, sole_process, write_text, write_whole

CONFIG = {"network": "lenet5", "steps": 20, "epochs": None, "out": Path("x"), "layers": (1, 2)}


def refused(root: Path, study: str = "transferability", config: dict = CONFIG) -> str:
    with pytest.raises(CnnjaxError) as error:
        claim_folder(root, study, config)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_new_folder_is_made_with_its_parents_and_a_mark_of_study_and_configuration(tmp_path):
    root = tmp_path / "results" / "study"
    claim_folder(root, "transferability", CONFIG)
    mark = json.loads((root / "study.json").read_text())
    assert mark["study"] == "transferability"
    assert mark["config"]["steps"] == 20
    assert os.listdir(root) == ["study.json"]


def test_an_empty_folder_is_taken(tmp_path):
    claim_folder(tmp_path, "transferability", CONFIG)
    assert (tmp_path / "study.json").exists()


def test_hidden_files_are_no_hindrance(tmp_path):
    (tmp_path / ".gitignore").write_text("*")
    claim_folder(tmp_path, "transferability", CONFIG)
    assert (tmp_path / "study.json").exists()


def test_claiming_again_changes_nothing(tmp_path):
    claim_folder(tmp_path, "transferability", CONFIG)
    (tmp_path / "results.csv").write_text("run\n")
    before = (tmp_path / "study.json").stat().st_mtime_ns
    claim_folder(tmp_path, "transferability", dict(reversed(CONFIG.items())))
    assert (tmp_path / "study.json").stat().st_mtime_ns == before


def test_another_configuration_is_refused_and_each_difference_named(tmp_path):
    claim_folder(tmp_path, "transferability", CONFIG)
    other = CONFIG | {"steps": 40, "network": "mlp", "new": 1}
    message = refused(tmp_path, config=other)
    assert "holds another configuration" in message
    assert "steps is 20 there and 40 here" in message
    assert "network is lenet5 there and mlp here" in message
    assert "new is None there and 1 here" in message
    assert "epochs" not in message
    assert "choose another --out, or delete that folder" in message


def test_another_study_is_refused(tmp_path):
    claim_folder(tmp_path, "robustness", CONFIG)
    assert "study robustness there, transferability here" in refused(tmp_path)


def test_foreign_files_are_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    assert "is not empty and holds no study; choose another --out" in refused(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "content",
    [b"", b'{"study"', b"[]", b'"text"', b"3", b"{}", b"\xff", b'{"study": "transferability"}'],
)
def test_a_damaged_mark_is_refused(tmp_path, content):
    (tmp_path / "study.json").write_bytes(content)
    message = refused(tmp_path)
    assert f"{tmp_path / 'study.json'} is damaged; delete that folder" in message


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_place_below_a_file_cannot_be_written(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    message = refused(tmp_path / "file" / below)
    assert "cannot write" in message
    assert "Not a directory" in message
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_another_process_claims_at_the_same_time_is_shared(tmp_path, monkeypatch):
    exists = Path.exists

    def slow(path):  # between our two looks at the folder the other writes its mark
        found = exists(path)
        monkeypatch.setattr(Path, "exists", exists)
        claim_folder(tmp_path, "transferability", CONFIG)
        return found

    monkeypatch.setattr(Path, "exists", slow)
    claim_folder(tmp_path, "transferability", CONFIG)
    assert os.listdir(tmp_path) == ["study.json"]


def test_of_two_studies_that_claim_a_folder_at_the_same_time_the_second_is_refused(
    tmp_path, monkeypatch
):
    link = os.link

    def slow(*names):  # when ours is about to be written, the other writes its own
        monkeypatch.setattr(os, "link", link)
        claim_folder(tmp_path, "transferability", CONFIG)
        link(*names)

    monkeypatch.setattr(os, "link", slow)
    message = refused(tmp_path, config=CONFIG | {"steps": 40})
    assert "steps is 20 there and 40 here" in message
    assert json.loads((tmp_path / "study.json").read_text())["config"]["steps"] == 20
    assert os.listdir(tmp_path) == ["study.json"]


def test_of_many_that_claim_a_folder_together_those_with_the_first_configuration_have_it(tmp_path):
    def claim(root: Path, steps: int, gate: Barrier) -> int | None:
        gate.wait()
        try:
            claim_folder(root, "transferability", CONFIG | {"steps": steps})
        except CnnjaxError:
            return None
        return steps

    with ThreadPoolExecutor(8) as pool:
        for attempt in range(25):
            root, gate = tmp_path / str(attempt), Barrier(8)
            had = list(pool.map(claim, [root] * 8, [10, 20] * 4, [gate] * 8))
            first = json.loads((root / "study.json").read_text())["config"]["steps"]
            assert had == [first if steps == first else None for steps in [10, 20] * 4]
            assert os.listdir(root) == ["study.json"]


def test_where_files_have_one_name_only_a_folder_is_claimed_all_the_same(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    claim_folder(tmp_path, "transferability", CONFIG)
    claim_folder(tmp_path, "transferability", CONFIG)
    assert os.listdir(tmp_path) == ["study.json"]
    assert "steps is 20 there and 40 here" in refused(tmp_path, config=CONFIG | {"steps": 40})


def test_a_text_is_written_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    write_text(path, "n,Δ\n1,−2\n")
    assert path.read_bytes() == "n,Δ\n1,−2\n".encode()
    assert os.listdir(tmp_path) == ["results.csv"]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_writing_that_breaks_off_leaves_the_old_file_and_no_half_one(tmp_path, error):
    path = tmp_path / "figure.svg"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        assert temporary.suffix == ".svg"
        raise error

    with pytest.raises(type(error)):
        write_whole(path, write)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["figure.svg"]


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(CnnjaxError, match=r"cannot write .*results\.csv: Is a directory") as error:
        write_text(tmp_path / "results.csv", "n\n")
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["results.csv"]
    with pytest.raises(CnnjaxError, match="cannot write"):
        write_text(tmp_path / "nowhere" / "results.csv", "n\n")


def test_of_two_processes_in_a_folder_the_second_is_told_so(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cnnjax.studies.folders import sole_process\n"
        "with sole_process(Path(sys.argv[1])):\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(CnnjaxError, match="another process is at work in"),
            sole_process(tmp_path),
        ):
            pass
        other.kill()
    with sole_process(tmp_path):  # the lock of a dead process does not hold
        assert (tmp_path / ".lock").exists()


def test_a_folder_that_cannot_be_locked_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CnnjaxError, match="cannot write"), sole_process(tmp_path / "file"):
        pass
