"""The augmentation study: the lecture's recipe, fair comparisons, claims, figure and smoke run."""

from dataclasses import replace

import numpy as np
import pytest
from augmentation import Config, check, run, shrink
from augmentation_figure import draw
from augmentation_protocol import (
    ARMS,
    SIZES,
    Protocol,
    Recipe,
    augmentation,
    last_fifth,
    twins_accuracy,
)
from augmentation_report import COLUMNS, CURVE_COLUMNS, judge_all, summarise

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data import Dataset
from cnnjax.data.augment import compose, flip, rotate, shift
from cnnjax.models.ledger import ledger
from cnnjax.studies.results import read_results
from cnnjax.studies.study import from_flags
from cnnjax.transfer import initialise


def protocol_of(config: Config) -> Protocol:
    return Protocol(from_flags(Recipe, config), config.seeds, config.arms)


@pytest.fixture
def config(tiny, tmp_path) -> Config:
    return Config(
        dataset=f"npz:{tiny}", network="mlp", steps=4, images_per_class=8, out=tmp_path / "out"
    )


@pytest.fixture(scope="module")
def smoked(tiny, tmp_path_factory):
    """The folder of a whole study, done once."""
    out = tmp_path_factory.mktemp("augmentation") / "out"
    run(Config(dataset=f"npz:{tiny}", network="lenet5", smoke=True, out=out))
    return out


def rows(effects=None, noise=0.1, seeds=3, twins=True):
    """Rows of a whole study: training without is at 80 + seed, and `effects` says how many points
    an arm is above it: {arm or (arm, size): points}."""
    random, made = np.random.RandomState(0), []
    for arm in ARMS:
        for size in SIZES:
            for seed in range(seeds):
                effects = effects or {}
                effect = effects.get((arm, size), effects.get(arm, 0.0))
                accuracy = 80 + seed + effect + noise * random.randn() * (arm != "none")
                row = dict.fromkeys(COLUMNS)
                row |= {"run": f"{arm}-{size}-seed{seed}", "arm": arm, "size": size, "seed": seed}
                row |= {"images": 400 if size == "full" else 100, "accuracy": accuracy}
                row |= {"before": accuracy - 0.5 * (arm in ("all", "all-flip")), "steps": 10}
                row["train_accuracy"] = 99.0 if arm == "none" else 97.0
                if twins:
                    row |= {"mirrored": accuracy, "turned": accuracy, "others": accuracy}
                    row["mirrored"] -= 20.0 * (arm == "flip")
                    row["turned"] -= 20.0 * (arm == "turn")
                made.append(row)
    return made


def curves(found):
    return [
        {"run": row["run"], "step": step, "train_loss": 1.0, "train_accuracy": 60.0 + step}
        | {"test_accuracy": row["accuracy"] - 10 + step}
        for row in found
        for step in (5, 10)
    ]


def verdicts(found, harmful):
    return {claim.numbers.split(":")[0]: claim.verdict for claim in judge_all(found, harmful)}


def test_the_recipe_is_the_lectures():
    assert augmentation("all", 15.0, 0.1) == compose(rotate(15), shift(0.1), flip(0.5))
    assert augmentation("none", 15.0, 0.1) is None
    assert augmentation("flip", 15.0, 0.1) == compose(flip())
    assert augmentation("all-rotate", 15.0, 0.1) == compose(shift(0.1), flip())
    assert augmentation("turn", 15.0, 0.1) == compose(rotate(180))
    assert (Config.rotate, Config.shift) == (15.0, 0.1)


def test_the_lectures_network_has_its_1345066_numbers():
    counted = ledger(cnnjax.create("cifar_vgg"), (32, 32, 3))
    assert counted.total("parameters") + counted.total("statistics") == 1_345_066


def test_every_arm_of_a_seed_differs_in_the_augmentation_alone(config):
    runs = protocol_of(config).plan.runs
    assert len(runs) == len(ARMS) * 2 * 3
    for size in SIZES:
        for seed in range(3):
            mine = [runs[f"{arm}-{size}-seed{seed}"].config for arm in ARMS]
            differing = {key for key in mine[0] for other in mine if other[key] != mine[0][key]}
            assert differing == {"arm"}


def test_the_small_training_set_is_repeated_part_of_the_whole_one(config):
    protocol = protocol_of(config)
    full, small = protocol.train("full", 0), protocol.train("small", 0)
    assert len(small) == len(full) == 48  # one compiled program serves both
    different = {image.tobytes() for image in small.images}
    assert len(different) == 12  # a quarter
    assert different <= {image.tobytes() for image in full.images}
    assert np.bincount(small.labels).tolist() == [8] * 6


def test_accuracy_is_the_mean_of_the_last_fifth_as_of_the_lectures_last_20_epochs():
    found = last_fifth([{"test_accuracy": float(i)} for i in range(1, 101)])
    assert found == {"accuracy": 90.5, "before": 70.5}
    few = [{"test_accuracy": value} for value in (None, 1.0, None, 2.0)]
    assert last_fifth(few) == {"accuracy": 2.0, "before": 1.0}


def test_accuracy_on_twins_counts_the_images_of_those_classes_alone():
    net = cnnjax.create("mlp", num_classes=4, hidden=(4,))
    variables = initialise(net, (8, 8, 1), 0)
    images = np.random.RandomState(0).randint(0, 256, (400, 8, 8, 1)).astype(np.uint8)
    guesses = np.asarray(net.apply(variables, images / np.float32(127.5) - 1)).argmax(axis=1)
    labels = np.where(np.arange(400) % 2, guesses, (guesses + 1) % 4).astype(np.int32)
    test = Dataset(images, labels, ("b", "d", "x", "q"))
    found = twins_accuracy(net, variables, test)
    expected = {"mirrored": (0, 1), "turned": (0, 3), "others": (2,)}
    for kind, ids in expected.items():
        mine = np.isin(labels, ids)
        assert found[kind] == pytest.approx(100 * (guesses == labels)[mine].mean(), abs=1e-3)
    renamed = replace(test, classes=("cat", "dog", "ship", "frog"))
    assert set(twins_accuracy(net, variables, renamed).values()) == {None}


def test_a_study_as_the_lecture_tells_it_supports_its_claims():
    effects = {"all": 8.0, ("all", "small"): 12.0, "turn": -5.0, "flip": 3.0}
    found = verdicts(rows(effects), ["turn"])
    assert set(found.values()) == {"supported"}
    assert "all − none, full" in found
    assert "all − all-flip, small" in found


def test_characters_are_judged_by_the_recipe_that_keeps_them():
    effects = {"all-flip": 8.0, ("all-flip", "small"): 12.0, "turn": -5.0, "flip": -3.0}
    effects |= {"all": 2.0}
    found = verdicts(rows(effects), ["flip", "turn"])
    assert set(found.values()) == {"supported"}
    assert "all-flip − none, full" in found
    assert "none − flip, full" in found
    assert "(none − flip), twins − others, full" in found


def test_a_study_of_the_opposite_contradicts_them():
    effects = {"all": -8.0, ("all", "small"): -12.0, "turn": 9.0}
    effects |= {arm: 2.0 for arm in ARMS if arm.startswith("all-")}
    found = verdicts(rows(effects, twins=False), ["turn"])
    rising = "all, last fifth − the fifth before, full"
    assert found.pop(rising) == "supported"
    assert found.pop("(training − test), none − all, full") == "contradicted"
    assert set(found.values()) == {"contradicted"}


def test_without_effects_nothing_but_the_made_up_rest_is_decided():
    found = verdicts(rows(noise=5.0, twins=False), ["turn"])
    gain = {name: verdict for name, verdict in found.items() if "none, " in name}
    assert gain.pop("all − none, full") == "undecided"


def test_the_table_has_a_line_for_each_arm():
    columns, lines = summarise(rows({"all": 8.0}, noise=0.0))
    assert columns == ["arm", "full", "full: above none", "small", "small: above none"]
    assert [line[0] for line in lines] == list(ARMS)
    assert lines[1][2] == "+8.0 ± 0.0"


def test_the_figure_has_a_panel_for_the_twins_where_there_are_any():
    found = rows({"all": 8.0})
    figure = draw(found, curves(found), "characters", ["flip", "turn"])
    assert len(figure.axes) == 4
    assert [axes.get_title(loc="left")[:3] for axes in figure.axes] == ["(1)", "(2)", "(3)", "(4)"]
    assert all("%" in axes.get_ylabel() or "points" in axes.get_ylabel() for axes in figure.axes)
    labels = figure.axes[1].get_legend_handles_labels()[1]
    assert labels == ["full: 400 images", "small: 100 images"]
    without = rows({"all": 8.0}, twins=False)
    assert len(draw(without, curves(without), "photographs", ["turn"]).axes) == 3


def test_the_figure_has_panels_only_for_the_arms_that_were_run():
    two = [row for row in rows({"all": 8.0}, twins=False) if row["arm"] in ("none", "all")]
    figure = draw(two, curves(two), "photographs", ["turn"])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title[:3] for title in titles] == ["(1)", "(2)"]
    assert "rotated and shifted" not in " ".join(figure.axes[0].get_legend_handles_labels()[1])
    one = [row for row in two if row["arm"] == "none"]
    assert len(draw(one, curves(one), "photographs", ["turn"]).axes) == 1


def test_the_smoke_run_leaves_a_whole_study(smoked):
    names = {path.name for path in smoked.iterdir()}
    assert {"results.csv", "curves.csv", "figure.svg", "figure.png", "report.json"} <= names
    found = read_results(smoked / "results.csv")
    assert tuple(found[0]) == COLUMNS
    assert {row["arm"] for row in found} == {"none", "all", "flip", "all-flip"}
    measured = read_results(smoked / "curves.csv")
    assert tuple(measured[0]) == CURVE_COLUMNS
    assert len(measured) == 2 * len(found)


def test_all_arms_of_a_seed_start_alike_and_end_apart(smoked):
    found = {row["run"]: row for row in read_results(smoked / "results.csv")}
    losses = {found[f"{arm}-full-seed0"]["loss"] for arm in ("none", "all", "flip", "all-flip")}
    assert len(losses) == 4
    assert found["none-full-seed0"]["loss"] != found["none-full-seed1"]["loss"]


def test_the_same_command_again_runs_nothing(smoked, tiny, capsys):
    before = (smoked / "results.csv").read_bytes()
    run(Config(dataset=f"npz:{tiny}", network="lenet5", smoke=True, out=smoked))
    assert capsys.readouterr().out.count("already finished") == 16
    assert (smoked / "results.csv").read_bytes() == before


def test_the_smoke_form_has_a_folder_of_its_own():
    assert shrink(Config()).out.name == "augmentation-smoke"


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        ("--small is 1", {"small": 1.0}),
        ("--seeds is 0", {"seeds": 0}),
        ("--evaluations is 1", {"evaluations": 1}),
        ("--learning-rate is -1", {"learning_rate": -1.0}),
        ("--harmful names 'rotate'", {"harmful": ("rotate",)}),
    ],
)
def test_numbers_that_cannot_be_are_refused(flag, changes):
    with pytest.raises(CnnjaxError, match=flag):
        check(replace(Config(), **changes))


def test_an_unknown_arm_and_a_small_part_of_nothing_are_refused(config):
    with pytest.raises(CnnjaxError, match="there is no arm 'mirror'; the arms are none, all"):
        protocol_of(replace(config, arms=("mirror",)))
    with pytest.raises(CnnjaxError, match=r"--small 0\.01 of 8 images of a class is none"):
        protocol_of(replace(config, small=0.01))
