"""The tables of docs/reliability.md, from the figures that scripts/fault_campaign.py has kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text
from faults.kills import AIMS, PHASES

Found = Mapping[str, object]


def write_page(page: Path, found: Mapping[str, Found]) -> None:
    """Writes each part's tables between its two marks; the text around them stays.

    Raises:
      CnnjaxError: there is no such page, a mark is missing, or it cannot be written.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise CnnjaxError(
            f"cannot read {page}: {error.strerror or error}; restore it, or choose another --page"
        ) from None
    for part, tables in TABLES.items():
        if part in found:
            text = between(text, part, "\n".join(tables(found[part])), page)
    write_text(page, text)


def between(text: str, part: str, new: str, page: Path) -> str:
    """The text with `new` between the marks of a part.

    >>> print(between("a\\n<!-- kills -->\\nold\\n<!-- end of kills -->\\nb", "kills", "new", None))
    a
    <!-- kills -->
    new
    <!-- end of kills -->
    b
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    head, found, rest = text.partition(begin)
    _, also, tail = rest.partition(end)
    if not found or not also:
        raise CnnjaxError(f"{page} has no {begin} with an {end} behind it; put them back")
    return f"{head}{begin}\n{new}\n{end}{tail}"


def kills(found: Found) -> Iterable[str]:
    """Kills by aim and by where they struck."""
    rows = found["rows"]
    names = [row["subject"] for row in rows]
    yield from _table(
        ["", *names],
        [
            ["kills", *[sum(row["kills"].values()) for row in rows]],
            *[[f"… {aim}", *[row["kills"].get(aim, 0) for row in rows]] for aim in AIMS],
            *[
                [f"struck {phase}", *[row["phases"].get(phase, 0) for row in rows]]
                for phase in PHASES.values()
            ],
            ["ends that were compared", *[row["chains"] for row in rows]],
            ["… whose cache began empty", *[row["cold"] for row in rows]],
            ["arrays and numbers in each", *[row["compared"] for row in rows]],
            ["**with another bit**", *[f"**{row['differing']}**" for row in rows]],
            ["starts in a folder with a dead process' lock", *[r["lock_files"] for r in rows]],
            ["starts that failed", *[row["failed"] for row in rows]],
            ["kills that cost a checkpoint", *[row["fell_back"] for row in rows]],
            ["lines of warning", *[len(row["notes"]) for row in rows]],
            ["temporary files left at the end", *[len(row["left"]) for row in rows]],
        ],
    )
    yield ""
    yield _where(found)


def faults(found: Found) -> Iterable[str]:
    """One row for each fault and subject."""
    rows = found["rows"]
    yield from _table(
        ["fault", "of a", "tried", "at most one line", "went on", "same bits", "what is said"],
        [
            [
                row["fault"],
                row["subject"],
                *[row[name] for name in ("tried", "clear", "went_on", "same")],
                " / ".join(f"`{line}`" for line in list(row["said"])[:2]) or "nothing",
            ]
            for row in rows
        ],
    )
    yield ""
    tried, same = (sum(row[name] for row in rows) for name in ("tried", "same"))
    yield f"{tried} tries of {len(rows)} faults; {same} ended with the same bits."
    if not found["mounts"]:
        yield "Full and read-only disks could not be mounted, and were left out."


def fuzz(found: Found) -> Iterable[str]:
    """One row for each kind of input."""
    rows = found["rows"]
    yield from _table(
        ["input", "tried", "read", "refused in one line", "anything else", "peak memory, MiB"],
        [
            [
                row["kind"],
                *[row[name] for name in ("tried", "read", "refused")],
                len(row["broken"]),
                row["peak_mib"],
            ]
            for row in rows
        ],
    )
    yield ""
    yield f"{sum(row['tried'] for row in rows):,} inputs."


TABLES: dict[str, Callable[[Found], Iterable[str]]] = {
    "kills": kills,
    "faults": faults,
    "fuzz": fuzz,
}


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    yield f"| {' | '.join(map(str, head))} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"


def _where(found: Found) -> str:
    minutes, machine = round(found["seconds"] / 60), found["machine"]
    return (
        f"{minutes} minutes on {machine['cpu_cores']} cores, {machine['device']}, "
        f"jax {machine['jax']}."
    )
