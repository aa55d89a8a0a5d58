"""The metrics of a training, one line of JSON after the other in a file that survives a kill."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cnnjax.errors import CnnjaxError

Line = dict[str, float]
"""One line of metrics: the step and the means since the line before."""

METRICS_FILE = "metrics.jsonl"


class Sums:
    """Sums over steps in double precision, step by step: however the steps were grouped into
    calls, the result has the same bits."""

    def __init__(self) -> None:
        self.total: dict[str, float | np.ndarray] = {}

    def add(self, log: Mapping[str, np.ndarray]) -> None:
        for name, values in log.items():
            for value in values.astype(np.float64):
                self.total[name] = self.total.get(name, 0.0) + value


def measured(found: Mapping[str, float], line: Line) -> Line:
    """`found` as it joins a line of metrics.

    Raises:
      CnnjaxError: a name that the line has already.
    """
    if twice := sorted(found.keys() & line):
        raise CnnjaxError(
            f"`measure` gives {twice[0]!r}, which the line of metrics has already; give it "
            "another name"
        )
    return {name: float(value) for name, value in found.items()}


def read_lines(directory: Path) -> list[Line]:
    """The whole lines of `directory`'s metrics, in order; [] where there are none.

    A damaged line is left out: metrics tell of a training, they do not steer it.
    """
    try:
        text = (directory / METRICS_FILE).read_text(errors="replace")
    except FileNotFoundError:
        return []
    # A killed process may leave half a line at the end; what counts ends with a line feed.
    return [line for text in text.split("\n")[:-1] if (line := _read_line(text)) is not None]


def append_line(directory: Path, line: Line) -> None:
    """Adds a line to `directory`'s metrics.

    Raises:
      CnnjaxError: it cannot be written.
    """
    with _told(directory), (directory / METRICS_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def write_lines(directory: Path, lines: Iterable[Line]) -> None:
    """Puts `lines` in place of `directory`'s metrics, whole or not at all.

    Raises:
      CnnjaxError: they cannot be written.
    """
    with _told(directory):
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / f".{METRICS_FILE}"
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.replace(temporary, directory / METRICS_FILE)


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {directory / METRICS_FILE}: {error.strerror or error}; free space or "
            "choose a place that can be written"
        ) from None


def _read_line(text: str) -> Line | None:
    try:
        line = json.loads(text)
        return line if math.isfinite(line["step"]) else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
