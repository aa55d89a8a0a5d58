"""The claims and the figure of the dropout study, from rows that are made up."""

import pytest
from dropout_arms import ARCHITECTURES, KEPT_UNITS, PARTS, Penalties, arms
from dropout_figure import draw
from dropout_networks import LEVELS, SAMPLES, features, moment
from dropout_protocol import COLUMNS
from dropout_report import PUBLISHED, judge, line_of, summarise, within
from numpy.random import RandomState

from cnnjax.studies.statistics import Claim, t_interval

SIZES = (50, 100, 600)
PENALTIES = Penalties(2.0, 1e-3, 1e-4)
AS_IN_THE_PAPER = {
    "architectures": {"none": 1.8, "dropout": 1.2},
    "regularisers": {
        "none": 1.9,
        "L2": 1.62,
        "L1": 1.6,
        "max-norm": 1.35,
        "dropout": 1.3,
        "dropout + L2": 1.25,
        "dropout + max-norm": 1.05,
    },
    "monte-carlo": {"dropout": 1.3},
    "convolutional": {"none": 15.0, "fully connected": 14.3, "all layers": 12.6},
}
RATES = {"n fixed": {0.1: 2.7, 0.5: 1.1, 0.8: 1.1, 1.0: 1.6}, "pn fixed": {0.1: 1.7, 0.5: 1.1}}
GAINS = {50: 0.0, 100: 3.0, 600: 1.0}


def made_up(sign: float) -> list[dict]:
    """Rows as in the paper, or with all differences turned round (sign -1)."""
    rows = []
    for arm in arms(PARTS, ARCHITECTURES, (0.1, 0.5, 0.8, 1.0), KEPT_UNITS, SIZES, PENALTIES):
        for seed in range(3):
            row = dict.fromkeys(COLUMNS) | {
                "run": f"{arm.stem}-seed{seed}",
                "part": arm.part,
                "arm": arm.name,
                "method": arm.method,
                "architecture": "-".join(map(str, arm.hidden)) or "96-128-256",
                "p": arm.keep,
                "train_images": arm.size or 600,
                "seed": seed,
            }
            if arm.part == "sparsity":
                dropped = arm.method == "dropout"
                row |= {
                    "mean_activation": 2.0 - sign * 1.3 * dropped + 0.01 * seed,
                    "zeros": 50.0 + sign * 20 * dropped + 0.1 * seed * dropped,
                    "spread": 60.0 - sign * 20 * dropped + 0.1 * seed * dropped,
                    "loss": 0.01,
                }
            else:
                row["error"] = 20.0 + sign * error(arm) + 0.01 * seed * (arm.method == "dropout")
            if arm.part == "monte-carlo":
                row["error_1_sample"] = row["error"] + sign * 1.0 + 0.01 * seed
                row["error_50_samples"] = row["error"] + (0.05 if sign > 0 else 3.0) + 0.01 * seed
            rows.append(row)
    return rows


def error(arm) -> float:
    if arm.part == "rate":
        return RATES[arm.method].get(arm.keep, 1.6)
    if arm.part == "size":
        return 5.0 - GAINS[arm.size or 600] * (arm.method == "dropout")
    return AS_IN_THE_PAPER[arm.part][arm.method]


def made_up_curves(rows: list[dict]) -> list[dict]:
    curves = []
    for row in rows:
        mine = []
        if row["part"] == "architectures":
            mine = [moment("error", step, row["error"] + 10 / step) for step in range(1, 21)]
        elif row["part"] == "monte-carlo":
            mine = [moment("samples", k, 1.3 + 1 / k) for k in SAMPLES]
        elif row["part"] == "sparsity":
            mine = [moment("activation", x, 3 * max(0, x - 0.5)) for x in LEVELS]
            mine += features(RandomState(0).normal(size=(64, 32))) if row["seed"] == 0 else []
        curves += [{"run": row["run"], **line} for line in mine]
    return curves


def test_rows_as_in_the_paper_support_every_claim():
    claims = judge(made_up(1.0))
    assert len(claims) == 22
    assert {claim.verdict for claim in claims} == {"supported"}


def test_turned_round_rows_contradict_every_claim_but_those_of_likeness():
    verdicts = {claim.statement: claim.verdict for claim in judge(made_up(-1.0))}
    alike = [s for s in verdicts if "flat" in s or "does not help" in s]
    assert len(alike) == 2
    assert {v for s, v in verdicts.items() if s not in alike} == {"contradicted"}


def test_seeds_that_disagree_leave_a_claim_undecided():
    rows = [row for row in made_up(1.0) if row["part"] == "convolutional"]
    for row in rows:
        row["error"] += {0: 8, 1: -8, 2: 0}[row["seed"]] * (row["method"] == "all layers")
    first, second = judge(rows)
    assert (first.verdict, second.verdict) == ("supported", "undecided")


def test_differences_are_paired_and_have_two_decimals():
    rows = [row for row in made_up(1.0) if row["part"] == "convolutional"]
    for row in rows:
        row["error"] += 10 * row["seed"]  # a hard seed is hard for all
    assert judge(rows)[0] == Claim(
        "Convolutional nets: Dropout in fully connected layers helps",
        "supported",
        "none − fully connected: +0.70 [+0.70, +0.70]",
    )


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.1, 0.1, 0.11], "supported"),
        ([0.9, 0.9, 0.91], "contradicted"),
        ([-0.9, -0.9, -0.91], "contradicted"),
        ([0.5, -0.5, 0.9], "undecided"),
        ([0.1], "undecided"),
    ],
)
def test_likeness_is_decided_by_the_whole_interval(differences, verdict):
    assert within(t_interval(differences), 0.5) == verdict


def test_one_seed_and_one_part_are_judged_as_far_as_they_go():
    rows = [r for r in made_up(1.0) if r["part"] == "architectures" and r["seed"] == 0]
    assert [claim.verdict for claim in judge(rows)] == ["undecided"] * 2
    assert judge([]) == []


def test_the_table_has_a_line_for_each_arm_and_the_paper_s_numbers_beside_it():
    rows = made_up(1.0)
    columns, lines = summarise(rows)
    assert len(lines) == len({(row["part"], row["arm"]) for row in rows})
    assert all(len(line) == len(columns) for line in lines)
    arms_shown = {f"{line[0]}-{line[1]}": line for line in lines}
    assert set(PUBLISHED) <= set(arms_shown)
    assert arms_shown["regularisers-L2"][4:] == ["21.62 ± 0.00", "1.62"]
    assert line_of(rows[0]) == "21.80 % error"


def test_the_figure_has_a_panel_for_each_part_with_labels_and_all_arms():
    rows = made_up(1.0)
    figure = draw(rows, made_up_curves(rows), "title", (8, 8, 1))
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    titles = [axes.get_title(loc="left") for axes in panels]
    assert [title.split(")")[0] for title in titles] == [f"({n}" for n in range(1, 9)]
    for axes in panels:
        if "features" not in axes.get_title(loc="left"):
            assert axes.get_xlabel()
    assert len(panels[0].get_lines()) == 13  # 6 networks twice, and an entry of the legend
    legend = [text.get_text() for text in panels[0].get_legend().get_texts()]
    assert {"2 × 1024", "4 × 2048"} <= set(legend)
    ticks = [tick.get_text() for tick in panels[3].get_yticklabels()]
    assert ticks == list(AS_IN_THE_PAPER["regularisers"])[::-1]


def test_parts_that_were_not_run_have_no_panel():
    rows = [row for row in made_up(1.0) if row["part"] in ("rate", "size")]
    figure = draw(rows, [], "title", (8, 8, 1))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(1) Dropout rate",
        "(2) Size of the training set",
    ]
