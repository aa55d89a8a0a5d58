"""Where features are kept: in memory or on disk, never more than a limit.

A block holds the features of some images under one key, as records: the SHA-256 of the image in
`id`, then an array each in fields named "0:float32", "1:float32", ... after place and type.
"""

import hashlib
import io
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from filelock import FileLock

from cnnjax.errors import CnnjaxError


class Block:
    """Records, and at which row the features of each image are."""

    def __init__(self, records: np.ndarray) -> None:
        ids = records["id"].tobytes()
        self.records = records
        self.rows = {ids[32 * i : 32 * i + 32]: i for i in range(len(records))}


class MemoryShelf:
    """Blocks in memory. What was not asked for longest is dropped where there is no room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: dict[str, list[Block]] = {}  # in the order of their last use

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(b.records.nbytes for blocks in self._blocks.values() for b in blocks)

    def blocks(self, key: str) -> list[Block]:
        """What was put under this key and is still there."""
        if key in self._blocks:
            self._blocks[key] = self._blocks.pop(key)
        return list(self._blocks.get(key, ()))

    def put(self, key: str, records: np.ndarray) -> None:
        """Keeps another block, if it is not larger than the limit alone."""
        if records.nbytes > self._limit:
            return
        self._blocks[key] = [*self._blocks.pop(key, []), Block(records)]
        while self.size > self._limit:
            oldest = next(iter(self._blocks))
            del self._blocks[oldest][0]
            if not self._blocks[oldest]:
                del self._blocks[oldest]


class DiskShelf:
    """Blocks as files KEY-DIGEST.npy of a folder, written whole or not at all.

    DIGEST is the start of the file's SHA-256: a damaged file is found out when it is first read,
    deleted, and computed anew. The time of a file is that of its last use. Several processes may
    share a folder; other files in it are left alone.
    """

    def __init__(self, folder: Path, limit: int, report: Callable[[str], None]) -> None:
        if folder.exists() and not folder.is_dir():
            raise CnnjaxError(
                f"features cannot be kept in {folder}, which is a file; expected a folder, or a "
                "name that is free; choose another --cache-dir"
            )
        self._folder, self._limit, self._report = folder, limit, report
        self._open: dict[str, Block] = {}

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for _, size, _ in self._files())

    def blocks(self, key: str) -> list[Block]:
        """What was put under this key and is still there, intact."""
        found = []
        for _, _, path in self._files():
            if path.name.startswith(f"{key}-") and (block := self._read(path)) is not None:
                with suppress(OSError):
                    os.utime(path)
                found.append(block)
        return found

    def put(self, key: str, records: np.ndarray) -> None:
        """Keeps another block, if it is not larger than the limit alone and can be written."""
        header = io.BytesIO()
        np.save(header, records[:0], allow_pickle=False)
        size = records.nbytes + len(header.getvalue()) + 64
        if size > self._limit:
            self._report(
                f"features of {size / 2**20:.1f} MiB are not kept: the limit of {self._folder} is "
                f"{self._limit / 2**20:.1f} MiB"
            )
            return
        temporary = self._folder / f".{uuid.uuid4().hex}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / ".lock"):
                self._make_room(size)
                with temporary.open("wb") as file:
                    np.save(file, records, allow_pickle=False)
                os.replace(temporary, self._folder / f"{key}-{_digest(temporary)}.npy")
        except OSError as error:
            self._report(f"features cannot be kept in {self._folder}: {error.strerror or error}")
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _make_room(self, size: int) -> None:
        for path in self._folder.glob(".*.tmp"):  # of processes that were killed: we have the lock
            if re.fullmatch(r"\.[0-9a-f]{32}\.tmp", path.name):
                path.unlink()
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, bytes_of_file, path in sorted(files):
            if total + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= bytes_of_file

    def _files(self) -> list[tuple[int, int, Path]]:
        """(time of last use, bytes, path) of all blocks."""
        found = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if re.fullmatch(r"[0-9a-f]{64}-[0-9a-f]{32}\.npy", entry.name):
                    with suppress(OSError):  # another process may have deleted it
                        status = entry.stat()
                        found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        self._open = {name: b for name, b in self._open.items() if self._is_there(name, found)}
        return found

    def _is_there(self, name: str, files: list[tuple[int, int, Path]]) -> bool:
        return any(path.name == name for _, _, path in files)

    def _read(self, path: Path) -> Block | None:
        if path.name not in self._open:
            try:
                if _digest(path) != path.stem.partition("-")[2]:
                    raise ValueError
                records = np.load(path, mmap_mode="r", allow_pickle=False)
                self._open[path.name] = Block(records)
            except FileNotFoundError:
                return None
            except (OSError, ValueError, IndexError):
                self._report(f"{path} is damaged; its features are computed anew")
                with suppress(OSError):
                    path.unlink()
                return None
        return self._open[path.name]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
