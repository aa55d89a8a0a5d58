"""The study of little data: its plan, its smoke run, its table, claims and figure."""

from dataclasses import replace

import numpy as np
import pytest
from little_data import Config, check, declare, run, shrink
from little_data_figure import draw
from little_data_ground import Settings
from little_data_protocol import ARMS, KEPT, TUNED, Protocol
from little_data_report import COLUMNS, CURVE_COLUMNS, PUBLISHED, judge_all, summarise

from cnnjax import CnnjaxError
from cnnjax.studies.results import read_results
from cnnjax.studies.study import from_flags


def small(tiny, out, **changes: object) -> Config:
    """The study on a made-up data set that is its own source."""
    data = f"npz:{tiny}"
    fields = {"dataset": data, "source": data, "network": "lenet5", "image_size": 28, "last": 2}
    return Config(**(fields | {"sizes": (24, 48), "seeds": 2, "out": out} | changes))


def protocol_of(config: Config) -> Protocol:
    settings = from_flags(Settings, config)
    return Protocol(settings, config.arms, config.sizes, config.seeds, config.weights)


@pytest.fixture(scope="module")
def smoked(tiny, tmp_path_factory):
    """The folder of a finished smoke run."""
    out = tmp_path_factory.mktemp("little_data") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNJAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = small(tiny, out)
        run(replace(shrink(config), sizes=(12, 24), smoke=False))
    return out


@pytest.fixture(scope="module")
def plan(tiny, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNJAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return protocol_of(small(tiny, None)).plan.runs


def test_fine_tuning_begins_with_the_pretrained_network_and_the_head_of_the_same_images(plan):
    for arm in TUNED:
        assert plan[f"{arm}-48-seed1"].needs == ("source-seed1", "features-48-seed1")
    assert plan["features-24-seed0"].needs == ("source-seed0",)
    assert plan["scratch-24-seed0"].needs == plan["convnet-24-seed0"].needs == ()


def test_arms_differ_in_what_they_are_and_in_nothing_else(plan):
    one, *others = (plan[f"{arm}-48-seed0"].config for arm in ARMS)
    for other in others:
        differ = {name for name in one if one[name] != other[name]}
        assert differ <= {"arm", "weights", "steps", "max_gradient_norm"}


def test_the_largest_training_costs_most_and_features_least(plan):
    costs = {arm: plan[f"{arm}-48-seed0"].cost for arm in ARMS}
    assert costs["features"] < costs["last"] < costs["everything"] == costs["scratch"]


def test_arms_that_others_need_are_there_unasked(tiny):
    names = protocol_of(small(tiny, None, arms=("last",), sizes=(24,), seeds=1)).plan.runs
    assert list(names) == ["source-seed0", "features-24-seed0", "last-24-seed0"]


def test_without_pretrained_arms_nothing_is_pretrained(tiny):
    names = protocol_of(small(tiny, None, arms=("convnet",), sizes=(24,), seeds=1)).plan.runs
    assert list(names) == ["convnet-24-seed0"]


def test_the_smoke_run_leaves_a_whole_study(smoked):
    names = {path.name for path in smoked.iterdir()}
    assert {"results.csv", "curves.csv", "figure.svg", "figure.png", "report.json"} <= names
    found = read_results(smoked / "results.csv")
    assert tuple(found[0]) == COLUMNS
    assert [row["arm"] for row in found] == ["source"] * 2 + [a for a in ARMS for _ in range(4)]
    assert {row["images"] for row in found if row["arm"] != "source"} == {12, 24}
    measured = read_results(smoked / "curves.csv")
    assert tuple(measured[0]) == CURVE_COLUMNS
    curved = {row["run"].split("-")[0] for row in measured}
    assert curved == {*ARMS} - {"features"}
    assert all("-24-" in row["run"] for row in measured)


def test_an_arm_trains_as_many_parameters_as_its_stages_have(smoked):
    found = {row["arm"]: row["trained_parameters"] for row in read_results(smoked / "results.csv")}
    head, f6 = 84 * 6 + 6, 120 * 84 + 84
    assert found["features"] == head
    assert found["last"] == f6 + head
    assert found["everything"] == found["scratch"]


def test_the_same_command_again_runs_nothing(smoked, tiny, capsys):
    before = (smoked / "results.csv").read_bytes()
    run(replace(shrink(small(tiny, smoked)), sizes=(12, 24), smoke=False))
    assert capsys.readouterr().out.count("already finished") == 2 + 4 * len(ARMS)
    assert (smoked / "results.csv").read_bytes() == before


def test_the_smoke_form_has_a_folder_of_its_own():
    assert shrink(Config()).out.name == "little_data-smoke"


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("--seeds is 0", {"seeds": 0}),
        ("--steps is 0", {"steps": 0}),
        ("--sizes is 0", {"sizes": (0,)}),
        ("--sizes is empty", {"sizes": ()}),
        ("--tuning-rate is inf", {"tuning_rate": float("inf")}),
        ("there is no arm 'svm'; the arms are convnet, ", {"arms": ("svm",)}),
    ],
)
def test_flags_that_cannot_be_are_refused(message, changes):
    with pytest.raises(CnnjaxError, match=message):
        check(replace(Config(), **changes))


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("--last is 1, but lenet5 has 5 stages", {"last": 1}),
        ("--last is 5, but lenet5 has 5 stages", {"last": 5}),
        ("has 20 images but 33 per class", {"sizes": (200,)}),
    ],
)
def test_what_does_not_go_with_the_data_or_the_network_is_refused(tiny, message, changes):
    with pytest.raises(CnnjaxError, match=message):
        declare(small(tiny, None, **changes))


MEANS = {"convnet": 80.0, "scratch": 70.0, "features": 90.5, "last": 94.5, "everything": 93.0}


def rows(means, sizes=(100, 2000), drop=20.0, seeds=3):
    """Rows of a whole study; at the smallest size what is not pretrained is so much worse."""
    random, made = np.random.RandomState(0), []
    for arm, mean in means.items():
        for size in sizes:
            for seed in range(seeds):
                worse = drop * (size == sizes[0]) * (1.0 if arm not in KEPT else 0.2)
                row = dict.fromkeys(COLUMNS)
                row |= {"run": f"{arm}-{size}-seed{seed}", "arm": arm, "images": size, "seed": seed}
                made.append(row | {"accuracy": mean - worse + 0.05 * random.randn()})
    return made


def curves_of(made):
    moments = [{"step": s, "train_accuracy": 50.0 + s, "test_accuracy": 40.0 + s} for s in (5, 10)]
    largest = [r for r in made if r["images"] == 2000 and r["arm"] != "features"]
    return [{"run": row["run"], **moment} for row in largest for moment in moments]


def test_results_as_the_blog_has_them_support_its_claims():
    claims = judge_all(rows(MEANS), classes=2)
    assert {claim.verdict for claim in claims} == {"supported"}
    assert len(claims) == 10


def test_results_that_are_the_other_way_round_contradict_them():
    means = {arm: 100 - mean for arm, mean in MEANS.items()}
    claims = judge_all(rows(means, drop=-20.0), classes=2)
    assert {claim.verdict for claim in claims} == {"contradicted"}


def test_the_blogs_numbers_stand_beside_two_classes_and_two_thousand_images_only():
    columns, lines = summarise(rows(MEANS), classes=2)
    assert columns[-1] == "published, 2,000 images"
    assert [line[-1] for line in lines] == ["79 to 81", "", "90 to 91", "94", ""]
    assert len(judge_all(rows(MEANS), classes=3)) == 10 - len(PUBLISHED)
    assert "published" not in summarise(rows(MEANS), classes=3)[0][-1]
    assert "published" not in summarise(rows(MEANS, sizes=(100, 200)), classes=2)[0][-1]


def test_seeds_that_all_measured_the_same_are_one_value_without_an_interval():
    made = [row | {"accuracy": 91.0} if row["arm"] == "features" else row for row in rows(MEANS)]
    claim = next(c for c in judge_all(made, classes=2) if "at least 90 %" in c.statement)
    assert (claim.verdict, claim.numbers[-29:]) == ("undecided", "+1.0 (one value, no interval)")
    assert summarise(made, classes=2)[1][2][2] == "91.0"


def test_the_figure_has_every_arm_in_every_panel_it_belongs_to():
    made = rows(MEANS)
    figure = draw(made, curves_of(made), "title", classes=2)
    sizes, curves, largest = figure.axes
    assert len(sizes.get_legend().get_texts()) == len(ARMS)
    assert len(curves.get_legend().get_texts()) == len(ARMS)  # no features, but one for training
    assert len(largest.get_xticklabels()) == len(ARMS)
    assert [text.get_text() for text in largest.get_legend().get_texts()] == [
        "published (Keras blog)"
    ]
    assert all(axes.get_xlabel() for axes in (sizes, curves))
    assert all("(%)" in axes.get_ylabel() for axes in figure.axes)
