"""The folder of a study: whose it is, and how files get into it."""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnnjax.errors import CnnjaxError

MARK = "study.json"
"""The file in a study's folder that says whose it is."""


def claim_folder(root: Path, study: str, config: Mapping[str, object]) -> None:
    """Makes `root` the folder of this study with this configuration, unless it already is.

    Of many processes that do so at the same time, on one machine or several, one makes the mark and
    the others find it.

    Raises:
      CnnjaxError: it holds another study or configuration, something else, or cannot be written.
    """
    mark = root / MARK
    mine = {"study": study, "config": json.loads(json.dumps(config, default=str))}
    try:
        entries = list(root.iterdir()) if root.exists() else []
        # Looked for after the others were listed: the mark is there before anything else.
        if any(not entry.name.startswith(".") for entry in entries) and not mark.exists():
            raise CnnjaxError(f"{root} is not empty and holds no study; choose another --out")
        if not mark.exists():
            root.mkdir(parents=True, exist_ok=True)
            _write_first(mark, json.dumps(mine, indent=1) + "\n")
        if differing := differences(read_mark(root), mine):
            raise CnnjaxError(
                f"{root} holds another configuration: {differing}; choose another --out, or "
                "delete that folder"
            )
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {root}: {error.strerror or error}; choose another --out"
        ) from None


@contextmanager
def sole_process(root: Path) -> Iterator[None]:
    """Keeps every other process out of a folder. The system lets go of it when this one dies.

    Raises:
      CnnjaxError: another process is at work there, or it cannot be written.
    """
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise CnnjaxError(
            f"another process is at work in {root}; wait until it is done, or choose another --out"
        ) from None
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {root}: {error.strerror or error}; choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_mark(root: Path) -> dict:
    """Whose folder `root` is: {"study": name, "config": {name: value}}.

    Raises:
      CnnjaxError: the mark is damaged.
      OSError: there is none, or it cannot be read.
    """
    try:
        found = json.loads((root / MARK).read_text())
        if isinstance(found["study"], str) and isinstance(found["config"], dict):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise CnnjaxError(f"{root / MARK} is damaged; delete that folder, or choose another --out")


def differences(theirs: Mapping, mine: Mapping) -> str:
    """In which values the marks of two folders differ, in words; nothing where they are equal."""
    if theirs["study"] != mine["study"]:
        return " ".join(f"study {theirs['study']} there, {mine['study']} here".split())
    a, b = theirs["config"], mine["config"]
    names = [name for name in sorted(a.keys() | b) if a.get(name) != b.get(name)]
    said = ", ".join(f"{n} is {a.get(n)} there and {b.get(n)} here" for n in names)
    return " ".join(said.split())  # in one line, whatever a damaged file holds


def _write_first(path: Path, text: str) -> None:
    """Writes a file whole unless another process has done so before.

    Raises:
      CnnjaxError: it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    write_text(temporary, text)
    try:
        os.link(temporary, path)  # unlike renaming, fails where there is one
    except FileExistsError:
        pass
    except OSError:  # a file system without second names
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
      CnnjaxError: it cannot be written.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Has `write` make the file under another name in the same folder, then renames it.

    Raises:
      CnnjaxError: it cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another --out"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
