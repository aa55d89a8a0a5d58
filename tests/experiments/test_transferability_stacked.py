"""The study with its runs stacked is the study."""

from dataclasses import replace

import pytest
from transferability import Config, protocol_of
from transferability_stacked import (
    kinds,
    one_by_one,
    same_but_for_the_split,
    same_program,
    stacked,
)


@pytest.fixture(scope="module")
def config(tiny) -> Config:
    small = {"splits": 2, "layers": "1,2", "steps": 8, "batch_size": 16}
    return Config(dataset=f"npz:{tiny}", network="mlp", **small)


def names(protocol, kind):
    return [[run.name for run in runs] for runs in kinds(protocol, kind)]


def test_runs_of_a_kind_are_those_of_all_splits_or_of_all_arms_that_share_a_program(config):
    protocol = protocol_of(config)
    by_split = names(protocol, same_but_for_the_split)
    assert ["split0-A2B+", "split1-A2B+"] in by_split
    assert {len(kind) for kind in by_split} == {2}
    first = [f"split{split}-base{half}" for split in range(2) for half in "AB"]
    tuned = [f"split{split}-{half}{n}B+" for split in range(2) for half in "BA" for n in (1, 2)]
    assert names(protocol, same_program) == [
        first,
        ["split0-base2xB", "split1-base2xB"],
        *([f"split{s}-{arm}{n}B" for s in (0, 1) for arm in ("B", "A", "random")] for n in (1, 2)),
        tuned,
    ]


@pytest.mark.parametrize("kind", [same_but_for_the_split, same_program])
def test_every_run_has_its_kind_after_those_it_needs(config, kind):
    protocol = protocol_of(config)
    done = set()
    for runs in kinds(protocol, kind):
        assert all(need in done for run in runs for need in run.needs)
        done |= {run.name for run in runs}
    assert done == set(protocol.plan.runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [same_but_for_the_split, same_program])
def test_the_rows_of_stacked_runs_are_those_of_the_runs_one_by_one(config, kind):
    config = replace(config, layers="2")
    alone, together = one_by_one(protocol_of(config)), stacked(protocol_of(config), kind)
    assert list(together) == list(alone)
    for name, row in alone.items():
        measured = {"accuracy": pytest.approx(row["accuracy"], abs=1.0)}
        measured["loss"] = pytest.approx(row["loss"], rel=1e-3)
        assert together[name] == row | measured, name
    assert len({row["loss"] for row in alone.values()}) == len(alone)
