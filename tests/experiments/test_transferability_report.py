"""The table, the claims and the figure, on results whose effects are known."""

import re

import numpy as np
import pytest
from transferability_figure import PUBLISHED, draw
from transferability_report import COLUMNS, Results, judge, summarise, with_changes

from cnnjax.studies.results import read_results, write_results
from cnnjax.transfer.treatments import TREATMENTS

STAGES = 8


def rows(effects=None, splits=3, layers=range(1, 8), targets="B", arms=TREATMENTS, noise=0.1):
    """Rows of a whole study: the base of split s is at 80 + 3 s, and `effects` says how many
    points an arm is above the base of its target, for all n or as a function of n."""
    random = np.random.RandomState(0)
    made = []
    for split in range(splits):
        for target in targets:
            for arm in arms:
                for n in [0] if arm in ("base", "base2x") else layers:
                    effect = (effects or {}).get(arm, 0.0)
                    effect = effect(n) if callable(effect) else effect
                    own = 0.0 if arm == "base" else effect + noise * random.randn()
                    made.append(
                        {
                            "run": f"split{split}-{arm}-{n}-{target}",
                            "treatment": arm,
                            "n": n,
                            "split": split,
                            "source": "A",
                            "target": target,
                            "accuracy": 80 + 3 * split + 5 * (target == "A") + own,
                            "loss": 0.5,
                            "steps": 450,
                            "seconds": 1.0,
                            "config_hash": "0",
                        }
                    )
    return with_changes(made)


def verdicts(found) -> dict[str, str]:
    """{the two arms and the n of a claim: its verdict}."""
    return {claim.numbers.split(":")[0]: claim.verdict for claim in judge(found, STAGES)}


def test_the_change_is_against_the_base_of_the_same_split_and_target():
    found = rows({"AnB": -4.0}, targets="AB", noise=0.0)
    changes = {row["change"] for row in found if row["treatment"] == "AnB"}
    assert changes == {-4.0}  # though the bases differ by 3 and by 5 points
    assert {row["change"] for row in found if row["treatment"] == "base"} == {0.0}


def test_without_its_base_a_row_has_no_change():
    (row,) = with_changes(rows(splits=1, layers=[1], arms=["AnB"]))
    assert row["change"] is None


def test_rows_have_the_columns_of_the_table_in_order():
    assert all(tuple(row) == COLUMNS for row in rows(splits=1))


def test_everything_can_be_made_again_from_the_file_alone(tmp_path):
    found = rows({"AnB": lambda n: -n}, splits=2)
    write_results(tmp_path / "results.csv", found, COLUMNS)
    back = read_results(tmp_path / "results.csv")
    assert judge(back, STAGES) == judge(found, STAGES)
    assert summarise(back) == summarise(found)


def test_a_difference_pairs_the_splits():
    found = rows({"BnB": -1.0, "AnB": -4.0}, noise=0.0)
    assert Results(found).difference("BnB", "AnB", [6, 7]) == [3.0, 3.0, 3.0]
    assert Results(found).difference("base", "AnB", [1]) == [4.0, 4.0, 4.0]


def test_directions_are_averaged_within_a_split_so_that_splits_are_what_is_counted():
    found = rows({"AnB": -2.0}, splits=3, targets="AB", noise=0.0)
    for row in found:
        if row["treatment"] == "AnB" and row["target"] == "A":
            row["change"] = -4.0
    assert Results(found).difference("AnB", "base", [3]) == [-3.0, -3.0, -3.0]


def test_a_split_that_lacks_one_of_the_layers_is_left_out():
    found = [row for row in rows(noise=0.0) if (row["split"], row["n"]) != (1, 7)]
    assert len(Results(found).difference("AnB", "base", [6, 7])) == 2
    assert len(Results(found).difference("AnB", "base", [6])) == 3


def test_a_study_as_the_paper_found_it_supports_its_claims():
    found = rows(
        {
            "base2x": 0.3,
            "BnB": lambda n: -3.0 if n in (4, 5) else 0.0,
            "AnB": lambda n: 0.0 if n < 3 else -1.5 * n,
            "random": lambda n: -15.0 * n if n > 2 else -5.0,
            "AnB+": 1.6,
            "BnB+": 0.2,
        }
    )
    assert set(verdicts(found).values()) == {"supported"}
    assert len(verdicts(found)) == 10


def test_a_study_of_the_opposite_contradicts_them():
    found = rows(
        {
            "base2x": 5.0,
            "BnB": lambda n: 3.0 if n in (4, 5) else -8.0,
            "AnB": lambda n: -9.0 if n < 3 else 2.0,
            "random": 6.0,
            "AnB+": -2.0,
            "BnB+": 4.0,
        }
    )
    assert set(verdicts(found).values()) == {"contradicted"}


def test_a_study_without_effects_decides_only_what_is_claimed_to_be_no_effect():
    # An interval about 0 that is narrow supports "the same", and leaves "more" open.
    found = rows({}, splits=2, noise=0.0)
    by_claim = verdicts(found)
    same = {"AnB − base at n = 1, 2", "BnB − base at n = 6, 7"}
    assert {name for name, verdict in by_claim.items() if verdict == "supported"} == same
    assert {by_claim[name] for name in by_claim.keys() - same} == {"undecided"}


def test_effects_below_the_spread_stay_undecided():
    found = rows(dict.fromkeys(TREATMENTS[1:], 0.1), noise=20.0)
    assert set(verdicts(found).values()) == {"undecided"}


def test_a_single_split_decides_nothing():
    found = rows({"AnB": -20.0, "random": -60.0, "AnB+": 10.0}, splits=1)
    claims = judge(found, STAGES)
    assert {claim.verdict for claim in claims} == {"undecided"}
    assert all("one value, no interval" in claim.numbers for claim in claims)


@pytest.mark.parametrize(
    ("stages", "early", "middle", "late"),
    [(8, "1, 2", "4, 5", "6, 7"), (5, "1", "2, 3", "4"), (4, "1", "2", "3")],
)
def test_early_middle_and_late_go_by_the_depth_of_the_network(stages, early, middle, late):
    found = rows(layers=range(1, stages))
    numbers = [claim.numbers for claim in judge(found, stages)]
    assert any(text.startswith(f"AnB − base at n = {early}:") for text in numbers)
    assert any(text.startswith(f"base − BnB at n = {middle}:") for text in numbers)
    assert any(text.startswith(f"BnB − AnB at n = {late}:") for text in numbers)


@pytest.mark.parametrize(
    ("arms", "layers"),
    [(["base", "AnB"], [1]), (["base", "BnB"], [4]), (["base", "random"], [7]), (["base"], [])],
)
def test_a_claim_whose_arms_are_not_there_is_left_out(arms, layers):
    found = rows(arms=arms, layers=layers)
    needed = {
        name
        for claim in judge(found, STAGES)
        for name in re.findall(r"[AB]nB\+?|random|base2x", claim.numbers)
    }
    assert needed <= set(arms)


def test_the_table_has_a_line_for_each_n_and_a_column_for_each_arm():
    columns, lines = summarise(rows({"BnB": -1.0, "AnB": 2.0}, layers=[1, 4], noise=0.0))
    assert columns == ["n", "BnB", "BnB+", "AnB", "AnB+", "random"]
    assert [line[0] for line in lines] == ["1", "4"]
    assert lines[0][1:4] == ["-1.0 ± 0.0", "+0.0 ± 0.0", "+2.0 ± 0.0"]


def test_the_table_gives_half_of_students_interval():
    found = rows({}, splits=3, layers=[1], arms=["base", "AnB"])
    for row in found:
        if row["treatment"] == "AnB":
            row["change"] = float(row["split"] + 1)
    assert summarise(found)[1] == [["1", "+2.0 ± 2.5"]]  # 4.3027 / sqrt(3)
    single = [row for row in found if row["split"] == 0]
    assert summarise(single)[1] == [["1", "+1.0"]]


def test_the_figure_has_the_papers_panel_the_decomposition_and_the_papers_numbers():
    figure = draw(rows({"AnB": lambda n: -n, "BnB": -1.0}), "glyphs, 3 splits")
    first, second, third = figure.axes
    labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    assert labels[0][:-1] == ["base", "base, doubled budget", "BnB", "BnB+", "AnB", "AnB+"]
    assert labels[0][-1].startswith("random")
    assert labels[1] == ["base − BnB: lost co-adaptation", "BnB − AnB: specificity"]
    assert labels[2] == ["BnB", "BnB+", "AnB", "AnB+"]
    assert "%" in first.get_ylabel()
    assert "points" in second.get_ylabel()
    assert "points" in third.get_ylabel()
    assert "glyphs, 3 splits" in figure.get_suptitle()


def test_a_point_of_the_figure_is_a_run():
    found = rows({"AnB": lambda n: -n})
    shown = draw(found, "").axes[0].lines
    points = {round(float(y), 6) for line in shown for y in line.get_ydata()}
    assert {round(row["accuracy"], 6) for row in found} <= points


def test_random_layers_far_below_do_not_press_the_others_together_and_are_written():
    axes = draw(rows({"random": lambda n: -3.0 if n == 1 else -60.0}, noise=0.0), "").axes[0]
    low, high = axes.get_ylim()
    assert 75 < low < 80 < 86 < high < 90
    assert [text.get_text() for text in axes.texts] == ["23 %\n↓"] * 6


def test_random_layers_above_the_others_are_in_the_panel():
    axes = draw(rows({"random": 10.0}, noise=0.0), "").axes[0]
    assert axes.get_ylim()[1] > 96
    assert len(axes.texts) == 0


def test_the_decomposition_adds_up_to_what_frozen_transfer_loses():
    found = rows({"AnB": lambda n: -n, "BnB": lambda n: -0.5 * n})
    lost, specific = (
        np.asarray(container[0].get_ydata(), float)
        for container in draw(found, "").axes[1].containers
    )
    results = Results(found)
    whole = [np.mean(results.difference("base", "AnB", [n])) for n in results.layers]
    np.testing.assert_allclose(lost + specific, whole, atol=1e-9)


@pytest.mark.parametrize(
    "arms", [["base"], ["base", "random"], ["base", "base2x"], ["base", "AnB"]]
)
@pytest.mark.parametrize("splits", [1, 2])
def test_a_part_of_the_arms_can_be_drawn(arms, splits, tmp_path):
    figure = draw(rows(arms=arms, splits=splits, layers=[3]), "part")
    figure.savefig(tmp_path / "figure.png")


def test_the_papers_numbers_are_those_of_its_logs():
    # Yosinski et al. 2014, figure 2: base 62.5 %; AnB at n = 7 loses 8 points; BnB dips at 4 and 5
    published = {(row["treatment"], row["n"]): row for row in read_results(PUBLISHED)}
    assert published["base", 8]["mean_top1_pct"] == 62.51
    change = {key: row["paired_delta_vs_own_target_base"] for key, row in published.items()}
    assert change["AnB", 7] == -8.26
    assert min(range(1, 8), key=lambda n: change["BnB", n]) == 5
