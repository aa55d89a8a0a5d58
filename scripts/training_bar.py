"""What a person sees while scripts/train.py is at work."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class TrainingBar:
    """How far the training is, how fast, and how long it will take.

    On a terminal it is a bar that is redrawn; elsewhere each tenth of the training is a line.
    """

    def __init__(self, console: Console, steps: int, batch_size: int) -> None:
        self._steps, self._batch_size = steps, batch_size
        self._told = 0  # tenths of the training
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first call ended, at which step
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            expand=True,
            transient=True,
        )
        self._task = self._bar.add_task("compiling", total=steps, note="")

    def __enter__(self) -> "TrainingBar":
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.console.is_terminal:
            self._bar.stop()

    def show(self, step: int, besides: str = "") -> None:
        """Called with the number of steps taken, and what else there is to say."""
        now = time.monotonic()
        note = ""
        if self._first is None:
            self._first = now, step
            note = f"compiled in {now - self._began:.0f} s"
        elif step > self._first[1]:
            seconds = (now - self._first[0]) / (step - self._first[1])
            left = round(seconds * (self._steps - step))
            note = f"{self._batch_size / seconds:,.0f} images/s, {left // 60}:{left % 60:02d} left"
            note += f", {besides}" if besides else ""
        where = f"step {step}/{self._steps}"
        self._bar.update(self._task, completed=step, description=where, note=note)
        tenth = 10 * step // self._steps
        if not self._bar.console.is_terminal and tenth > self._told:
            self._bar.console.print(f"{where} {note}".strip(), highlight=False)
            self._told = tenth
