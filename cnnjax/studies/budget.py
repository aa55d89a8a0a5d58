"""A plan executed within a budget of time, cheapest first: nothing is begun that would not end.

The runs of a plan fall into groups, the arms of a study, of which each is worth something only
when all its runs are done. Before a group is begun, what it will take is estimated: from its runs
that are finished, from the steps that one of them took before, or else roughly, by the caller. A
training whose first steps show that the group will not end within the budget is given up there and
then. Time spent and estimates are kept in the study's folder: a budget is of all the processes that
worked at it, and a larger one goes on from there.
"""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Folder

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_SAVED_EVERY = 5.0  # seconds that a killed process may have worked unpaid
_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0  # after which the pace of a training is known


def read_duration(text: str) -> float:
    """The seconds that "90", "90s", "10m", "1.5h" or "1h30m" mean.

    Raises:
      CnnjaxError: it is none of the kind, or no time at all.

    >>> read_duration("1h30m"), read_duration("45")
    (5400.0, 45.0)
    """
    words = text.strip().lower().replace(" ", "")
    parts = _PART.findall(words)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    bare = sum(not unit for _, unit in parts)
    if "".join(map("".join, parts)) != words or not seconds > 0 or (bare and len(parts) > 1):
        raise CnnjaxError(f"{text!r} is no length of time; write e.g. 90s, 10m or 1h30m")
    return seconds


def show_duration(seconds: float) -> str:
    """A length of time in two figures or so, in the form of `read_duration` where it is whole.

    >>> show_duration(0.034), show_duration(8.25), show_duration(93), show_duration(600)
    ('0.03 s', '8.2 s', '1 min 33 s', '10 min')
    >>> show_duration(5400)
    '1 h 30 min'
    """
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.{1 if seconds < 10 else 0}f} s"
    whole = round(seconds)
    large, small, names = (*divmod(whole, 60), ("min", "s"))
    if whole >= 3600:
        large, small, names = (*divmod(round(whole / 60), 60), ("h", "min"))
    return f"{large} {names[0]}" + (f" {small} {names[1]}" if small else "")


class OverBudgetError(Exception):
    """A run has shown that its group would not end within the budget.

    Not a CnnjaxError: it is no mistake, and must come through `Folder` as it is.
    """

    def __init__(self, estimate: float) -> None:
        """
        Args:
          estimate: seconds that one run of the group takes.
        """
        super().__init__(f"a run of it takes about {show_duration(estimate)}")
        self.estimate = estimate


class Budget:
    """So much time for a study, over all the processes that work at it."""

    def __init__(
        self, seconds: float, record: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
          seconds: in all.
          record: the file in which time spent and estimates are kept.
          clock: gives the seconds since some moment.
        """
        self.seconds, self._record, self._clock = seconds, record, clock
        self.estimates: dict[str, float] = {}
        """{group: seconds of one of its runs at its pace, without what comes before the steps}."""
        self.overhead = 0.0
        """The most seconds that a training took up to its second call: compiling, above all."""
        self.to_follow = 0
        """Runs of the group in hand after the one in hand, if none of the group is done."""
        self._before = 0.0
        self._began = self._saved = clock()
        try:
            stored = json.loads(record.read_text())
            before = float(stored["spent"])
            overhead = float(stored.get("overhead", 0.0))
            estimates = {str(name): float(value) for name, value in stored["estimates"].items()}
            if math.isfinite(before + overhead) and before >= 0:
                self._before, self.overhead, self.estimates = before, overhead, estimates
        except (
            *(OSError, ValueError, KeyError, TypeError, AttributeError),
            *(OverflowError, RecursionError),
        ):
            pass  # it is not there yet, or damaged: what was spent then is not known

    @property
    def spent(self) -> float:
        """Seconds, those of earlier processes included."""
        return self._before + self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds; below 0 when more was spent."""
        return self.seconds - self.spent

    def save(self) -> None:
        """Writes time spent and estimates down.

        Raises:
          CnnjaxError: the record cannot be written.
        """
        self._saved = self._clock()
        content = {"spent": round(self.spent, 3), "overhead": self.overhead}
        content["estimates"] = self.estimates
        write_text(self._record, json.dumps(content, indent=1) + "\n")

    def tick(self) -> None:
        """As `save`, if that is some seconds ago: to be called often."""
        if self._clock() - self._saved >= _SAVED_EVERY:
            self.save()

    def pace(self, name: str, steps: int, extra: float = 0.0) -> Callable[[int], None]:
        """Watches one training from its first steps on.

        The first call of the compiled loop is not timed, it compiles. What the training takes at
        the pace of the next ones goes into `estimates`.

        Args:
          name: of the group.
          steps: of the training in all.
          extra: what each training takes besides, in steps, e.g. to measure on the test set.

        Returns:
          A function to call with the number of steps taken so far.

        Raises:
          OverBudgetError: by the function it returns: this training and those that are `to_follow`
            will not end within the budget.
        """
        first: list[tuple[float, int]] = []
        decided, began = False, self._clock()

        def on_steps(step: int) -> None:
            nonlocal decided
            self.tick()
            now = self._clock()
            if not first:
                first.append((now, step))
                self.overhead = max(self.overhead, now - began)
                return
            seconds, taken = now - first[0][0], step - first[0][1]
            enough = taken >= _TIMED_STEPS or seconds >= _TIMED_SECONDS
            if decided or not enough or taken < 1:
                return
            decided = True
            one = seconds / taken * (steps + extra)
            self.estimates[name] = one
            if seconds / taken * (steps + extra - step) + one * self.to_follow > self.left:
                raise OverBudgetError(one)

        return on_steps


@dataclass
class Progress:
    """Told what happens while a plan is executed; the default ignores it."""

    begin: Callable[[Run], None] = lambda run: None
    end: Callable[[Run], None] = lambda run: None
    leave_out: Callable[[str, float], None] = lambda group, seconds: None


@dataclass
class Within:
    """A plan to be executed within a budget.

    Attributes:
      folder: the runs on disk. Its `perform` may raise OverBudgetError, see `Budget.pace`.
      budget: of time.
      group: the group of a run; the runs of one group follow each other in the plan.
      rough: seconds that a run will take, as far as the finished rows tell; 0 if they do not.
      before: seconds that the first run of a group takes besides, e.g. to be compiled.
      progress: told what happens.
    """

    folder: Folder
    budget: Budget
    group: Callable[[Run], str]
    rough: Callable[[Run], float] = lambda run: 0.0
    before: Callable[[Run], float] = lambda run: 0.0
    progress: Progress = field(default_factory=Progress)

    def execute(self) -> Mapping[str, float]:
        """Does what the budget allows, group by group in the order of the plan.

        Returns:
          {group: estimated seconds of the runs of it that are missing} of the groups left out.

        Raises:
          CnnjaxError: as `Folder.execute_one`.
        """
        left_out: dict[str, float] = {}
        groups: dict[str, list[Run]] = {}
        for run in self.folder.plan.runs.values():
            groups.setdefault(self.group(run), []).append(run)
        for name, runs in groups.items():
            missing = [run for run in runs if self.folder.finished(run.name) is None]
            whole = len(missing) == len(runs)
            for position, run in enumerate(missing):
                follow = len(missing) - position - 1
                need = self._estimate(name, runs, run)
                # A group that has begun is worth going on with as far as it gets.
                needed = need
                if whole and position == 0:
                    needed = self.before(run) + need * (1 + follow)
                unready = any(self.folder.finished(other) is None for other in run.needs)
                if unready or needed > self.budget.left:
                    left_out[name] = need * (1 + follow)
                    break
                self.budget.to_follow = follow if whole and position == 0 else 0
                self.progress.begin(run)
                try:
                    self.folder.execute_one(run.name)
                except OverBudgetError as error:
                    left_out[name] = error.estimate * (1 + follow)
                    self.budget.save()
                    break
                self.budget.save()
                self.progress.end(run)
            if name in left_out:
                self.progress.leave_out(name, left_out[name])
        return left_out

    def _estimate(self, name: str, runs: list[Run], run: Run) -> float:
        rows = [row for other in runs if (row := self.folder.finished(other.name)) is not None]
        if rows:  # the first of them may have compiled: the median forgets it once there are three
            return median(float(row["seconds"]) for row in rows)
        return self.budget.estimates.get(name, 0.0) or self.rough(run)
