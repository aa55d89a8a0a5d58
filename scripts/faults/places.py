"""Disks that are full or cannot be written, for scripts/fault_campaign.py."""

import os
import shutil
from pathlib import Path

from faults.bench import Bench, read_only, small_disk

SIZES = (64, 1700, 1200, 2100, 8)
"""KiB of the disk on which --out is: it is full at other moments."""
CACHES = (256, 16, 1024)
"""KiB of the disk on which the cache is."""


def full_disks(bench: Bench, tries: int) -> None:
    """--out on a disk that fills up; then there is room again."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("the disk of --out is full", name)
        for size in SIZES[: 2 * tries]:
            disk = bench.new("disk")
            with small_disk(disk, size) as make_room:
                harmed = subject.run(disk / "out", bench.cache)
                make_room()
                last = subject.run(disk / "out", bench.cache)
                bench.judge(tally, disk / "out", harmed, last)
        bench.report(tally)


def disks_that_fill_up(bench: Bench, tries: int) -> None:
    """Something else fills the disk in the middle of it; then that is removed."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("another program fills the disk meanwhile", name)
        for _ in range(tries):
            disk = bench.new("disk")
            with small_disk(disk, 16 * 1024):
                process = subject.start(disk / "out", bench.cache)
                wanted = bench.rng.randint(1, 8)
                while process.running() and len(_lines(disk)) < wanted:
                    pass
                _fill(disk / "another")
                harmed = process.ended()
                (disk / "another").unlink()
                last = subject.run(disk / "out", bench.cache)
                bench.judge(tally, disk / "out", harmed, last)
        bench.report(tally)


def read_only_folders(bench: Bench, tries: int) -> None:
    """--out where nothing can be written: new, half done, and finished."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("--out is in a read-only folder", name)
        parent = bench.new()
        with read_only(parent):
            harmed = subject.run(parent / "out", bench.cache)
        bench.judge(tally, parent / "out", harmed, subject.run(parent / "out", bench.cache))
        bench.report(tally)
        tally = bench.tally("--out has become read-only, half done", name)
        out = bench.half(name)
        with read_only(out):
            harmed = subject.run(out, bench.cache)
        bench.judge(tally, out, harmed, subject.run(out, bench.cache))
        bench.report(tally)


def caches_without_room(bench: Bench, tries: int) -> None:
    """The cache, of compiled programs and decoded pictures, is full, or cannot be written."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("the disk of the cache is full", name)
        for size in CACHES[:tries]:
            disk, out = bench.new("disk"), bench.new()
            with small_disk(disk, size) as make_room:
                first = subject.run(out, disk)
                bench.judge(tally, out, first)
                make_room()
                again = bench.new()  # whatever the full disk has left must not harm the next
                bench.judge(tally, again, subject.run(again, disk))
        bench.report(tally)
        tally = bench.tally("the cache is read-only", name)
        cache, out = bench.new("cache"), bench.new()
        with read_only(cache):
            bench.judge(tally, out, subject.run(out, cache))
        bench.report(tally)


def damaged_caches(bench: Bench, tries: int) -> None:
    """Files of the cache with another bit, cut in half, or empty."""
    for name, subject in bench.subjects.items():
        for kind in ("another bit", "half", "nothing"):
            tally = bench.tally(f"every file of the cache holds {kind}", name)
            cache, out = bench.new("cache"), bench.new()
            shutil.copytree(bench.cache, cache)
            for path in sorted(p for p in cache.rglob("*") if p.is_file()):
                content = bytearray(path.read_bytes())
                if content and kind == "another bit":
                    content[bench.rng.randrange(len(content))] ^= 1 << bench.rng.randrange(8)
                path.write_bytes(
                    {"another bit": content, "half": content[: len(content) // 2]}.get(kind, b"")
                )
            bench.judge(tally, out, subject.run(out, cache))
            bench.report(tally)


def _lines(disk: Path) -> list[str]:
    folders = [root for root, _, files in os.walk(disk) if "metrics.jsonl" in files]
    return [line for root in folders for line in _text(Path(root, "metrics.jsonl")).splitlines()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
