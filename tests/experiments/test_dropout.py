"""The dropout study from its flags to its files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dropout import Config, complete, declare, run

from cnnjax.errors import CnnjaxError
from cnnjax.studies.results import read_results


@pytest.fixture
def config(tiny, tmp_path) -> Config:
    return Config(dataset=f"npz:{tiny}", parts=("sparsity",), smoke=True, out=tmp_path / "out")


def table(folder: Path) -> list[dict]:
    return [{**row, "seconds": 0} for row in read_results(folder / "results.csv")]


def test_the_smoke_form_goes_from_flags_to_files_and_the_second_time_runs_nothing(config, capsys):
    run(config)
    assert "[4/4] sparsity-dropout-seed1: mean activation" in capsys.readouterr().out
    claims = json.loads((config.out / "report.json").read_text())["claims"]
    assert len(claims) == 3
    assert claims[0]["statement"] == "Dropout lowers the mean activation of hidden units"
    assert {path.name for path in config.out.iterdir()} == {
        *("results.csv", "curves.csv", "figure.svg", "figure.png"),
        *("report.json", "study.json", "runs"),
    }
    rows = table(config.out)
    assert [row["run"] for row in rows] == [
        f"sparsity-{method}-seed{seed}" for method in ("none", "dropout") for seed in (0, 1)
    ]
    assert all(row["loss"] > 0 and 0 <= row["zeros"] <= 100 for row in rows)
    series = {row["series"] for row in read_results(config.out / "curves.csv")}
    assert series == {"activation", "feature"}
    run(config)
    assert capsys.readouterr().out.count("already finished") == 4
    assert table(config.out) == rows


def test_the_plan_has_every_arm_with_every_seed(config, capsys):
    few = {"architectures": ("2x1024",), "rates": (0.5,), "sizes": (20,)}
    plan = declare(replace(config, parts=Config.parts, **few)).plan
    assert len(plan) == 3 * (2 + 2 + 2 + 7 + 2 + 1 + 3)
    assert "architectures-2x1024-dropout-seed2" in plan.runs
    assert all(run.cost > 0 for run in plan.runs.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": ("rates",)}, "there is no part 'rates'; the parts are architectures, rate"),
        ({"parts": ()}, "--parts is empty; give one or more of architectures, rate"),
        ({"architectures": ("3-1024",)}, "'3-1024' is no network; give layers x units"),
        ({"rates": (0.0,)}, "--rates is 0.0, which cannot be; give probabilities"),
        ({"width": 0.0}, "--width is 0.0, which cannot be; give more than 0"),
        ({"seeds": 0}, "--seeds is 0, which cannot be; give from 1 to 1000"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan, which cannot be"),
        ({"train_images": 0}, "--train-images is 0, which cannot be; give at least 1"),
        ({"train_images": 121}, "121 training images cannot be drawn"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(config, changes, message):
    with pytest.raises(CnnjaxError) as refused:
        declare(replace(config, **changes))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_digits_have_settings_of_their_own_unless_flags_say_otherwise():
    digits, other = complete(Config()), complete(Config(dataset="npz:mnist.npz"))
    assert (digits.train_images, digits.image_size, digits.sizes[-1]) == (200, 16, 1200)
    assert (other.train_images, other.image_size) == (None, None)
    assert other.sizes == (100, 500, 1000, 5000, 10_000, 50_000)
    asked = complete(Config(train_images=9, image_size=8, sizes=(3,)))
    assert (asked.train_images, asked.image_size, asked.sizes) == (9, 8, (3,))


def test_giving_a_rate_or_a_size_twice_is_giving_it_once(config):
    twice = replace(config, parts=("rate", "size"), rates=(0.5, 0.5), sizes=(20, 20))
    assert len(declare(twice).plan) == 3 * (2 + 2)
