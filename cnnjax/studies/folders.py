"""The folder of a study: whose it is, and how files get into it."""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnnjax.errors import CnnjaxError


def claim_folder(root: Path, study: str, config: Mapping[str, object]) -> None:
    """Makes `root` the folder of this study with this configuration, unless it already is.

    Raises:
      CnnjaxError: it holds another study or configuration, something else, or cannot be written.
    """
    mark = root / "study.json"
    mine = {"study": study, "config": json.loads(json.dumps(config, default=str))}
    try:
        # Listed before the mark is looked for: another process may be making the folder now, and
        # its mark is there before anything else.
        foreign = root.exists() and any(not entry.name.startswith(".") for entry in root.iterdir())
        if mark.exists():
            try:
                theirs = json.loads(mark.read_text())
                differing = _differing(theirs, mine)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise CnnjaxError(
                    f"{mark} is damaged; delete that folder, or choose another --out"
                ) from None
            if differing:
                raise CnnjaxError(
                    f"{root} holds another configuration: {differing}; choose another --out, or "
                    "delete that folder"
                )
            return
        if foreign:
            raise CnnjaxError(f"{root} is not empty and holds no study; choose another --out")
        root.mkdir(parents=True, exist_ok=True)
        write_text(mark, json.dumps(mine, indent=1) + "\n")
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


def _differing(theirs: Mapping, mine: Mapping) -> str:
    if theirs["study"] != mine["study"]:
        return f"study {theirs['study']} there, {mine['study']} here"
    a, b = theirs["config"], mine["config"]
    names = [name for name in sorted(a.keys() | b) if a.get(name) != b.get(name)]
    return ", ".join(f"{n} is {a.get(n)} there and {b.get(n)} here" for n in names)
