"""The table of results: one tidy CSV file, a row a run."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text

Cell = str | int | float | None


def in_percent(part: float | None) -> float | None:
    """A part of 1 as the tables have it, in % to 4 decimals; what was not measured stays None.

    >>> in_percent(2 / 3), in_percent(None)
    (66.6667, None)
    """
    return None if part is None else round(100 * float(part), 4)


def write_results(path: Path, rows: Iterable[Mapping[str, Cell]], columns: Sequence[str]) -> None:
    """Writes the rows whole or not at all; an absent value is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="raise")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_results(path: Path) -> list[dict[str, Cell]]:
    """Reads what `write_results` wrote; numbers come back as numbers.

    Raises:
      CnnjaxError: there is no such file, or it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row that is longer or shorter than the first")
    except FileNotFoundError:
        raise CnnjaxError(f"there is no {path}; run the study first") from None
    except (OSError, ValueError, csv.Error):
        raise CnnjaxError(
            f"{path} is damaged; expected a table with as many cells in every row; run the study "
            "once more"
        ) from None
    return [{name: _value(text) for name, text in row.items()} for row in rows]


def _value(text: str) -> Cell:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
