"""What every study does with its flags, on a study small enough to see through."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from cnnjax.errors import CnnjaxError
from cnnjax.studies import study
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.results import read_results
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.statistics import judge, paired
from cnnjax.studies.study import Report, Study, StudyConfig, command_line, conduct


@dataclass(frozen=True)
class Config(StudyConfig):
    gains: tuple[float, ...] = (1.0, 3.0)
    out: Path = Path("results/toy")


def perform(run: Run, tools: Tools) -> Outcome:
    gain, seed = run.config["gain"], run.config["seed"]
    tools.on_steps(2)
    row = {"gain": gain, "seed": seed, "accuracy": 50.0 + gain * (10 + seed)}
    return Outcome(row, curve=[{"step": step, "loss": gain / step} for step in (1, 2)])


def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
    figure = Figure()
    figure.subplots().plot([row["step"] for row in curves], [row["loss"] for row in curves])
    gain = paired(rows, "accuracy", {"gain": 3.0}, {"gain": 1.0})
    claims = [judge("More gain is better", gain, "3 − 1")]
    return Report(figure, claims, "Accuracy", ("gain", "runs"), [("1", 3), ("3", None)])


def declare(config: Config) -> Study:
    runs = [
        Run(f"gain{gain:g}-seed{seed}", {"gain": gain, "seed": seed, "steps": 2}, cost=1e9)
        for gain in config.gains
        for seed in range(config.seed, config.seed + 3)
    ]
    return Study(
        name="toy",
        config={"gains": config.gains, "seed": config.seed},
        plan=Plan(runs),
        perform=perform,
        columns=("run", "gain", "seed", "accuracy", "seconds", "config_hash"),
        curve_columns=("run", "step", "loss"),
        report=report,
        brief=lambda row: f"{row['accuracy']:.0f} points",
    )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(out=tmp_path / "out")


def read_report(config: Config) -> dict:
    return json.loads((config.out / "report.json").read_text())


def test_a_whole_study_leaves_its_tables_its_figure_and_its_report(config, capsys):
    conduct(declare, config)
    assert {path.name for path in config.out.iterdir()} == {
        *("results.csv", "curves.csv", "figure.svg", "figure.png"),
        *("report.json", "study.json", "runs"),
    }
    out = capsys.readouterr().out
    assert "[1/6] gain1-seed0: 60 points, " in out
    assert "decided by (points" in out
    assert out.splitlines()[-4:] == [
        str(config.out / name) for name in ("results.csv", "curves.csv", "figure.svg", "figure.png")
    ]


def test_the_report_has_verdicts_the_table_the_command_and_the_seconds(config):
    conduct(declare, replace(config, gains=(1.0, 3.0), seed=2))
    found = read_report(config)
    assert found["study"] == "toy"
    assert found["command"] == "python experiments/toy.py --seed 2"
    assert found["runs"] == 6
    assert found["seconds"] >= 0
    assert found["machine"]["cpu_cores"] >= 1
    assert found["claims"] == [
        {
            "statement": "More gain is better",
            "verdict": "supported",
            "numbers": "3 − 1: +26.0 [+21.0, +31.0]",
        }
    ]
    assert found["table"]["lines"] == [["1", "3"], ["3", ""]]


def test_the_curves_have_a_row_for_each_moment_of_each_run(config):
    conduct(declare, config)
    rows = read_results(config.out / "curves.csv")
    assert len(rows) == 12
    assert rows[-1] == {"run": "gain3-seed2", "step": 2, "loss": 1.5}


def test_the_list_names_the_runs_and_writes_nothing(config, capsys):
    conduct(declare, replace(config, list=True))
    out = capsys.readouterr().out
    assert "6 runs, 6 billion multiply-adds in all" in out
    assert "gain3-seed1" in out
    assert not config.out.exists()


def test_the_list_as_json_is_the_plan_with_levels_and_states_and_nothing_else(config, capsys):
    conduct(declare, replace(config, only="gain1-seed0"))
    capsys.readouterr()

    def talkative(config: Config) -> Study:
        print("cleaning the data")
        warnings.warn("the data is old", stacklevel=2)
        usual = declare(config)
        top = Run("top", {"steps": 3}, needs=("gain1-seed0", "gain3-seed1"), cost=5.0)
        return replace(usual, plan=Plan([*usual.plan.runs.values(), top]))

    with pytest.warns(UserWarning, match="the data is old"):
        conduct(talkative, replace(config, list=True, json=True, devices=2))
    out, err = capsys.readouterr()
    assert "cleaning the data" in err
    plan = json.loads(out)
    assert (plan["format"], plan["study"], plan["out"]) == (1, "toy", str(config.out))
    assert plan["command"] == (
        ["python", "experiments/toy.py", "--out", str(config.out), "--devices", "2"]
    )
    first, *_, last = plan["runs"]
    assert first.pop("identity") == json.loads(
        (config.out / "runs" / "gain1-seed0" / "result.json").read_text()
    ).get("identity")
    usual = {"needs": [], "level": 0, "steps": 2, "cost": 1e9, "state": "finished"}
    assert first == {"name": "gain1-seed0"} | usual
    assert last["needs"] == ["gain1-seed0", "gain3-seed1"]
    assert (last["level"], last["state"], last["steps"]) == (1, "missing", 3)


def test_json_without_the_list_is_refused_before_anything_is_done(config):
    with pytest.raises(CnnjaxError, match="--json is a form of the list; give --list with it"):
        conduct(declare, replace(config, json=True))
    assert not config.out.exists()


def test_a_table_written_while_another_process_finishes_a_run_has_that_run_in_the_end(
    config, monkeypatch
):
    write, others = study.write_results, iter(["gain3-seed2", "gain1-seed1"])

    def slow(*arguments):  # between our look at the runs and our table, the other does all of its
        if other := next(others, None):
            conduct(declare, replace(config, only=other))
        write(*arguments)

    monkeypatch.setattr(study, "write_results", slow)
    conduct(declare, replace(config, only="gain3-seed1"))
    found = {row["run"] for row in read_results(config.out / "results.csv")}
    assert found == {"gain1-seed1", "gain3-seed1", "gain3-seed2"}
    assert {row["run"] for row in read_results(config.out / "curves.csv")} == found


def test_one_run_alone_gives_its_row_and_says_what_is_missing(config, capsys):
    conduct(declare, replace(config, only="gain3-seed1"))
    assert [row["run"] for row in read_results(config.out / "results.csv")] == ["gain3-seed1"]
    assert "1 of 6 runs are finished; the figure follows when all are" in capsys.readouterr().out
    assert not (config.out / "figure.svg").exists()


def test_the_same_command_again_runs_nothing_and_gives_the_same_files(config, capsys):
    conduct(declare, config)
    before = {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()}
    capsys.readouterr()
    conduct(declare, config)
    assert capsys.readouterr().out.count("already finished") == 6
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_cannot_be_is_refused_before_anything_is_written(config, seed):
    with pytest.raises(CnnjaxError, match=f"--seed is {seed}, which cannot be; give a whole"):
        conduct(declare, replace(config, seed=seed))
    assert not config.out.exists()


def test_an_unknown_run_is_refused_before_anything_is_written(config):
    with pytest.raises(CnnjaxError, match="the plan has no run 'gain9'; it has gain1-seed0"):
        conduct(declare, replace(config, only="gain9"))
    assert not config.out.exists()


def test_devices_that_are_not_there_are_refused_before_a_folder_is_made(config):
    elsewhere = config.out.with_name("elsewhere")
    with pytest.raises(CnnjaxError, match="99 devices are asked for"):
        conduct(declare, replace(config, devices=99, out=elsewhere))
    assert not elsewhere.exists()


def test_the_command_names_the_flags_that_are_not_as_by_default():
    config = Config(seed=1, smoke=True, gains=(2.0, 4.5), out=Path("x"), only="y", list=True)
    assert command_line(config, "toy") == (
        "python experiments/toy.py --seed 1 --smoke --gains 2.0 4.5"
    )
