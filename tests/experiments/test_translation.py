"""The translation study: the lecture's networks, exact shifts, and the smoke run."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from translation import Config, check, run, shrink
from translation_protocol import (
    ALL,
    NETWORKS,
    RATES,
    STACKS,
    TRAININGS,
    Protocol,
    Recipe,
    directions,
    moved_by,
    on_ground,
    random_shift,
)
from translation_report import COLUMNS, CURVE_COLUMNS

from cnnjax import CnnjaxError
from cnnjax.data import Dataset
from cnnjax.data.augment import shift
from cnnjax.models.ledger import ledger
from cnnjax.studies.results import read_results
from cnnjax.studies.study import from_flags

SIZES = {"mlp": (3_836_410, 3_832_800), "lenet5": (61_706, 416_520)}


def protocol_of(config: Config) -> Protocol:
    return Protocol(from_flags(Recipe, config), config.seeds, config.networks)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory) -> Protocol:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNJAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return protocol_of(Config(steps=5))


@pytest.fixture(scope="module")
def smoked(tiny, tmp_path_factory):
    """The folder of a whole study, done once."""
    out = tmp_path_factory.mktemp("translation") / "out"
    run(small(tiny, out))
    return out


def small(tiny, out) -> Config:
    sizes = {"digit_size": 16, "canvas": 20, "stack_size": 8}
    return Config(dataset=f"npz:{tiny}", smoke=True, out=out, **sizes)


def test_the_networks_are_the_lectures(protocol):
    for name, (parameters, multiply_adds) in SIZES.items():
        assert protocol.sizes[name]["parameters"] == parameters
        assert protocol.sizes[name]["multiply_adds"] == multiply_adds
    assert protocol.networks["mlp"].hidden == (1200, 1200, 1200)


@pytest.mark.parametrize(
    ("row", "deep", "wide", "per_pair"),
    [("7x7", "three-3x3", "one-7x7", (27, 49)), ("11x11", "five-3x3", "one-11x11", (45, 121))],
)
def test_stacks_see_equally_far_at_27_to_49_and_45_to_121_weights_a_pair(
    protocol, row, deep, wide, per_pair
):
    fields, weights, costs = [], [], []
    for name in (deep, wide):
        counted = ledger(protocol.networks[name], (16, 16, 1))
        layers = [r for r in counted.rows if r.stage not in ("conv1", "head")]
        fields.append(layers[-1].field)
        weights.append(sum(r.weights for r in layers) / 12**2)
        costs.append(sum(r.multiply_adds for r in layers) / 12**2 / 16**2)
    assert fields[0] == fields[1]
    assert tuple(weights) == tuple(costs) == per_pair  # maps keep their size


def test_every_arm_of_a_network_differs_in_the_training_alone(protocol):
    runs = protocol.plan.runs
    assert len(runs) == (2 * 2 + 4) * 3
    for name in NETWORKS:
        one, other = (runs[f"{name}-{training}-seed1"].config for training in TRAININGS)
        assert {key for key in one if one[key] != other[key]} == {"training"}
    configs = [runs[f"{name}-seed1"].config for name in STACKS]
    assert {key for key in configs[0] for c in configs if c[key] != configs[0][key]} == {
        *("network", "kernels", "learning_rate")
    }


def test_every_network_has_the_best_of_the_rates_that_were_tried():
    table = Path(__file__).parents[2] / "experiments" / "results" / "translation" / "rates.csv"
    tried = list(csv.DictReader(table.open(newline="")))
    assert {row["network"] for row in tried} == set(RATES) == {*NETWORKS, *STACKS}
    for name, chosen in RATES.items():
        training, measure = ("shifted", "shifted_accuracy")
        if name in STACKS:
            training, measure = ("centred", "accuracy")
        mine = [r for r in tried if (r["network"], r["training"]) == (name, training)]
        assert len(mine) == 5
        assert float(max(mine, key=lambda r: float(r[measure]))["learning_rate"]) == chosen


def test_by_default_no_shift_loses_a_pixel(protocol):
    images = protocol.data.test.images
    assert images.shape[1:] == (28, 28, 1)
    for down, right in directions(Config.reach):
        moved = moved_by(images, down, right)
        assert moved.sum(dtype=np.int64) == images.sum(dtype=np.int64)


def test_digits_are_moved_as_numpy_rolls_them_and_black_comes_in():
    images = np.random.RandomState(0).randint(1, 256, (2, 6, 7, 1)).astype(np.uint8)
    for down, right in [(0, 0), (2, 0), (-2, 3), (0, -1), (5, 6)]:
        expected = np.roll(images, (down, right), axis=(1, 2))
        rows, columns = np.indices((6, 7))
        new = (rows - down < 0) | (rows - down >= 6) | (columns - right < 0)
        expected[:, new | (columns - right >= 7)] = 0
        np.testing.assert_array_equal(moved_by(images, down, right), expected)


def test_each_shift_goes_in_eight_directions():
    assert directions(0) == [(0, 0)]
    found = directions(3)
    assert len(found) == len(set(found)) == 8
    assert all(max(abs(y), abs(x)) == 3 for y, x in found)


def test_training_shifts_reach_as_far_as_tests_and_fill_with_black():
    assert random_shift("shifted", 6, 28) == shift(6 / 28, fill="constant")
    assert random_shift("centred", 6, 28) is None


def test_images_stand_in_the_middle_of_their_ground():
    images = np.full((1, 4, 4, 1), 9, np.uint8)
    found = on_ground(Dataset(images, np.zeros(1, np.int32), ("a",)), 8).images[0, :, :, 0]
    assert found.sum() == images.sum()
    assert (found[2:6, 2:6] == 9).all()
    with pytest.raises(CnnjaxError, match="4 x 4 pixels are larger than --canvas 3"):
        on_ground(Dataset(images, np.zeros(1, np.int32), ("a",)), 3)


def test_the_smoke_run_leaves_a_whole_study(smoked):
    names = {path.name for path in smoked.iterdir()}
    assert {"results.csv", "curves.csv", "figure.svg", "figure.png", "report.json"} <= names
    found = read_results(smoked / "results.csv")
    assert tuple(found[0]) == COLUMNS
    assert {row["network"] for row in found} == {"mlp", "one-7x7", "three-3x3"}
    measured = read_results(smoked / "curves.csv")
    assert tuple(measured[0]) == CURVE_COLUMNS
    assert [row["shift"] for row in measured] == [0, 1] * 4
    assert {row["ink"] for row in measured} == {100}


def test_the_same_command_again_runs_nothing(smoked, tiny, capsys):
    before = (smoked / "results.csv").read_bytes()
    run(small(tiny, smoked))
    assert capsys.readouterr().out.count("already finished") == 8
    assert (smoked / "results.csv").read_bytes() == before


def test_the_smoke_form_has_a_folder_of_its_own():
    assert shrink(Config()).out.name == "translation-smoke"


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        ("--canvas is 8", {"canvas": 8}),
        ("--reach is 0", {"reach": 0}),
        ("--reach is 28", {"reach": 28}),
        ("--probes is 0", {"probes": 0}),
        ("--learning-rate is inf", {"learning_rate": float("inf")}),
    ],
)
def test_numbers_that_cannot_be_are_refused(flag, changes):
    with pytest.raises(CnnjaxError, match=flag):
        check(replace(Config(), **changes))


def test_an_unknown_network_is_refused(tiny):
    config = replace(small(tiny, None), networks=("vgg16",), steps=1)
    with pytest.raises(CnnjaxError, match=f"there is no network 'vgg16'.*there are {ALL[0]}, "):
        protocol_of(config)
