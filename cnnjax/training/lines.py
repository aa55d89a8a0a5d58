"""The metrics of a training, one line of JSON after the other in a file that survives a kill."""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

Line = dict[str, float]
"""One line of metrics: the step and the means since the line before."""

METRICS_FILE = "metrics.jsonl"


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
    """Adds a line to `directory`'s metrics."""
    with (directory / METRICS_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def write_lines(directory: Path, lines: Iterable[Line]) -> None:
    """Puts `lines` in place of `directory`'s metrics, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{METRICS_FILE}"
    temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(temporary, directory / METRICS_FILE)


def _read_line(text: str) -> Line | None:
    try:
        line = json.loads(text)
        return line if math.isfinite(line["step"]) else None
    except (ValueError, TypeError, KeyError):
        return None
