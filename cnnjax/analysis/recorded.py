"""The metrics that a run has left behind."""

import json
import math
from pathlib import Path

from cnnjax.errors import CnnjaxError
from cnnjax.training.lines import METRICS_FILE, Line


def read_run(path: Path) -> tuple[list[Line], int]:
    """The lines of a run in the order of their steps, and how many more are damaged.

    Of two lines with one step the later one holds: a run that went on from a checkpoint writes
    some lines again. A line needs a step and a loss; the loss may be NaN, as other programs write
    it when a training diverges.

    Args:
      path: the folder of a run, or its file of metrics.

    Raises:
      CnnjaxError: there is no such file, or no line in it.
    """
    file = path / METRICS_FILE if path.is_dir() else path
    try:
        texts = [text for text in file.read_text(errors="replace").splitlines() if text.strip()]
    except OSError as error:
        raise CnnjaxError(
            f"{file} cannot be read ({error.strerror or error}); expected the {METRICS_FILE} of a "
            "run; give the folder that was the run's `directory`, or that file"
        ) from None
    found = [line for text in texts if (line := _parse(text)) is not None]
    if not found:
        raise CnnjaxError(
            f"{file} has no line of metrics ({len(texts)} damaged); expected lines such as "
            '{"step": 50, "loss": 2.3}; give the file of a run that has taken some steps'
        )
    by_step = {line["step"]: line for line in found}
    return [by_step[step] for step in sorted(by_step)], len(texts) - len(found)


def _parse(text: str) -> Line | None:
    try:
        line = json.loads(text)
        for value in line.values():
            if isinstance(value, int):
                float(value)  # OverflowError for one of hundreds of digits
        whole = math.isfinite(line["step"]) and line["step"] >= 0
        return line if whole and isinstance(line["loss"], int | float) else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
