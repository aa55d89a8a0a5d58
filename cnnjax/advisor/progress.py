"""What a person sees while the advisor measures: what it is at, and what is left of the budget."""

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from cnnjax.advisor.options import Option
from cnnjax.advisor.protocol import FEATURES, group_of
from cnnjax.studies.budget import Budget, Progress, show_duration
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Folder, Watcher


class AdvisorProgress:
    """A bar of the time spent on a terminal; elsewhere a line for each option that is done."""

    def __init__(
        self, folder: Folder, budget: Budget, options: Mapping[str, Option], console: Console
    ) -> None:
        """
        Args:
          folder: of the runs; is told of what happens in a training.
          budget: of time.
          options: by name.
          console: where to write.
        """
        self._folder, self._budget, self._options, self._console = folder, budget, options, console
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            console=console,
            expand=True,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=budget.seconds, note="")
        self._last: dict[str, str] = {}  # the last run of each group
        for run in folder.plan.runs.values():
            self._last[group_of(run)] = run.name

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._bar.start()
        self._folder.watcher = Watcher(
            steps=lambda step: self._show(f"step {step}"), report=self._report
        )
        return Progress(self._begin, self._end, self._leave_out)

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def _begin(self, run: Run) -> None:
        split = run.config.get("split")
        where = "" if split is None else f", split {split + 1}"
        self._bar.update(self._task, description=f"{self._label(group_of(run))}{where}")
        self._show("")

    def _end(self, run: Run) -> None:
        self._show("")
        name = group_of(run)
        if run.name != self._last[name] or self._console.is_terminal:
            return
        rows = [row for row in self._folder.rows() if row["option"] == name]
        found = [row["accuracy"] for row in rows if row.get("accuracy") is not None]
        mean = f"{sum(found) / len(found):.1f} %, " if found else ""
        seconds = sum(row["seconds"] for row in rows)
        self._print(f"{self._label(name)}: {mean}{show_duration(seconds)}, {self._left()}")

    def _leave_out(self, name: str, seconds: float) -> None:
        about = f": it takes about {show_duration(seconds)}" if seconds else ""
        self._print(f"{self._label(name)}: left out{about}, {self._left()}")

    def _label(self, name: str) -> str:
        return "features of all stages" if name == FEATURES else self._options[name].label

    def _left(self) -> str:
        return f"{show_duration(max(0.0, self._budget.left))} left"

    def _show(self, note: str) -> None:
        shown = f"{note}, {self._left()}" if note else self._left()
        self._bar.update(self._task, completed=self._budget.spent, note=shown)

    def _report(self, message: str) -> None:
        self._print(f"note: {message}")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def reporter(console: Console) -> Callable[[str], None]:
    """Prints sentences about anything unusual."""
    return lambda message: console.print(f"note: {message}", highlight=False, markup=False)
