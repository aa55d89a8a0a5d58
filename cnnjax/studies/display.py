"""What a person sees while a study is at work and when it is done."""

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.results import Cell
from cnnjax.studies.runs import Row, Watcher
from cnnjax.studies.statistics import Claim


def percent(row: Row) -> str:
    """The accuracy of a run, for the line that says that it is finished."""
    return f"{row['accuracy']:.1f} %"


class StudyProgress:
    """A display of the run in hand, its speed and the time the whole study still takes.

    On a terminal it is a bar that is redrawn; elsewhere each finished run is a line. The time is
    reckoned from the multiply-adds done so far in this process; what a run takes before its first
    step (programs are compiled then, once for many runs) is left out of the reckoning.
    """

    def __init__(
        self,
        plan: Plan,
        console: Console,
        examples_per_step: int | Mapping[str, int],
        total_steps: Mapping[str, int],
        only: str | None = None,
        brief: Callable[[Row], str] = percent,
    ) -> None:
        """
        Args:
          plan: what will be executed.
          console: where to write.
          examples_per_step: the batch size, or that of each run.
          total_steps: the number of steps of each run.
          only: the one run of the plan that will be executed, if it is not all of them.
          brief: what the line of a finished run says, from its row.
        """
        self._plan, self._console = plan, console
        if isinstance(examples_per_step, int):
            examples_per_step = dict.fromkeys(plan.runs, examples_per_step)
        self._examples, self._steps, self._brief = examples_per_step, total_steps, brief
        chosen = plan.runs.values() if only is None else [plan.find(only)]
        self._total = sum(run.cost for run in chosen)
        self._done = self._current = 0.0  # multiply-adds: of finished runs, of the run in hand
        self._unpaid = 0.0  # the part of them that took none of the time that is reckoned with
        self._began, self._left_out = time.monotonic(), 0.0
        self._run: Run | None = None
        self._run_began = 0.0
        self._first: tuple[float, int] | None = None  # when the first call ended, at which step
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            expand=True,
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
        self._run, self._current, self._first = run, 0.0, None
        self._run_began = time.monotonic()
        label = f"[{position + 1}/{len(self._plan)}] {run.name}"
        self._update(description=label, note=f"compiling, {self._remaining()}")

    def _on_steps(self, step: int) -> None:
        now, run, steps = time.monotonic(), self._run, self._steps[self._run.name]
        self._current = run.cost * step / steps
        note = f"step {step}/{steps}"
        if self._first is None:  # the first call compiles: its time says nothing of the speed
            self._first = now, step
            self._left_out += now - self._run_began
            self._unpaid += self._current
            note += f", compiled in {now - self._run_began:.0f} s"
        elif now > self._first[0]:
            rate = (step - self._first[1]) * self._examples[run.name] / (now - self._first[0])
            note += f", {rate:,.0f} images/s"
        self._update(note=f"{note}, {self._remaining()}")

    def _end(self, run: Run, row: Row, was_finished: bool) -> None:
        self._done += run.cost
        self._current = 0.0
        if was_finished:
            self._unpaid += run.cost
        if not self._console.is_terminal:
            position = list(self._plan.runs).index(run.name) + 1
            how = (
                "already finished"
                if was_finished
                else f"{row['seconds']:.1f} s, {self._remaining()}"
            )
            self._console.print(
                f"[{position}/{len(self._plan)}] {run.name}: {self._brief(row)}, {how}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _report(self, message: str) -> None:
        self._console.print(f"note: {message}", highlight=False, markup=False, soft_wrap=True)

    def _update(self, **fields: str) -> None:
        self._bar.update(self._task, completed=self._done + self._current, **fields)

    def _remaining(self) -> str:
        done = self._done + self._current
        elapsed = time.monotonic() - self._began - self._left_out
        if done <= self._unpaid or elapsed <= 0:
            return "time left unknown"
        seconds = round(elapsed * (self._total - done) / (done - self._unpaid))
        return f"{seconds // 60}:{seconds % 60:02d} left"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table for the terminal; numbers are to be formatted by the caller."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        result.add_row(*("" if cell is None else str(cell) for cell in row))
    return result


def claims_table(claims: Sequence[Claim], decided_by: str) -> Table:
    """The paper's claims, each with its verdict and the numbers that decide it.

    Args:
      claims: judged.
      decided_by: what the numbers are, e.g. "points, 95 % interval over the seeds".
    """
    result = Table(title="The paper's claims", title_justify="left", title_style="bold")
    result.add_column("claim")
    result.add_column("verdict", no_wrap=True)
    result.add_column(f"decided by ({decided_by})")
    for claim in claims:
        result.add_row(claim.statement, claim.verdict, claim.numbers)
    return result
