"""What the advisor says of rows that are made up."""

import dataclasses
import re

import numpy as np
import pytest

import cnnjax
from cnnjax.advisor.lectures import LARGE, SMALL, follows
from cnnjax.advisor.options import Option, options
from cnnjax.advisor.pace import least_seconds
from cnnjax.advisor.report import figure, html, table_rows
from cnnjax.advisor.summary import summarise
from cnnjax.advisor.texts import Facts, lectures, verdict
from cnnjax.data.folds import Fold
from cnnjax.models.ledger import ledger
from cnnjax.transfer import Recipe
from cnnjax.transfer.decision_tables import DECISIONS, Decision

FEATURES = {"option": "features", "accuracy": None, "multiply_adds": 400, "seconds": 8.0}
FACTS = Facts(
    dataset="folder:some/where/photos",
    network="lenet5",
    weights="a file",
    images=90,
    held_out=10,
    classes=3,
    image=(8, 8, 3),
    folds=4,
    repeats=1,
    learnt=60,
    tested=30,
    classifier="logistic",
    epochs=5,
    scratch_epochs=15,
    margin=1.0,
    budget=600,
    spent=90,
    command="python scripts/advise.py",
    train="python scripts/advise.py --train a",
    machine="a machine",
)


def made(*names):
    """Probes of the stages named, then the last 2, all, and from scratch."""
    probes = [
        Option(f"probe-{n}", f"probe at {n}", 1, n, 0, 100.0 * i, names[:i], 90)
        for i, n in enumerate(names, 1)
    ]
    tuned = [
        Option("last-2", "last 2 stages", 2, None, 2, 1e4, names[:3], 90),
        Option("all", "all stages", 3, None, 5, 2e4, (), 0),
        Option("scratch", "from scratch", 4, None, 5, 6e4, (), 0),
    ]
    return {option.name: option for option in probes + tuned}


SECONDS = {"c1": 0.1, "c3": 0.2, "c5": 0.4, "f6": 0.8}
OPTIONS = made("c1", "c3", "c5", "f6")


def summary(per_class=20.0, similarity=None, left_out=(), **means):
    """Accuracies about these means that differ a little from split to split."""
    wobble = {"probe_c5": (-1, 1, 0.5, -0.5), "last_2": (1, -1, 0.4, -0.4)}
    found = [
        {
            "option": name.replace("_", "-"),
            "split": split,
            "accuracy": mean + wobble.get(name, (0.2, 0, -0.2, 0))[split],
            "parameters": 10,
            "seconds": 2.0,
        }
        for name, mean in means.items()
        for split in range(4)
    ]
    return summarise(
        [FEATURES, *found],
        OPTIONS,
        splits=4,
        test_to_train=0.5,
        margin=1.0,
        per_class=per_class,
        similarity=similarity,
        left_out=dict.fromkeys(left_out, 100.0),
        stage_seconds=SECONDS,
    )


PROBES = {"probe_c1": 60.0, "probe_c3": 80.0, "probe_c5": 70.0, "probe_f6": 65.0}
LATE = {"probe_c1": 60.0, "probe_c3": 70.0, "probe_c5": 75.0, "probe_f6": 80.0}


def test_what_each_option_costs_is_counted_in_multiply_adds():
    network = cnnjax.create("lenet5")
    count = ledger(network, (32, 32, 1))
    adds = [row.multiply_adds for row in count.rows]
    fold = Fold(np.arange(80), np.arange(80, 100))
    tuning, fresh = (Recipe(epochs=epochs, batch_size=20) for epochs in (2, 5))
    found = {o.name: o for o in options(count, 100, fold, tuning, fresh)}
    names = "probe-c1 probe-c3 probe-c5 probe-f6 last-2 last-4 all scratch"
    assert list(found) == names.split()
    assert found["probe-c3"].cost == 100 * sum(adds[:2])
    assert found["last-2"].cost == 100 * sum(adds[:3]) + 3 * 160 * sum(adds[3:])
    assert found["last-4"].frozen == ("c1",)
    assert found["all"].cost == 3 * 160 * sum(adds)
    assert found["scratch"].cost == 3 * 400 * sum(adds)


def test_the_time_of_a_training_includes_the_features_of_what_stays_frozen():
    found = summary(**PROBES, last_2=90.0, all=90.0)
    assert found.entry("probe-c1").seconds == pytest.approx(2 + 90 * 0.1)
    assert found.entry("last-2").seconds == pytest.approx(2 + 90 * 0.7)
    assert found.entry("all").seconds == 2


def test_images_are_different_where_an_earlier_stage_serves_them_better():
    found = summary(**PROBES).likeness
    assert found.similarity == "different"
    assert "c3" in found.why
    assert "+15.0" in found.why
    assert summary(**LATE).likeness.similarity == "similar"


def test_a_lead_within_the_noise_makes_no_difference():
    near = LATE | {"probe_c5": 80.2}
    assert summary(**near).likeness.similarity == "similar"


def test_similarity_is_not_estimated_from_some_of_the_stages():
    found = summary(probe_c1=60.0, last_2=80.0)
    assert found.likeness.similarity is None
    assert found.counsels == ()
    assert "give --similarity" in lectures(found, FACTS)[-1]


def test_what_the_user_says_of_the_similarity_holds():
    found = summary(**PROBES, similarity="similar")
    assert found.likeness == ("similar", "as --similarity says")


@pytest.mark.parametrize(
    ("per_class", "size"),
    [(SMALL, "small"), (SMALL + 1, "medium"), (LARGE - 1, "medium"), (LARGE, "large")],
)
def test_the_size_is_that_of_a_class(per_class, size):
    assert summary(per_class=per_class, **PROBES).size == size


def test_every_cell_of_the_lectures_tables_means_some_of_the_options():
    assert DECISIONS
    for decision in DECISIONS:
        named = follows(decision, OPTIONS)
        assert named, decision
        assert {OPTIONS[name].case for name in named} <= {1, 2, 3, 4}


def test_a_lecture_may_mean_early_late_several_or_all_stages():
    def named(case, stages):
        return follows(Decision("x", "small", "similar", "y", case, stages), OPTIONS)

    assert named(1, "early") == ("probe-c1", "probe-c3")
    assert named(1, "last") == ("probe-f6",)
    assert named(2, "last") == ("last-2",)
    assert named(2, "several") == ("last-2", "all")
    assert named(3, "all") == ("all",)
    assert named(4, "all") == ("scratch",)


def test_a_lecture_that_is_not_followed_is_measured_against_what_is():
    found = summary(**PROBES, last_2=75.0, similarity="similar")
    assert found.advice.chosen == "probe-c3"
    counsel = next(c for c in found.counsels if c.decision.case == 1)
    assert (counsel.best, counsel.agrees) == ("probe-f6", False)
    assert counsel.behind.mean == pytest.approx(15.0)
    page = html(found, FACTS, figure(found, FACTS))
    assert "probe at f6: 65.0 %" in page
    assert "another than here: +15.0" in page


def test_the_verdict_names_the_choice_its_accuracy_and_how_sure_it_is():
    said = " ".join(verdict(summary(**PROBES), FACTS))
    assert "Keep lenet5 up to c3, and train a classifier on its features." in said
    assert re.search(r"80\.0 % \(95 % interval \d\d\.\d to \d\d\.\d\)", said)
    assert "Next comes probe at c5, 10.0 points behind" in said
    assert "How sure is it? Sure." in said
    assert "better by more than 1 point is below 1 %" in said


def test_a_cheaper_option_within_the_noise_is_explained():
    found = summary(**LATE, last_2=80.3)
    assert (found.advice.best, found.advice.chosen) == ("last-2", "probe-f6")
    said = " ".join(verdict(found, FACTS))
    assert "The best mean is that of last 2 stages, 80.3 %" in said
    assert "it is 0.3 points behind" in said


def test_fine_tuning_that_ends_below_its_own_start_is_no_fair_trial():
    found = summary(**LATE, last_2=81.0, all=60.0)
    assert [entry.option.name for entry in found.spoilt] == ["all"]
    assert "began with: all stages. That is no fair trial" in verdict(found, FACTS)[-1]


def test_what_is_below_its_start_within_the_noise_is_not_complained_of():
    found = summary(**LATE, last_2=79.9, scratch=20.0)
    assert found.spoilt == ()
    assert "fair trial" not in " ".join(verdict(found, FACTS))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("last-2", "Keep the first 3 stages, and fine-tune the last 2, head included."),
        ("all", "Fine-tune all stages from the pretrained weights."),
        ("scratch", "Train from scratch"),
    ],
)
def test_each_case_is_said_in_its_own_words(name, says):
    assert says in verdict(summary(**PROBES | {name.replace("-", "_"): 99.0}), FACTS)[0]


def test_from_scratch_is_not_said_to_win_where_it_was_trained_for_longer():
    found = summary(**PROBES, all=90.0, scratch=99.0)
    assert "Fine-tuning had 5 epochs and this 15" in " ".join(verdict(found, FACTS))
    evenly = verdict(found, dataclasses.replace(FACTS, epochs=15))
    assert "Fine-tuning had" not in " ".join(evenly)


def test_what_was_left_out_is_said_with_what_it_takes():
    found = summary(**PROBES, left_out=("all", "scratch"))
    page = html(found, FACTS, figure(found, FACTS))
    assert "Left out, as it would not have ended within 10 min: all stages, from scratch." in page
    assert "With --budget 6m the same command goes on" in page  # 90 + 200 s and a fifth more
    assert table_rows(found)[-1][4] == "left out: about 1 min 40 s"
    assert table_rows(found)[1][4] == "the best"


def test_options_half_measured_are_shown_and_not_judged():
    rows = [FEATURES] + [
        {"option": "probe-c1", "split": s, "accuracy": 60.0 + s, "parameters": 1, "seconds": 1.0}
        for s in range(4)
    ]
    rows.append({"option": "all", "split": 0, "accuracy": 99.0, "parameters": 1, "seconds": 1.0})
    found = summarise(
        rows,
        OPTIONS,
        splits=4,
        test_to_train=0.5,
        margin=1.0,
        per_class=20.0,
        similarity="similar",
        left_out={"all": 3.0},
        stage_seconds=SECONDS,
    )
    assert found.advice.chosen == "probe-c1"
    assert found.entry("all").loss is None
    assert next(r for r in table_rows(found) if r[0] == "all stages")[4] == "not on every split"
    assert "Nothing else was measured" in verdict(found, FACTS)[-1]
    html(found, FACTS, figure(found, FACTS))


def test_what_a_training_takes_at_least_follows_the_fastest_training_before():
    forward = {"last-2": 1.0, "all": 10.0}
    assert least_seconds("all", forward, {}) == pytest.approx(3 * 0.7 * 10)
    assert least_seconds("all", forward, {"last-2": 1.5, "features": 9.0}) == pytest.approx(15)


def test_where_the_lectures_disagree_is_said():
    said = lectures(summary(**PROBES), FACTS)
    assert "Similarity to what the network was trained on: different, estimated" in said[0]
    assert said[1].startswith("The lectures disagree: lecture 1: case 1")


def test_the_figure_names_its_axes_with_their_units_and_marks_the_choice():
    drawn = figure(summary(**PROBES, last_2=75.0, all=78.0, scratch=50.0), FACTS)
    first, second, third = drawn.axes
    assert first.get_ylabel() == third.get_ylabel() == "accuracy (%)"
    assert "points" in second.get_ylabel()
    assert third.get_xlabel() == "time of one training, features included"
    labels = first.get_legend_handles_labels()[1]
    assert len(labels) == 5
    assert "recommended" in labels
    ticks = [label.get_text() for label in second.get_xticklabels()]
    assert ticks == ["c1", "c3", "c5", "f6", "last 2", "all", "scratch"]
