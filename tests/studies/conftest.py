"""A study small enough to see through: two bases whose weight is a number, and runs on top."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Folder, Outcome, Tools, Watcher

LIKE = {"params": {"conv1": {"kernel": jax.ShapeDtypeStruct((3,), jnp.float32)}}}


@dataclass
class Toy:
    """The toy study in a folder, with a record of all that happens."""

    root: Path
    performed: list[str] = field(default_factory=list)
    events: list[tuple] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    before: Callable[[Run, Tools], None] = lambda run, tools: None

    @staticmethod
    def runs(slope: float = 2.0) -> list[Run]:
        """baseA and baseB; A1B from the weights of A, AB from both; alone from nothing."""
        return [
            Run("baseA", {"value": 1.0, "slope": slope}),
            Run("baseB", {"value": 10.0}),
            Run("A1B", {"value": 100.0}, needs=("baseA",)),
            Run("AB", {"value": 1000.0}, needs=("baseA", "baseB")),
            Run("alone", {"value": 5.0}),
        ]

    def perform(self, run: Run, tools: Tools) -> Outcome:
        self.performed.append(run.name)
        self.before(run, tools)
        value = run.config["value"] * run.config.get("slope", 1.0)
        for need in run.needs:
            value += float(tools.weights(need, LIKE)["params"]["conv1"]["kernel"].sum())
        tools.on_steps(1)
        weights = {"params": {"conv1": {"kernel": jnp.full((3,), value)}}}
        return Outcome({"accuracy": value, "loss": value / 3}, weights)

    def folder(self, runs: list[Run] | None = None) -> Folder:
        watcher = Watcher(
            lambda run, position: self.events.append(("begin", run.name, position)),
            lambda step: self.events.append(("steps", step)),
            lambda run, row, finished: self.events.append(("end", run.name, finished)),
            self.reports.append,
        )
        return Folder(Plan(self.runs() if runs is None else runs), self.root, self.perform, watcher)

    def again(self, runs: list[Run] | None = None) -> list[dict]:
        """Executes the plan as a new process would; returns its rows without their seconds."""
        self.performed.clear()
        self.events.clear()
        self.reports.clear()
        return timeless(self.folder(runs).execute())


def timeless(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="session")
def toy_type() -> type[Toy]:
    return Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path / "study")
