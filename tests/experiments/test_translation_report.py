"""The table, the claims and the figure of the translation study, on results that are known."""

import numpy as np
from translation_figure import draw
from translation_protocol import NETWORKS, STACKS, TRAININGS
from translation_report import COLUMNS, judge_all, losses, summarise

SIZES = {"mlp": (3_836_410, 3_832_800), "lenet5": (61_706, 416_520)}
STACK_SIZES = {"three-3x3": (27, 27), "one-7x7": (49, 49)}
STACK_SIZES |= {"five-3x3": (45, 45), "one-11x11": (121, 121)}


def rows(accuracies=None, shifted=None, noise=0.1, seeds=3):
    """Rows of a whole study, and accuracy by shift: {(network, training): mean}."""
    random, made, by_shift = np.random.RandomState(0), [], []
    arms = [(name, training) for name in NETWORKS for training in TRAININGS]
    for name, training in [*arms, *((name, "centred") for name in STACKS)]:
        for seed in range(seeds):
            row = dict.fromkeys(COLUMNS)
            run = f"{name}-{training}-seed{seed}"
            row |= {"run": run, "network": name, "training": training, "seed": seed}
            count, cost = SIZES.get(name) or STACK_SIZES[name]
            row |= {"parameters": count, "multiply_adds": cost}
            accuracy = (accuracies or {}).get((name, training), 99.0) + noise * random.randn()
            row |= {"accuracy": accuracy, "steps": 10}
            if name in NETWORKS:
                moved = (shifted or {}).get((name, training), 99.0) + noise * random.randn()
                row["shifted_accuracy"] = moved
                by_shift += [
                    {"run": run, "shift": 0, "accuracy": accuracy, "worst": 0.0, "ink": 100.0},
                    {"run": run, "shift": 1, "accuracy": moved + 5, "worst": 0.0, "ink": 100.0},
                    {"run": run, "shift": 2, "accuracy": moved - 5, "worst": 0.0, "ink": 99.0},
                ]
            made.append(row)
    return made, by_shift


def verdicts(found) -> dict[str, str]:
    return {claim.statement: claim.verdict for claim in judge_all(*found)}


def test_a_loss_is_the_mean_over_the_shifts_against_the_same_images_in_place():
    found = rows({("mlp", "centred"): 98.0}, {("mlp", "centred"): 40.0}, noise=0.0)
    assert losses(*found, "mlp") == [58.0] * 3
    assert losses(*found, "lenet5") == [0.0] * 3


def test_a_study_as_the_lecture_tells_it_supports_its_claims():
    accuracies = {("mlp", "centred"): 98.5, ("lenet5", "centred"): 99.0}
    accuracies |= {("one-7x7", "centred"): 97.0, ("one-11x11", "centred"): 97.0}
    moved = {("mlp", "centred"): 40.0, ("lenet5", "centred"): 60.0, ("mlp", "shifted"): 95.0}
    found = verdicts(rows(accuracies, moved))
    assert len(found) == 13
    assert set(found.values()) == {"supported"}


def test_a_study_of_the_opposite_contradicts_them():
    accuracies = {("mlp", "centred"): 97.0}
    accuracies |= {("three-3x3", "centred"): 97.0, ("five-3x3", "centred"): 97.0}
    moved = {("mlp", "centred"): 96.0, ("lenet5", "centred"): 70.0, ("mlp", "shifted"): 80.0}
    moved |= {("lenet5", "shifted"): 60.0}
    found = verdicts(rows(accuracies, moved))
    counted = [name for name in found if "fewer" in name or "cost" in name]
    assert {found.pop(name) for name in counted} == {"supported"}
    assert len(counted) == 5
    assert set(found.values()) == {"contradicted"}


def test_counts_the_wrong_way_round_contradict_without_any_spread():
    made, by_shift = rows()
    for row in made:
        if row["network"] == "three-3x3":
            row["parameters"] = 50
    found = verdicts((made, by_shift))
    name = "Three 3x3 for one 7x7: fewer parameters (lectures 3 and 5)"
    assert found[name] == "contradicted"


def test_a_single_seed_decides_no_difference():
    found = rows({("mlp", "centred"): 90.0}, {("mlp", "centred"): 30.0}, seeds=1)
    claims = [claim for claim in judge_all(*found) if "one value" in claim.numbers]
    assert len(claims) == 8
    assert {claim.verdict for claim in claims} == {"undecided"}


def test_the_table_has_parameters_and_accuracy_side_by_side():
    columns, lines = summarise(rows(noise=0.0)[0])
    assert columns[2:] == ["parameters", "multiply-adds", "in place", "shifted"]
    assert lines[0] == ["MLP", "centred", "3,836,410", "3,832,800", "99.0 ± 0.0", "99.0 ± 0.0"]
    assert lines[-1][0] in ("five 3x3", "one 11x11")
    assert lines[-1][-1] == ""


def test_the_figure_has_shifts_parameters_and_stacks():
    figure = draw(*rows(), "digits, 3 seeds")
    first, second, third = figure.axes
    assert first.get_legend_handles_labels()[1] == [
        *("MLP, trained on centred digits", "MLP, trained on shifted digits"),
        *("LeNet-5, trained on centred digits", "LeNet-5, trained on shifted digits"),
    ]
    assert "1.0 % of the ink lost" in first.get_xlabel()
    assert second.get_xscale() == "log"
    assert "three 3x3: 27 parameters" in third.get_legend_handles_labels()[1]
    assert all("%" in axes.get_ylabel() for axes in figure.axes)
    assert "digits, 3 seeds" in figure.get_suptitle()
