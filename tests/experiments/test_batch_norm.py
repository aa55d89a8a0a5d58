"""The study of batch normalisation: its plan, its claims, its figure, and one small run of it."""

from dataclasses import replace

import pytest
from batch_norm import Config, declare, run, shrink
from batch_norm_figure import draw
from batch_norm_protocol import CURVE_COLUMNS
from batch_norm_report import Steps, conv, judge_all, summarise

from cnnjax import CnnjaxError
from cnnjax.studies.results import read_results
from cnnjax.studies.runs import Folder


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """The shortest form of figure 1, in this process."""
    out = tmp_path_factory.mktemp("study") / "out"
    config = Config(dataset=f"npz:{tiny}", smoke=True, parts=("figure1",), out=out)
    run(config)
    return config


def made_up(gain: float) -> tuple[list[dict], list[dict]]:
    """Rows and curves of all parts, in which normalised arms are `gain` points better."""
    arms = [("figure1", n, "sigmoid", 1.0, 60) for n in (0, 1)]
    arms += [("rates", n, "relu", m, 32) for n in (0, 1) for m in (1.0, 5.0, 30.0)]
    arms += [("rates", n, "sigmoid", 5.0, 32) for n in (0, 1)]
    arms += [("batches", n, "relu", 1.0, b) for n in (0, 1) for b in (2, 64)]
    rows, curves = [], []
    for part, n, activation, multiple, size in arms:
        for seed in (0, 1, 2):
            name = f"{part}-{n}-{activation}-{multiple}-{size}-{seed}"
            accuracy = 60.0 + seed + (gain if n else 0.0)
            if part == "rates":
                sign = 1 if gain > 0 else -1
                accuracy += sign * multiple / 10 if n else 0.0
                failed = not n and (multiple > 1 or activation == "sigmoid")
                accuracy = 2.0 if failed == (gain > 0) and failed else accuracy
                if gain < 0 and activation == "sigmoid":
                    accuracy = 2.0 if n else 50.0
            if part == "batches" and n:
                accuracy = 60.0 + seed + (gain if size == 64 else -gain)
            speed = 2.0 * multiple if n and gain > 0 else 1.0 / multiple if n else 1.0
            rows.append(
                {
                    "run": name,
                    "part": part,
                    "normalised": n,
                    "activation": activation,
                    "multiple": multiple,
                    "learning_rate": 0.1,
                    "batch_size": size,
                    "seed": seed,
                    "accuracy": accuracy,
                    "best_accuracy": accuracy,
                    "batch_accuracy": accuracy - (gain if size == 2 else 0.2 if gain > 0 else 9)
                    if n
                    else None,
                    "drift": (1.0 - gain / 100 if n else 1.0) + seed / 1000
                    if part == "figure1"
                    else None,
                    "unit": 7 if part == "figure1" else None,
                    "diverged": 0,
                    "classes": 40,
                    "steps": 100,
                }
            )
            for step in range(5, 101, 5):
                point = dict.fromkeys(CURVE_COLUMNS)
                point |= {"run": name, "step": step, "p15": -1.0, "p50": 0.0, "p85": 1.0}
                point["test_accuracy"] = accuracy * min(1.0, speed * step / 50)
                point["batch_accuracy"] = point["test_accuracy"] - 1 if n else None
                curves.append(point)
    return rows, curves


def verdicts(gain: float) -> dict[str, str]:
    return {claim.statement: claim.verdict for claim in judge_all(*made_up(gain))}


def test_all_claims_can_be_supported():
    found = verdicts(5.0)
    assert len(found) == 13
    assert set(found.values()) == {"supported"}, found


def test_all_claims_can_be_contradicted_but_one_between_two_that_never_arrive():
    found = verdicts(-5.0)
    others = {claim for claim, verdict in found.items() if verdict != "contradicted"}
    assert others == {claim for claim in found if claim.startswith("×5: fewer steps still")}


def test_steps_are_counted_to_the_best_accuracy_of_the_reference():
    rows, curves = made_up(5.0)
    steps, plain = Steps(rows, curves), conv(0, 1.0)
    assert steps.to_best_of(plain, plain) == {0: 50, 1: 50, 2: 50}
    assert steps.to_best_of(conv(0, 5.0), plain) == {0: None, 1: None, 2: None}
    # One that never gets there counts with all its 100 steps.
    assert steps.saved(conv(0, 5.0), plain, plain) == [-100.0] * 3
    assert steps.saved(conv(1, 1.0), plain, plain) == [50.0] * 3  # 25 steps


def test_the_table_has_a_line_for_each_arm():
    heading, lines = summarise(*made_up(5.0))
    assert [line[0] for line in lines[:3]] == ["figure 1, without", "figure 1, with", "×1, without"]
    assert {len(line) for line in lines} == {len(heading)}
    assert lines[2][4] == "50 50 50"
    assert lines[3][4] == "– – –"


def test_the_figure_has_six_panels_with_labels_and_all_arms():
    figure = draw(*made_up(5.0), "on made-up rows")
    axes = figure.axes
    assert [a.get_title(loc="left")[:3] for a in axes] == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]
    assert all(a.get_xlabel() and a.get_ylabel() and a.get_legend() for a in axes)
    assert len(axes[3].get_legend().get_texts()) == 8
    assert axes[1].get_ylim() == axes[2].get_ylim()


def test_one_part_alone_has_its_own_panels_and_claims():
    rows, curves = made_up(5.0)
    rows = [row for row in rows if row["part"] == "figure1"]
    assert len(judge_all(rows, curves)) == 3
    visible = [a for a in draw(rows, curves, "").axes if a.get_visible()]
    assert len(visible) == 3


def test_the_smoke_form_gives_rows_curves_and_a_figure(finished):
    rows, curves = (read_results(finished.out / f"{name}.csv") for name in ("results", "curves"))
    assert [row["run"] for row in rows] == [
        f"figure1-{kind}-seed{seed}" for kind in ("plain", "bn") for seed in (0, 1)
    ]
    assert all((row["batch_accuracy"] is not None) == bool(row["normalised"]) for row in rows)
    assert len(curves) == 4 * 3
    assert all(point["p15"] <= point["p50"] <= point["p85"] for point in curves)
    assert (finished.out / "figure.svg").exists()


def test_the_same_command_finds_all_runs_finished(finished):
    study = declare(shrink(finished))
    rows = Folder(study.plan, finished.out, study.perform).rows()
    assert rows == read_results(finished.out / "results.csv")
    assert len(rows) == len(study.plan)


def test_batches_see_as_many_images_at_a_rate_in_proportion(tiny):
    config = Config(dataset=f"npz:{tiny}", batch_sizes=(2, 64), batch_images=640, conv_rate=0.32)
    runs = declare(config).plan.runs
    for size, rate in ((2, 0.02), (64, 0.64)):
        found = runs[f"batch{size}-bn-seed0"].config
        assert found["steps"] * size == 640
        assert found["learning_rate"] == pytest.approx(rate)
    assert [runs[f"x{m}-plain-seed0"].config["learning_rate"] for m in (1, 5, 30)] == (
        pytest.approx([0.32, 1.6, 9.6])
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "--steps is 0, which cannot be; give at least 1"),
        ({"std": 0.0}, "--std is 0.0, which cannot be; give more than 0"),
        ({"batch_sizes": (4, 4)}, "--batch-sizes 4 4 cannot be; give different"),
        ({"parts": ()}, "--parts is empty; give some of figure1, rates"),
        ({"parts": ("figure2",)}, "there is no part 'figure2'; the parts of the study are figure1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tiny, changes, message):
    with pytest.raises(CnnjaxError, match=message):
        declare(replace(Config(dataset=f"npz:{tiny}"), **changes))
