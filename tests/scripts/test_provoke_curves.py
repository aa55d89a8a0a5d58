"""The provoked runs, and the report of them that the documents hold."""

import json
from collections import Counter
from pathlib import Path

import pytest

from cnnjax import CnnjaxError
from cnnjax.analysis.diagnosis import Thresholds

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.fixture
def committed():
    from diagnosis_report import read_report

    return read_report(DOCS / "diagnosis.json")


def test_the_committed_curves_give_the_committed_tables(committed):
    from diagnosis_report import section

    assert section(committed) in (DOCS / "diagnosis.md").read_text()


def test_the_committed_thresholds_are_those_in_force(committed):
    assert committed["thresholds"] == vars(Thresholds())


def test_the_committed_runs_are_those_that_the_plan_declares(committed):
    from provoked_runs import BASES, make_plan

    seeds = len({run["seed"] for run in committed["runs"]})
    assert seeds >= 3
    assert [run["run"] for run in committed["runs"]] == list(make_plan(BASES, seeds).runs)
    assert json.loads(json.dumps({n: vars(b) for n, b in BASES.items()})) == committed["bases"]


def test_half_of_the_bases_are_held_out():
    from provoked_runs import BASES

    assert Counter(base.held_out for base in BASES.values()) == {True: 3, False: 3}


def test_most_diagnoses_are_as_provoked_and_at_most_a_tenth_is_wrong(committed):
    from diagnosis_report import confusion
    from provoked_runs import PROVOKED

    for held_out in (False, True):
        counts = confusion(committed, held_out)
        right = sum(counts[variant, case] for variant, case in PROVOKED.items())
        undecided = sum(number for (_, case), number in counts.items() if case is None)
        assert right >= 0.7 * counts.total()
        assert counts.total() - right - undecided <= 0.1 * counts.total()


def test_the_picture_is_small():
    assert 20_000 < (DOCS / "diagnosis.png").stat().st_size < 200_000


def test_a_confusion_counts_every_run_once(committed):
    from diagnosis_report import VIEWS, confusion

    for view in VIEWS:
        total = sum(confusion(committed, held, view).total() for held in (False, True))
        assert total == len(committed["runs"])


def test_labels_are_drawn_anew_for_the_given_share_and_images_stay():
    import numpy as np
    from provoked_runs import _with_noise

    from cnnjax.data import Dataset

    names = tuple(map(str, range(10)))
    labels = np.zeros(5000, np.int32)
    dataset = Dataset(np.zeros((5000, 1, 1, 1), np.uint8), labels, names)
    drawn = _with_noise(dataset, 0.3, seed=1)
    assert (drawn.labels != 0).mean() == pytest.approx(0.3 * 0.9, abs=0.02)
    assert (_with_noise(dataset, 0.0, seed=1).labels == 0).all()
    assert drawn.images is dataset.images


def test_what_cannot_be_is_refused(tmp_path):
    from provoke_curves import Config, run

    with pytest.raises(CnnjaxError, match="there is no base 'Z'; the bases are A, B"):
        run(Config(bases=("Z",), out=tmp_path))
    with pytest.raises(CnnjaxError, match="--seeds is 0; give at least 1"):
        run(Config(seeds=0, out=tmp_path))


@pytest.mark.slow
def test_the_command_trains_diagnoses_and_writes_its_documents(tmp_path, capsys):
    from diagnosis_report import read_report, section
    from provoke_curves import Config, run

    page = (DOCS / "diagnosis.md").read_text().partition("\n\n### ")[0]
    (tmp_path / "diagnosis.md").write_text(page + "\n\n<!-- end of diagnosis -->\n")
    config = Config(seeds=1, out=tmp_path / "runs", docs=tmp_path, smoke=True)
    run(config)
    report = read_report(tmp_path / "diagnosis.json")
    assert [one["variant"] for one in report["runs"]] == [
        "good", "slow", "small", "few", "unstable"
    ]  # fmt: skip
    assert section(report) in (tmp_path / "diagnosis.md").read_text()
    assert (tmp_path / "diagnosis.png").is_file()
    capsys.readouterr()
    run(config)  # all runs are finished
    assert "already finished" in capsys.readouterr().out
    assert read_report(tmp_path / "diagnosis.json")["runs"] == report["runs"]


@pytest.mark.slow
def test_the_whole_campaign_is_diagnosed_as_the_documents_say(tmp_path, committed):
    """Other machines round otherwise, and training amplifies it: most runs agree, not all."""
    from diagnosis_report import diagnosed, read_report
    from provoke_curves import Config, run

    (tmp_path / "diagnosis.md").write_text((DOCS / "diagnosis.md").read_text())
    seeds = len({one["seed"] for one in committed["runs"]})
    run(Config(seeds=seeds, out=tmp_path / "runs", docs=tmp_path))
    pairs = zip(read_report(tmp_path / "diagnosis.json")["runs"], committed["runs"], strict=True)
    same = [diagnosed(new).cases == diagnosed(old).cases for new, old in pairs]
    assert sum(same) >= 0.9 * len(same)
