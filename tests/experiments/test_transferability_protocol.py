"""Which runs there are, what they need, and what they share."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from transferability_protocol import Protocol, Recipe

from cnnjax.errors import CnnjaxError
from cnnjax.transfer.treatments import TREATMENTS


@pytest.fixture
def recipe(tiny) -> Recipe:
    return Recipe(
        dataset=f"npz:{tiny}",
        image_size=None,
        network="lenet5",
        split="random",
        images_per_class=None,
        steps=10,
        epochs=None,
        batch_size=16,
        learning_rate=0.02,
        weight_decay=5e-4,
        warmup=0.1,
        seed=0,
    )


def make(recipe, splits=1, both=False, layers=None, treatments=TREATMENTS) -> Protocol:
    return Protocol(recipe, splits, both, layers, treatments)


def test_the_default_plan_of_eight_stages_is_that_of_the_paper_and_the_doubled_base(recipe):
    protocol = make(replace(recipe, network="alexnet_small"), splits=3)
    runs = protocol.plan.runs.values()
    assert len(runs) == 3 * (3 + 5 * 7)
    of_each = Counter((run.config["split"], run.config["treatment"]) for run in runs)
    for split in range(3):
        assert of_each[split, "base"] == 2
        assert of_each[split, "base2x"] == 1
        for arm in ("BnB", "BnB+", "AnB", "AnB+", "random"):
            assert of_each[split, arm] == 7
    assert {run.config["n"] for run in runs if run.config["treatment"] == "AnB"} == {*range(1, 8)}


def test_runs_have_the_papers_names_with_their_split_in_front(recipe):
    names = list(make(recipe, splits=2, layers=(1, 3)).plan.runs)
    first = [
        *("baseA", "baseB", "base2xB", "B1B", "B3B", "B1B+", "B3B+"),
        *("A1B", "A3B", "A1B+", "A3B+", "random1B", "random3B"),
    ]
    assert names == [f"split{split}-{name}" for split in range(2) for name in first]


def test_each_arm_starts_from_the_base_its_name_says(recipe):
    runs = make(recipe, both=True, layers=(2,)).plan.runs
    needs = {name.removeprefix("split0-"): run.needs for name, run in runs.items()}
    a, b = ("split0-baseA",), ("split0-baseB",)
    assert needs == {
        "baseA": (),
        "baseB": (),
        "base2xB": (),
        "base2xA": (),
        "B2B": b,
        "B2B+": b,
        "A2B": a,
        "A2B+": a,
        "random2B": (),
        "A2A": a,
        "A2A+": a,
        "B2A": b,
        "B2A+": b,
        "random2A": (),
    }


def test_only_the_weights_of_bases_are_needed(recipe):
    plan = make(recipe, splits=2, both=True).plan
    assert plan.needed == {f"split{split}-base{half}" for split in range(2) for half in "AB"}


def test_both_directions_have_the_same_arms_on_either_target(recipe):
    runs = make(recipe, both=True).plan.runs.values()
    arms = {
        target: sorted(
            (r.config["treatment"], r.config["n"]) for r in runs if r.config["target"] == target
        )
        for target in "AB"
    }
    assert arms["A"] == arms["B"]
    assert all(
        run.config["source"] != run.config["target"]
        for run in runs
        if run.config["treatment"] in ("AnB", "AnB+")
    )


@pytest.mark.parametrize(
    ("treatments", "names"),
    [
        (("base",), ["baseA", "baseB"]),
        (("base2x",), ["baseB", "base2xB"]),
        (("BnB",), ["baseB", "B1B"]),
        (("AnB",), ["baseA", "baseB", "A1B"]),
        (("random",), ["baseB", "random1B"]),
        (("random", "AnB+", "random"), ["baseA", "baseB", "A1B+", "random1B"]),
        ((), ["baseB"]),
    ],
)
def test_chosen_treatments_bring_the_bases_they_are_compared_with_or_copied_from(
    recipe, treatments, names
):
    plan = make(recipe, layers=(1,), treatments=treatments).plan
    assert [name.removeprefix("split0-") for name in plan.runs] == names


def test_all_arms_of_a_target_share_fresh_layers_and_order_which_the_bases_do_not(recipe):
    runs = make(recipe, splits=3, both=True).plan.runs.values()
    seeds = {}
    for run in runs:
        base = run.config["treatment"] in ("base", "base2x")
        key = (run.config["split"], run.config["target"], base)
        seeds.setdefault(key, set()).add((run.config["init_seed"], run.config["order_seed"]))
    assert all(len(shared) == 1 for shared in seeds.values())
    assert len(set.union(*seeds.values())) == 3 * 2 * 2  # and nothing else is shared


def test_the_arms_of_a_target_differ_in_their_treatment_alone(recipe):
    runs = make(recipe).plan.runs.values()
    arms = [run.config for run in runs if run.config["treatment"] not in ("base", "base2x")]
    own = {"treatment", "n", "source"}
    first, *others = ({k: v for k, v in arm.items() if k not in own} for arm in arms)
    assert all(other == first for other in others)


def test_the_doubled_base_takes_twice_the_steps_and_is_else_the_base(recipe):
    runs = make(recipe).plan.runs
    base, double = (dict(runs[f"split0-{name}"].config) for name in ("baseB", "base2xB"))
    assert double.pop("steps") == 2 * base.pop("steps")
    assert (base.pop("treatment"), double.pop("treatment")) == ("base", "base2x")
    assert base == double


def test_the_length_may_be_given_in_epochs(recipe):
    runs = make(replace(recipe, steps=None, epochs=2)).plan.runs
    assert runs["split0-baseA"].config["steps"] == 8  # 2 x 60 images in batches of 16


def test_halves_share_no_class_and_lose_none(recipe):
    protocol = make(recipe, splits=4)
    for split in range(4):
        a, b = (protocol.halves[split, half].train.classes for half in "AB")
        assert sorted(a + b) == sorted(protocol.data.train.classes)
    assert len({protocol.halves[split, "A"].train.classes for split in range(4)}) > 1


def test_fewer_images_are_drawn_of_each_class_and_the_test_set_stays_whole(recipe):
    protocol = make(replace(recipe, images_per_class=7))
    for half in ("A", "B"):
        part = protocol.halves[0, half]
        np.testing.assert_array_equal(np.bincount(part.train.labels), [7, 7, 7])
        np.testing.assert_array_equal(np.bincount(part.test.labels), [40, 40, 40])


@pytest.mark.parametrize(
    "change",
    [
        {"network": "mlp"},
        {"steps": 11},
        {"batch_size": 8},
        {"learning_rate": 0.01},
        {"weight_decay": 0.0},
        {"warmup": 0.2},
        {"seed": 1},
        {"images_per_class": 5},
    ],
)
def test_whatever_changes_the_numbers_changes_the_identity_of_every_run(recipe, change):
    before, after = (
        make(r, layers=(1,)).plan.identities for r in (recipe, replace(recipe, **change))
    )
    assert all(before[name] != after[name] for name in before)


def test_other_images_change_the_identity_of_every_run(recipe, tmp_path):
    with np.load(recipe.dataset.removeprefix("npz:")) as archive:
        arrays = dict(archive)
    arrays["x_test"][0, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    other = replace(recipe, dataset=f"npz:{tmp_path / 'other.npz'}")
    before, after = (make(r, layers=(1,)).plan.identities for r in (recipe, other))
    assert all(before[name] != after[name] for name in before)


def test_more_splits_layers_or_arms_leave_the_runs_that_were_there_as_they_are(recipe):
    small = make(recipe, layers=(1,), treatments=("AnB",)).plan.identities
    large = make(recipe, splits=3, both=True).plan.identities
    assert small.items() <= large.items()


def test_a_frozen_prefix_costs_less_than_training_it_and_a_longer_one_still_less(recipe):
    runs = make(recipe).plan.runs
    frozen = [runs[f"split0-A{n}B"].cost for n in range(1, 5)]
    assert frozen == sorted(frozen, reverse=True)
    assert runs["split0-A1B+"].cost == runs["split0-baseB"].cost > frozen[0] > 0
    assert runs["split0-base2xB"].cost > 1.5 * runs["split0-baseB"].cost


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": 0}, "--splits is 0, which cannot be; give from 1 to 1000"),
        ({"splits": 1001}, "--splits is 1001, which cannot be; give from 1 to 1000"),
        ({"layers": (0, 1)}, "--layers asks for n = 0, but lenet5 has 5 stages"),
        ({"layers": (4, 5)}, "--layers asks for n = 5, but lenet5 has 5 stages"),
        ({"treatments": ("AnB", "CnB")}, "there is no treatment 'CnB'; the treatments are base"),
    ],
)
def test_what_cannot_be_planned_is_an_error(recipe, change, message):
    with pytest.raises(CnnjaxError) as error:
        make(recipe, **change)
    assert message in str(error.value)
