"""A manifest with the SHA-256 of every file of a directory: is it whole, and what was written?"""

import hashlib
import json
import os
from pathlib import Path

from cnnjax.errors import CnnjaxError

_MANIFEST = "manifest.json"


def write_manifest(directory: Path) -> None:
    """Writes the manifest of what lies in `directory`, into it."""
    (directory / _MANIFEST).write_text(json.dumps(_hashes(directory), indent=1))


def check_whole(path: Path) -> None:
    """Raises CnnjaxError: there is no checkpoint `path`, or a file of it is missing or changed."""
    if not path.is_dir():
        raise CnnjaxError(f"there is no checkpoint {path}; give the place of one that was saved")
    try:
        expected = json.loads((path / _MANIFEST).read_text())
        actual = _hashes(path)
        if not isinstance(expected, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError):
        raise CnnjaxError(
            f"the checkpoint {path} is incomplete: its manifest cannot be read; delete it and "
            "run again"
        ) from None
    if wrong := sorted(k for k in expected.keys() | actual if expected.get(k) != actual.get(k)):
        raise CnnjaxError(
            f"the checkpoint {path} is damaged: {wrong[0]} is missing or not what was written; "
            "delete it and run again"
        )


def flush(directory: Path) -> None:
    """Has the system write to disk what it still keeps in memory: it may lose power at any time."""
    for root, _, files in os.walk(directory):
        for name in (*files, "."):
            handle = os.open(Path(root, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _hashes(directory: Path) -> dict[str, str]:
    hashes = {}
    for root, _, files in os.walk(directory):
        for name in files:
            file = Path(root, name)
            if file != directory / _MANIFEST:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                hashes[file.relative_to(directory).as_posix()] = digest
    return hashes
