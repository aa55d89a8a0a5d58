"""Runs: executed one by one, never twice, and resumed where they were interrupted.

A run is a configuration in and one row of results out. On disk it is a directory with
`result.json`, written whole or not at all, its `weights` where other runs need them, and, while it
is at work, the metrics and checkpoints of its training.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text
from cnnjax.studies.plans import Plan, Run, digest
from cnnjax.training import checkpoints
from cnnjax.training.fit import CHECKPOINT

Row = dict[str, str | int | float | None]

RESULT, IDENTITY, LOCK = "result.json", "identity", ".lock"
_WEIGHTS = "weights"


class Outcome(NamedTuple):
    """What a run gives.

    Attributes:
      row: of results.
      weights: for the runs that need them; None where it has none to give.
      curve: what was measured along the way, a row for each moment.
    """

    row: Row
    weights: object = None
    curve: Sequence[Row] = ()


def _nothing_needed(name: str) -> Row:
    raise KeyError(name)


class Tools(NamedTuple):
    """What a run is given to work with.

    Attributes:
      directory: for its metrics and checkpoints.
      weights: (name of a needed run, tree like its weights) -> the weights.
      on_steps: to be called with the number of steps taken so far.
      report: to be called with a sentence about anything unusual.
      rows: name of a needed run -> its row.
    """

    directory: Path
    weights: Callable[[str, object], object]
    on_steps: Callable[[int], None]
    report: Callable[[str], None]
    rows: Callable[[str], Row] = _nothing_needed


Perform = Callable[[Run, Tools], Outcome]


@dataclass
class Watcher:
    """Told what happens while a plan is executed; the default ignores it."""

    begin: Callable[[Run, int], None] = lambda run, position: None
    steps: Callable[[int], None] = lambda step: None
    end: Callable[[Run, Row, bool], None] = lambda run, row, was_finished: None
    report: Callable[[str], None] = lambda message: None


@dataclass
class Folder:
    """The runs of a plan on disk."""

    plan: Plan
    root: Path
    perform: Perform
    watcher: Watcher = field(default_factory=Watcher)

    def finished(self, name: str) -> Row | None:
        """The row of that run if it is finished, whole and of this configuration."""
        stored = self._stored(name)
        mine = stored and stored["identity"] == self.plan.identities[name]
        return stored["row"] if mine else None

    def rows(self) -> list[Row]:
        """The rows of all finished runs, in the order of the plan."""
        return [row for name in self.plan.runs if (row := self.finished(name)) is not None]

    def curves(self) -> list[Row]:
        """What all finished runs measured along the way, each row with the name of its run."""
        return [
            {"run": name, **row}
            for name in self.plan.runs
            if self.finished(name) is not None
            for row in self._stored(name).get("curve", ())
        ]

    def execute(self) -> list[Row]:
        """Executes what is not finished yet, and returns all rows in the order of the plan.

        Raises:
          CnnjaxError: the folder cannot be written, another process is at one of the runs, or a
            training diverged.
        """
        return [
            self._execute(run, position) for position, run in enumerate(self.plan.runs.values())
        ]

    def check_ready(self, name: str) -> None:
        """Makes sure that a run can be executed by itself.

        Raises:
          CnnjaxError: there is no such run, or a run it needs is not finished.
        """
        run = self.plan.find(name)
        if missing := [need for need in run.needs if self.finished(need) is None]:
            raise CnnjaxError(
                f"run {name} starts from {' and '.join(missing)}, not finished in "
                f"{self.root}; do first: {' and '.join(f'--only {need}' for need in missing)}"
            )

    def execute_one(self, name: str) -> Row:
        """Executes one run, whose needs must be finished.

        Raises:
          CnnjaxError: as `execute` and `check_ready`.
        """
        self.check_ready(name)
        return self._execute(self.plan.find(name), list(self.plan.runs).index(name))

    def _execute(self, run: Run, position: int) -> Row:
        row = self.finished(run.name)
        if was_finished := row is not None:
            self.watcher.begin(run, position)
        else:
            row = self._perform(run, position)
        self.watcher.end(run, row, was_finished)
        return row

    def _perform(self, run: Run, position: int) -> Row:
        """Performs a run that was not finished a moment ago."""
        directory = self._directory(run.name)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with FileLock(directory / LOCK, blocking=False):
                if (row := self.finished(run.name)) is not None:
                    return row  # another process finished it in the meantime
                return self._train(run, position, directory)
        except Timeout:
            raise CnnjaxError(
                f"another process is at work on run {run.name} in {self.root}; wait until it is "
                "done, or choose another --out"
            ) from None
        except OSError as error:
            raise CnnjaxError(
                f"cannot write {directory}: {error.strerror or error}; free space or choose "
                "another --out"
            ) from None

    def _train(self, run: Run, position: int, directory: Path) -> Row:
        self.watcher.begin(run, position)
        self._clear(run.name, directory)
        began = time.monotonic()

        def weights(name: str, like: object) -> object:
            try:
                return checkpoints.restore(self._directory(name) / _WEIGHTS, like)
            except CnnjaxError as error:
                self._redo(name, error)
                self.watcher.begin(run, position)
            return checkpoints.restore(self._directory(name) / _WEIGHTS, like)

        rows = {need: self.finished(need) for need in run.needs}.__getitem__
        try:
            outcome = self.perform(
                run,
                Tools(directory, weights, self.watcher.steps, self.watcher.report, rows),
            )
        except CnnjaxError as error:
            raise CnnjaxError(f"run {run.name}: {error}") from None
        identity = self.plan.identities[run.name]
        row = {
            "run": run.name,
            **outcome.row,
            "seconds": round(time.monotonic() - began, 3),
            "config_hash": identity[:16],
        }
        if run.name in self.plan.needed and outcome.weights is not None:
            checkpoints.save(directory / _WEIGHTS, outcome.weights)
        result = {"row": row, "identity": identity, "config": run.config}
        if outcome.curve:
            result["curve"] = list(outcome.curve)
        result["digest"] = _digest(result)
        write_text(directory / RESULT, json.dumps(result, indent=1, default=str))
        shutil.rmtree(directory / CHECKPOINT, ignore_errors=True)  # the result stands for it
        return row

    def _stored(self, name: str) -> dict | None:
        return read_result(self._directory(name))

    def _redo(self, name: str, error: CnnjaxError) -> None:
        """Does a finished run again because its weights cannot be read."""
        self.watcher.report(f"{error} (run {name} is done again)")
        (self._directory(name) / RESULT).unlink(missing_ok=True)
        self._perform(self.plan.runs[name], list(self.plan.runs).index(name))

    def _clear(self, name: str, directory: Path) -> None:
        """Removes what a killed process has left half-written, and everything if it belongs to a
        run of the same name but another configuration."""
        if self._stored(name) == {}:
            self.watcher.report(f"{directory / RESULT} is damaged; run {name} is done again")
        mark = directory / IDENTITY
        identity = self.plan.identities[name]
        same = mark.exists() and mark.read_bytes() == identity.encode()
        checkpoints.settle(directory / CHECKPOINT)
        for entry in directory.iterdir():
            if entry.name != LOCK and (not same or entry.name.startswith(".")):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if not same:
            write_text(mark, identity)

    def _directory(self, name: str) -> Path:
        return self.root / "runs" / name


def read_result(directory: Path) -> dict | None:
    """What the run in that directory has left as its result: None if nothing, {} if it is damaged;
    otherwise its "row", its "identity" and, where it measured along the way, its "curve"."""
    try:
        stored = json.loads((directory / RESULT).read_text())
        return stored if stored["digest"] == _digest(stored) else {}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _digest(result: dict) -> str:
    """Of everything else that a result holds."""
    return digest({name: value for name, value in result.items() if name != "digest"})
