"""What a person sees while a study is at work and when it is done."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from cnnjax.studies.results import Cell
from cnnjax.studies.runs import Plan, Row, Run, Watcher
from cnnjax.studies.statistics import Claim


class StudyProgress:
    """A display of the run in hand, its speed and the time the whole study still takes.

    On a terminal it is a bar that is redrawn; elsewhere each finished run is a line. The time is
    reckoned from the multiply-adds done so far in this process.
    """

    def __init__(
        self, plan: Plan, console: Console, examples_per_step: int, total_steps: dict[str, int]
    ) -> None:
        """
        Args:
          plan: what will be executed.
          console: where to write.
          examples_per_step: the batch size.
          total_steps: the number of steps of each run.
        """
        self._plan, self._console = plan, console
        self._examples, self._steps = examples_per_step, total_steps
        self._began = time.monotonic()
        self._done = self._skipped = self._current = 0.0
        self._total = sum(run.cost for run in plan.runs.values())
        self._run: Run | None = None
        self._run_began = self._first_step_at = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=self._total, note="")

    def __enter__(self) -> Watcher:
        if self._console.is_terminal:
            self._bar.start()
        return Watcher(self._begin, self._on_steps, self._end, self._report)

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def _begin(self, run: Run, position: int) -> None:
        self._run, self._current = run, 0.0
        self._run_began = time.monotonic()
        self._first_step_at = 0.0
        label = f"[{position + 1}/{len(self._plan)}] {run.name}"
        self._bar.update(self._task, description=label, note="compiling or preparing")

    def _on_steps(self, step: int) -> None:
        now, run = time.monotonic(), self._run
        if not self._first_step_at:  # the first call compiles: its time says nothing of the speed
            self._first_step_at, self._first_step = now, step
        fraction = step / self._steps[run.name]
        self._current = run.cost * fraction
        note = f"step {step}/{self._steps[run.name]}"
        if now > self._first_step_at:
            rate = (step - self._first_step) * self._examples / (now - self._first_step_at)
            note += f", {rate:,.0f} images/s"
        self._bar.update(
            self._task,
            completed=self._done + self._skipped + self._current,
            note=f"{note}, {self._remaining()}",
        )

    def _end(self, run: Run, row: Row, was_finished: bool) -> None:
        if was_finished:
            self._skipped += run.cost
        else:
            self._done += run.cost
        self._current = 0.0
        position = list(self._plan.runs).index(run.name) + 1
        if not self._console.is_terminal:
            how = "already finished" if was_finished else f"{row['seconds']:.1f} s"
            self._console.print(
                f"[{position}/{len(self._plan)}] {run.name}: {row['accuracy']:.1f} %, {how}, "
                f"{self._remaining()}",
                highlight=False,
                markup=False,
            )

    def _report(self, message: str) -> None:
        self._console.print(f"note: {message}", highlight=False, markup=False)

    def _remaining(self) -> str:
        done = self._done + self._current
        if done <= 0:
            return "time left unknown"
        left = self._total - self._skipped - done
        seconds = round((time.monotonic() - self._began) * left / done)
        return f"{seconds // 60}:{seconds % 60:02d} left"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table for the terminal; numbers are to be formatted by the caller."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i == 0 else "right", no_wrap=i > 0)
    for row in rows:
        result.add_row(*("" if cell is None else str(cell) for cell in row))
    return result


def claims_table(claims: Sequence[Claim]) -> Table:
    """The paper's claims, each with its verdict and the numbers that decide it."""
    result = Table(title="The paper's claims", title_justify="left", title_style="bold")
    result.add_column("claim")
    result.add_column("verdict", no_wrap=True)
    result.add_column("decided by (points, 95 % interval over the splits)")
    for claim in claims:
        result.add_row(claim.statement, claim.verdict, claim.numbers)
    return result
