"""The plan of the transferability study run after run, or with runs of a kind in one program.

Nothing is written: this is for `scripts/benchmark_stacked_study.py`, which compares the two.
"""

from collections.abc import Callable, Hashable

import jax
from transferability_protocol import CACHE_LIMIT, Protocol

from cnnjax.models import Network
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Row, Tools
from cnnjax.training import Variables, classification
from cnnjax.transfer import join, train_stacked_behind_prefix
from cnnjax.transfer.treatments import frozen_stages

Kind = Callable[[Protocol, Run], Hashable]
"""Runs of one kind are trained in one program."""


def same_but_for_the_split(protocol: Protocol, run: Run) -> Hashable:
    """The kind of runs that differ in the split and its seeds alone."""
    config = run.config
    return (
        *(config[name] for name in ("treatment", "n", "source", "target", "steps")),
        protocol.half(run).network,
    )


def same_program(protocol: Protocol, run: Run) -> Hashable:
    """The kind of runs that differ in numbers alone, whatever their arm: all that fine-tune; of
    those behind n frozen layers, what is copied from A, from B and from nowhere."""
    network, frozen = protocol.half(run).network, _frozen(run)
    return bool(run.needs) or frozen > 0, frozen, run.config["steps"], network


def kinds(protocol: Protocol, kind: Kind) -> list[list[Run]]:
    """The runs of the plan by kind, each kind after those it needs."""
    found: dict[Hashable, list[Run]] = {}
    for run in protocol.plan.runs.values():
        found.setdefault(kind(protocol, run), []).append(run)
    return list(found.values())


def one_by_one(protocol: Protocol) -> dict[str, Row]:
    """{run: its row}: the study's own way, the weights of bases kept in memory."""
    weights: dict[str, Variables] = {}
    rows = {}
    for run in protocol.plan.runs.values():
        tools = Tools(
            directory=None,
            weights=lambda name, like: weights[name],
            on_steps=lambda step: None,
            report=lambda message: None,
        )
        outcome = protocol.perform(run, tools)
        if run.name in protocol.plan.needed:
            weights[run.name] = outcome.weights
        rows[run.name] = outcome.row
    return rows


def stacked(protocol: Protocol, kind: Kind) -> dict[str, Row]:
    """{run: its row}: the runs of each kind in one program, the data on the device once."""
    places = {half: number for number, half in enumerate(protocol.halves)}
    train, test = (
        join([getattr(half, part) for half in protocol.halves.values()])
        for part in ("train", "test")
    )
    fresh: dict[tuple, Variables] = {}  # many runs share theirs
    weights: dict[str, Variables] = {}
    rows = {}
    for runs in kinds(protocol, kind):
        starts = []
        for run in runs:
            own = protocol.half(run).network, run.config["init_seed"]
            if own not in fresh:
                fresh[own] = protocol.fresh(run)
            trained = weights[run.needs[0]] if run.needs else None
            starts.append(protocol.start(run, fresh[own], trained).variables)
        first = runs[0]
        network: Network = protocol.half(first).network
        found = train_stacked_behind_prefix(
            network,
            starts,
            _frozen(first),
            train,
            test,
            [places[run.config["split"], run.config["target"]] for run in runs],
            task=classification,
            optimizer=protocol.optimizer(first),
            steps=protocol.steps(first),
            batch_size=protocol.recipe.batch_size,
            seeds=[run.config["order_seed"] for run in runs],
            cache_limit=CACHE_LIMIT,
        )
        for number, run in enumerate(runs):
            rows[run.name] = protocol.row(run, found.test[number])
            if run.name in protocol.plan.needed:
                weights[run.name] = jax.tree.map(lambda a, i=number: a[i], found.variables)
    return {name: rows[name] for name in protocol.plan.runs}


def _frozen(run: Run) -> int:
    return frozen_stages(run.config["treatment"], run.config["n"])
