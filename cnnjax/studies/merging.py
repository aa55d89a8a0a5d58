"""Runs of one study that were done in several folders, e.g. on machines without a common disk."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import MARK, claim_folder, differences, read_mark, write_text
from cnnjax.studies.runs import IDENTITY, LOCK, RESULT, read_result


class Merged(NamedTuple):
    """What became of the runs.

    Attributes:
      copied: names of those that came from elsewhere.
      present: names of those that were in the target before.
      unfinished: directories of those that are half done or damaged and were left where they are,
        of runs that are finished nowhere.
    """

    copied: list[str]
    present: list[str]
    unfinished: list[Path]


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Copies the finished runs of all sources into one folder of the same study.

    Nothing is copied unless everything fits together. A run that was finished in several folders
    with the same numbers is copied once.

    Args:
      sources: folders as a study leaves them.
      target: the same, or a new one.

    Raises:
      CnnjaxError: a folder holds no study or another one, a run was done in two folders with
        different numbers or configurations, another process is at work on one, or the target
        cannot be written.
    """
    folders = [target, *sources] if (target / MARK).exists() else list(sources)
    mark = _common_mark(folders)
    found: dict[str, tuple[Path, dict]] = {}
    unfinished: dict[str, Path] = {}
    for folder in folders:
        for directory in _runs(folder):
            name = directory.name
            if not (result := read_result(directory)):
                unfinished[name] = directory
            elif name not in found:
                found[name] = folder, result
            elif conflict := _conflict(*found[name], folder, result):
                raise CnnjaxError(
                    f"run {name} was done twice: {conflict}; delete one of the two directories"
                )
    claim_folder(target, mark["study"], mark["config"])
    for name, (folder, _) in found.items():
        if folder != target:
            _copy(folder / "runs" / name, target / "runs" / name)
    return Merged(
        [name for name, (folder, _) in found.items() if folder != target],
        [name for name, (folder, _) in found.items() if folder == target],
        [directory for name, directory in unfinished.items() if name not in found],
    )


def _common_mark(folders: Sequence[Path]) -> dict:
    marks = []
    for folder in folders:
        try:
            marks.append(read_mark(folder))
        except OSError as error:
            raise CnnjaxError(
                f"{folder} holds no study: {error.strerror} of {MARK}; give folders as --out of an "
                "experiment leaves them"
            ) from None
        if differing := differences(marks[0], marks[-1]):
            differing = differing.replace(" there", f" in {folders[0]}")
            differing = differing.replace(" here", f" in {folder}")
            raise CnnjaxError(f"these are not runs of one study: {differing}; merge equal ones")
    return marks[0]


def _runs(folder: Path) -> Iterator[Path]:
    place = folder / "runs"
    if place.is_dir():
        yield from (path for path in sorted(place.iterdir()) if path.is_dir())


def _conflict(one: Path, first: Mapping, other: Path, second: Mapping) -> str:
    """How two results of the same run contradict each other, if they do."""
    if first["identity"] != second["identity"]:
        return f"with one configuration in {one} and another in {other}"
    a, b = ({k: v for k, v in x["row"].items() if k != "seconds"} for x in (first, second))
    for column in sorted(a.keys() | b):
        if a.get(column) != b.get(column):
            return f"{column} is {a.get(column)} in {one} and {b.get(column)} in {other}"
    if first.get("curve") != second.get("curve"):
        return f"its curve in {one} is another than in {other}"
    return ""


def _copy(source: Path, target: Path) -> None:
    """Copies a finished run; that it is finished is the last thing that the copy says."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / LOCK, blocking=False):
            (target / IDENTITY).unlink(missing_ok=True)  # without it, the rest counts for nothing
            for entry in target.iterdir():
                if entry.name != LOCK:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            for entry in source.iterdir():
                if entry.is_dir():
                    shutil.copytree(entry, target / entry.name)
                elif entry.name not in (LOCK, IDENTITY, RESULT):
                    shutil.copy2(entry, target / entry.name)
            for name in (IDENTITY, RESULT):
                write_text(target / name, (source / name).read_text())
    except Timeout:
        raise CnnjaxError(
            f"another process is at work on {target}; wait until it is done, or choose another "
            "--out"
        ) from None
    except OSError as error:
        raise CnnjaxError(
            f"cannot copy {source} to {target}: {error.strerror or error}; free space or choose "
            "another --out"
        ) from None
