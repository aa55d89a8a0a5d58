"""The page of the studies: that it is what the committed results say, and that its links lead."""

import json
import re
from pathlib import Path

import pytest
import studies
from studies import PAGE, RESULTS, Config, page, question, results, run

from cnnjax import CnnjaxError

REPORT = {
    "study": "optimizers",
    "command": "python experiments/optimizers.py --seeds 2",
    "runs": 12,
    "seconds": 245,
    "machine": {"device": "cpu", "devices": 1, "cpu_cores": 2, "jax": "0.10.2"},
    "claims": [
        {"statement": "Faster", "verdict": "supported", "numbers": "|a| − b: +1.0 [+0.5, +1.5]"},
        {"statement": "... and better", "verdict": "undecided", "numbers": "+0.1 [-0.5, +0.7]"},
    ],
    "table": {"heading": "Means", "columns": ["rule", "steps"], "lines": [["sgd", "17"]]},
}


@pytest.fixture
def add(tmp_path):
    """Adds a folder of results; keywords change its report."""

    def make(name="optimizers", files=("results.csv", "figure.png"), **changes):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(REPORT | changes))
        for file in files:
            (folder / file).write_text("")
        return folder

    return make


@pytest.fixture
def text(tmp_path):
    """The page as it would be beside the results."""
    return lambda: page(tmp_path / "results", tmp_path / "docs" / "studies.md")


def test_the_committed_page_is_the_one_of_the_committed_results():
    assert PAGE.read_text(encoding="utf-8") == page(RESULTS, PAGE)


def test_every_link_of_the_committed_page_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(links) >= 2
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []


def test_every_committed_report_is_that_of_its_folder_and_names_no_place_of_a_machine():
    for result in results(RESULTS):
        mark = json.loads((result.folder / "study.json").read_text(encoding="utf-8"))
        assert mark["study"] == result.study
        assert result.report["command"].startswith(f"python experiments/{result.study}.py")
        assert not re.search(r"[ :]/", result.report["command"])
        rows = (result.folder / "results.csv").read_text(encoding="utf-8").splitlines()[1:]
        assert len(rows) == result.report["runs"]


def test_a_study_is_shown_with_question_figure_verdicts_table_command_and_time(add, text):
    add(files=("results.csv", "curves.csv", "figure.png"))
    found = text()
    assert "## optimizers\n\nHow fast do the update rules" in found
    assert "![optimizers](../results/optimizers/figure.png)" in found
    assert "| Faster | **supported** | \\|a\\| − b: +1.0 [+0.5, +1.5] |" in found
    assert "Means:\n\n| rule | steps |\n|---|---:|\n| sgd | 17 |" in found
    assert "```sh\npython experiments/optimizers.py --seeds 2\n```" in found
    assert "12 runs, 4 min 5 s, on 1 cpu device, 2 cores, jax 0.10.2. Every run: " in found
    assert "[curves.csv](../results/optimizers/curves.csv)" in found


def test_the_first_table_counts_verdicts_runs_and_time_of_each_study(add, text):
    add()
    add("optimizers-mnist", seconds=3600, runs=3)
    (line,) = [line for line in text().splitlines() if line.startswith("| [optimizers]")]
    assert line.endswith("| 2 | 0 | 2 | 15 | 1 h 4 min |")


def test_folders_of_one_study_stand_together_its_own_first(add, text):
    add("a-optimizers-on-mnist")
    add("transferability", study="transferability")
    add()
    found = text()
    titles = re.findall(r"^##+ .*", found, re.MULTILINE)
    assert titles == [
        "## optimizers",
        "### optimizers",
        "### a-optimizers-on-mnist",
        "## transferability",
    ]
    assert found.count("How transferable are features") == 2  # in the first table and above


def test_a_folder_without_a_report_is_no_study(add, text, tmp_path):
    add()
    (tmp_path / "results" / "recipes").mkdir()
    assert "recipes" not in text()


def test_the_question_is_the_first_paragraph_of_the_experiment_in_one_line():
    assert question("transferability") == ("How transferable are features in deep neural networks?")
    assert "\n" not in question("optimizers")


def test_the_command_writes_the_page(add, tmp_path, capsys):
    add()
    place = tmp_path / "studies.md"
    run(Config(results=tmp_path / "results", page=place))
    assert "](results/optimizers/figure.png)" in place.read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{place}\n"


def test_damaged_results_are_told(add, tmp_path):
    folder = add(files=("results.csv",))
    with pytest.raises(CnnjaxError, match=r"has no figure\.png; run its study once more"):
        results(tmp_path / "results")
    (folder / "report.json").write_text('{"study": "optimizers"}')
    with pytest.raises(CnnjaxError, match="is damaged; run its study once more"):
        results(tmp_path / "results")


def test_an_experiment_that_is_not_there_or_says_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "EXPERIMENTS", Path(tmp_path))
    with pytest.raises(CnnjaxError, match=r"there is no experiment none\.py; remove"):
        question("none")
    (tmp_path / "mute.py").write_text("x = 1\n")
    with pytest.raises(CnnjaxError, match=r"mute\.py has no docstring; its first line"):
        question("mute")


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "../../etc/passwd"},
        {"study": 3},
        {"runs": "12"},
        {"seconds": None},
        {"claims": [{"statement": "Faster"}]},
        {"claims": 3},
        {"table": {"heading": "Means", "columns": "rule", "lines": [[17]]}},
        {"machine": []},
    ],
)
def test_a_report_of_another_form_is_damaged(add, text, changes):
    add(**changes)
    with pytest.raises(CnnjaxError, match=r"report\.json is damaged; run its study once more"):
        text()
