"""The study of update rules: equal budgets, paired runs, and the whole of it on a tiny scale."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from optimizers import Config, declare, run, shrink
from optimizers_figure import draw
from optimizers_protocol import Protocol, Recipe
from optimizers_report import judge, summarise
from optimizers_rules import SPACING, USUAL_RATES, choose, grid

from cnnjax.errors import CnnjaxError
from cnnjax.studies.results import read_results
from cnnjax.training import OPTIMIZERS

RULES = ("sgd", "momentum")
MEASURED = ("seconds", "ms_per_step")


@pytest.fixture(scope="module")
def config(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    small = {"dataset": f"npz:{tiny}", "network": "lenet5", "optimizers": RULES}
    return shrink(Config(out=out, smoke=True, **small))


@pytest.fixture(scope="module")
def finished(config):
    """The smoke form, once to its end."""
    run(config)
    return config.out


@pytest.fixture(scope="module")
def protocol(tiny):
    recipe = Recipe(f"npz:{tiny}", None, "lenet5", 3000, 20, 16, 5, seed=7)
    return Protocol(recipe, 3, tuple(USUAL_RATES))


def table(folder, name="results.csv"):
    rows = read_results(folder / name)
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows]


def test_every_rule_of_the_library_is_there_with_a_usual_rate():
    assert set(USUAL_RATES) == set(OPTIMIZERS)
    assert Config().optimizers == tuple(USUAL_RATES)


@pytest.mark.parametrize("rule", USUAL_RATES)
def test_every_rule_has_the_same_budget_around_its_usual_rate(rule, protocol):
    tuning = [r for r in protocol.plan.runs.values() if r.name.startswith(f"cnn-{rule}-rate")]
    rates = [r.config["rate"] for r in tuning]
    assert rates == grid(rule, 5)
    assert rates[2] == pytest.approx(USUAL_RATES[rule])
    for low, high in pairwise(rates):
        assert high / low == pytest.approx(SPACING, rel=1e-3)
    assert len({(r.config["seed"], r.config["steps"]) for r in tuning}) == 1


@pytest.mark.parametrize("rule", USUAL_RATES)
def test_the_final_trainings_share_their_seeds_over_rules_and_none_with_the_tuning(rule, protocol):
    runs = protocol.plan.runs
    finals = [runs[f"cnn-{rule}-seed{seed}"] for seed in (7, 8, 9)]
    for final in finals:
        assert final.needs == tuple(f"cnn-{rule}-rate{rate:g}" for rate in grid(rule, 5))
        assert runs[final.needs[0]].config["seed"] not in (7, 8, 9)
        shared = {k: v for k, v in final.config.items() if k != "rule"}
        other = runs[final.name.replace(f"-{rule}-", "-sgd-")].config
        assert shared == {k: v for k, v in other.items() if k != "rule"}


def test_rates_are_tuned_on_images_that_are_neither_trained_on_nor_tested_on(protocol):
    parts = (protocol.train, protocol.validation, protocol.test)
    assert [len(part) for part in parts] == [108, 12, 240]
    seen = [{image.tobytes() for image in part.images} for part in parts]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]


def test_the_rate_is_that_of_the_lowest_validation_loss():
    rows = [{"rate": 0.1, "validation_loss": 2.0}, {"rate": 1.0}]
    rows += [{"rate": rate, "validation_loss": 1.5} for rate in (0.02, 0.01)]
    assert choose(rows) == 0.01  # of equal ones the lowest; what diverged does not count
    with pytest.raises(CnnjaxError, match=r"diverged at every rate that was tried, 1; give more"):
        choose(rows[1:2])


def test_it_leaves_all_its_files_and_a_row_for_each_run(config, finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {"results.csv", "curves.csv", "figure.svg", "figure.png", "report.json"}
    plan = declare(config).plan
    assert [row["run"] for row in table(finished)] == list(plan.runs)
    report = json.loads((finished / "report.json").read_text())
    assert report["runs"] == len(plan)
    assert [line[0] for line in report["table"]["lines"]] == ["sgd", "momentum"]


def test_the_final_trainings_run_at_the_rate_that_the_rows_choose(finished):
    rows = table(finished)
    for rule in RULES:
        mine = [row for row in rows if row["rule"] == rule]
        tuning = [row for row in mine if row["kind"] == "tuning"]
        finals = [row for row in mine if row["kind"] == "final"]
        assert len(tuning) == 3
        assert {row["rate"] for row in finals} == {choose(tuning)}
        assert {row["rates_tried"] for row in finals} == {3}


def test_time_is_measured_of_the_final_trainings_alone(finished):
    for row in read_results(finished / "results.csv"):
        assert (row["ms_per_step"] is not None) == (row["kind"] == "final")
        assert row["ms_per_step"] is None or row["ms_per_step"] > 0


def test_a_study_that_lost_runs_goes_on_and_gives_the_same_rows(config, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    config = replace(config, out=tmp_path / "out")
    tuning, last = "cnn-momentum-rate0.01", "cnn-momentum-seed0"
    for name in (tuning, last, "saddle-sgd-start0", "slope-sgd-start0"):
        (config.out / "runs" / name / "result.json").unlink()
    with pytest.raises(CnnjaxError, match=r"starts from cnn-momentum-rate0\.01, not finished"):
        run(replace(config, only=last))
    for name in (tuning, "saddle-sgd-start0", last):
        run(replace(config, only=name))
    for name in ("results.csv", "curves.csv"):
        whole = [row for row in table(finished, name) if row["run"] != "slope-sgd-start0"]
        assert table(config.out, name) == whole


def test_the_figure_has_surfaces_slope_network_and_tuning_for_each_family(finished):
    rows, curves = read_results(finished / "results.csv"), read_results(finished / "curves.csv")
    as_other = {"sgd": "adam"}
    rows += [row | {"rule": "adam"} for row in rows if row["rule"] in as_other]
    figure = draw(rows, curves, "toy")
    assert len(figure.subfigs) == 2
    for part in figure.subfigs:
        axes = part.axes
        assert [a.get_title(loc="left").split(":")[0] for a in axes[:4]] == [
            *("ravine", "saddle", "rosenbrock", "even slope")
        ]
        assert [a.get_xlabel() for a in axes[4:]] == [
            *("step", "seconds", "step", "learning rate / usual rate")
        ]
        assert all(a.get_ylabel() for a in axes)
    labels = figure.subfigs[0].axes[4].get_legend_handles_labels()[1]
    assert [re.sub(r" \(.*", "", label) for label in labels] == list(RULES)
    tuning = figure.subfigs[0].axes[7]
    assert tuning.get_title(loc="left").startswith("the tuning: 3 rates for each rule")
    tried = tuning.get_legend_handles_labels()[1]
    assert tried == ["sgd (0.1)", "momentum (0.01)"]


def final(rule, *losses):
    return [
        {"kind": "final", "rule": rule, "where": "net", "seed": i, "rate": 0.1, "train_loss": loss}
        for i, loss in enumerate(losses)
    ]


def test_claims_are_decided_by_paired_differences():
    rows = final("sgd", 2.0, 2.5, 3.0) + final("momentum", 1.0, 1.4, 2.1)
    (claim,) = judge(rows)
    assert claim.statement == "On the CNN momentum ends below SGD"
    assert claim.verdict == "supported"
    assert claim.numbers.startswith("training loss at the end, SGD − momentum: +1.000 [+0.7")
    rows = final("momentum", 2.0, 2.5, 3.0) + final("sgd", 1.0, 1.4, 2.1)
    assert judge(rows)[0].verdict == "contradicted"
    rows = final("momentum", 2.0, 2.5, 3.0) + final("sgd", 3.0, 1.4, 2.1)
    assert judge(rows)[0].verdict == "undecided"


def test_adaptive_rules_are_judged_by_the_mean_of_the_lectures_three_and_only_if_all_are_there():
    rows = final("sgd", 2.0, 2.1) + final("adagrad", 1.0, 1.1) + final("rmsprop", 3.0, 3.1)
    assert not any("adaptive" in claim.statement for claim in judge(rows))
    rows += final("adam_simplified", 1.0, 1.1)
    (claim,) = [c for c in judge(rows) if c.statement == "The adaptive rules end below SGD"]
    assert claim.numbers.endswith("+0.333 [+0.333, +0.333]")


def test_the_first_step_of_the_simplified_adam_is_held_against_that_of_adam():
    def first(rule, *steps):
        cells = {"kind": "slope", "rule": rule, "where": "slope", "rate": 1.0, "last_step": 1.0}
        return [cells | {"seed": i, "first_step": step} for i, step in enumerate(steps)]

    adam = first("adam", 1.0, 1.0, 1.0)
    for steps, verdict in (((3.16, 3.16, 3.15), "supported"), ((3, 3, 3.01), "contradicted")):
        (claim,) = judge(adam + first("adam_simplified", *steps))
        assert claim.verdict == verdict
        assert claim.statement.startswith("Without bias correction")


def test_a_tuned_rate_at_the_end_of_the_grid_is_marked():
    tried = [{"kind": "tuning", "rule": "sgd", "where": "net", "seed": 9} for _ in range(3)]
    tried = [row | {"rate": rate} for row, rate in zip(tried, (0.01, 0.1, 1.0), strict=True)]
    columns, (line,) = summarise(tried + final("sgd", 1.0, 1.2))
    assert dict(zip(columns, line, strict=True))["CNN: rate"] == "0.1"
    _, (line,) = summarise(tried[1:] + final("sgd", 1.0, 1.2))
    assert "0.1 edge" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rates": 4}, "--rates is 4, and the usual rate is in the middle; give an odd number"),
        ({"seeds": 0}, "--seeds is 0, which cannot be; give from 1 to 1000"),
        ({"walk_steps": -1}, "--walk-steps is -1, which cannot be"),
        ({"optimizers": ("agadrad",)}, "there is no optimizer 'agadrad'; there are sgd, .*adagrad"),
        ({"batch_size": 1000}, "--batch-size is 1000, and there are 108 training images"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_before_anything_is_written(
    config, tmp_path, change, words
):
    with pytest.raises(CnnjaxError, match=words):
        run(replace(config, smoke=False, out=tmp_path / "none", **change))
    assert not (tmp_path / "none").exists()
