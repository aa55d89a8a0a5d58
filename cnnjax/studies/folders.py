"""The folder of a study: whose it is, and how files get into it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cnnjax.errors import CnnjaxError


def claim_folder(root: Path, study: str, config: Mapping[str, object]) -> None:
    """Makes `root` the folder of this study with this configuration, unless it already is.

    Raises:
      CnnjaxError: it holds another study or configuration, something else, or cannot be written.
    """
    mark = root / "study.json"
    mine = {"study": study, "config": json.loads(json.dumps(config, default=str))}
    try:
        if mark.exists():
            try:
                theirs = json.loads(mark.read_text())
                differing = _differing(theirs, mine)
            except (ValueError, KeyError, AttributeError):
                raise CnnjaxError(
                    f"{mark} is damaged; delete it, or choose another --out"
                ) from None
            if differing:
                raise CnnjaxError(
                    f"{root} holds another configuration: {differing}; choose another --out, or "
                    "delete that folder"
                )
            return
        if root.exists() and any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise CnnjaxError(f"{root} is not empty and holds no study; choose another --out")
        root.mkdir(parents=True, exist_ok=True)
        write_text(mark, json.dumps(mine, indent=1) + "\n")
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {root}: {error.strerror or error}; choose another --out"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all: under another name first, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _differing(theirs: Mapping, mine: Mapping) -> str:
    if theirs["study"] != mine["study"]:
        return f"study {theirs['study']} there, {mine['study']} here"
    a, b = theirs["config"], mine["config"]
    names = [name for name in sorted(a.keys() | b) if a.get(name) != b.get(name)]
    return ", ".join(f"{n} is {a.get(n)} there and {b.get(n)} here" for n in names)
