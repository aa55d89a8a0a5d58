"""The plan of every study as `--list --json` prints it, for programs."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from cnnjax.studies.study import StudyConfig

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(
    path.stem for path in EXPERIMENTS.glob("*.py") if "command.main(" in path.read_text()
)
ON_GLYPHS = ("augmentation", "batch_norm", "little_data", "optimizers", "transferability")
"""By default; drawing them takes seconds."""


@pytest.fixture
def listed(tiny, capsys):
    """`listed(study, **changes)`: its configuration, and what --list --json prints of --smoke."""

    def plan(study: str, **changes: object) -> tuple[StudyConfig, str]:
        experiment = importlib.import_module(study)
        if study in ON_GLYPHS:
            changes["dataset"] = f"npz:{tiny}"
        if study == "little_data":
            changes |= {"source": f"npz:{tiny}", "image_size": 24}
        config = experiment.Config(smoke=True, list=True, json=True, **changes)
        capsys.readouterr()
        experiment.run(config)
        return config, capsys.readouterr().out

    return plan


def test_there_are_eight():
    assert len(STUDIES) == 8


@pytest.mark.parametrize("study", STUDIES)
def test_it_is_json_with_each_run_after_those_it_needs_and_a_command_that_gives_it(
    study, listed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config, printed = listed(study)
    plan = json.loads(printed)
    assert plan["study"] == study
    level = {}
    for run in plan["runs"]:
        level[run["name"]] = run["level"]
        assert run["level"] == 1 + max((level[need] for need in run["needs"]), default=-1)
        assert run["steps"] >= 0
        assert run["cost"] >= 0
        assert run["state"] == "missing"
    assert len(level) == len(plan["runs"]) > 1
    python, script, *flags = plan["command"]
    assert (python, script) == ("python", f"experiments/{study}.py")
    experiment = importlib.import_module(study)
    told = tyro.cli(experiment.Config, args=flags, config=(tyro.conf.FlagCreatePairsOff,))
    assert told == replace(experiment.shrink(config), list=False, json=False)
    assert experiment.shrink(told) == told
    assert not any(tmp_path.iterdir())
