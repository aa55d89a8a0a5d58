"""Damaged files, other processes, signals and clocks, for scripts/fault_campaign.py."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnjax.training.manifest import write_manifest
from faults.bench import Bench, Tally
from faults.subjects import Ended

Harm = Callable[[Path, random.Random], None]


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def cut(path: Path, rng: random.Random) -> None:
    """Cuts off a part of a file, the largest one of a folder."""
    file = max(_files(path), key=lambda p: p.stat().st_size)
    os.truncate(file, rng.randrange(file.stat().st_size))


def flip(path: Path, rng: random.Random) -> None:
    """Turns over a bit of a file, any one of a folder."""
    file = rng.choice([p for p in _files(path) if p.stat().st_size])
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def empty(path: Path, rng: random.Random) -> None:
    """Empties a file, any one of a folder."""
    rng.choice(_files(path)).write_bytes(b"")


def lose(path: Path, rng: random.Random) -> None:
    """Removes a file, any one of a folder."""
    rng.choice(_files(path)).unlink()


def _emptied(path: Path, rng: random.Random) -> None:
    shutil.rmtree(path)
    path.mkdir()


def _without_manifest(path: Path, rng: random.Random) -> None:
    (path / "manifest.json").unlink()


def _no_object(path: Path, rng: random.Random) -> None:
    (path / "manifest.json").write_text(rng.choice(["[]", "3", "null", '"x"', "{", "[" * 9999]))


def _of_another_version(path: Path, rng: random.Random) -> None:
    """Whole by its manifest, but with a description that this version of Orbax does not know."""
    (path / "_METADATA").write_text(json.dumps({"tree_metadata": {"version": 99}, "format": 3}))
    write_manifest(path)


CHECKPOINT_HARMS: dict[str, Harm] = {
    "is truncated": cut,
    "has another bit": flip,
    "has an empty file": empty,
    "lacks a file": lose,
    "is an empty folder": _emptied,
    "has no manifest": _without_manifest,
    "has a manifest that is none": _no_object,
    "is of another version of the format": _of_another_version,
}
RESULT_HARMS: dict[str, Harm] = {
    "is truncated": cut,
    "has another bit": flip,
    "is empty": empty,
}


def damaged_checkpoints(bench: Bench, tries: int) -> None:
    """A killed command whose checkpoint is damaged, and one with another network's."""

    def other(path: Path, rng: random.Random) -> None:
        shutil.rmtree(path)
        shutil.copytree(bench.other_checkpoint(), path)

    harms = {**CHECKPOINT_HARMS, "is another network's": other}
    for name, subject in bench.subjects.items():
        for words, harm in harms.items():
            tally = bench.tally(f"the checkpoint {words}", name)
            for _ in range(tries):
                out = bench.half(name)
                harm(subject.checkpoints(out)[0], bench.rng)
                bench.judge(tally, out, subject.run(out, bench.cache))
            bench.report(tally)


def damaged_results(bench: Bench, tries: int) -> None:
    """Finished commands of whose files one is damaged; weights only where a run needs them."""
    for words, harm in RESULT_HARMS.items():
        tally = bench.tally(f"result.json {words}", "training")
        _harmed(bench, tally, [("result.json", harm)], tries)
        tally = bench.tally(f"result.json of a run {words}", "study")
        _harmed(bench, tally, [("runs/split0-A1B/result.json", harm)], tries)
    tally = bench.tally("weights that a run needs are damaged", "study")
    lost = ("runs/split0-A1B/result.json", lose)
    _harmed(bench, tally, [lost, ("runs/split0-baseA/weights", flip)], tries)
    tally = bench.tally("metrics.jsonl of an unfinished run is damaged", "study")
    _harmed(bench, tally, [lost, ("runs/split0-A1B/metrics.jsonl", flip)], tries)
    for table in ("results.csv", "report.json"):
        tally = bench.tally(f"{table} is damaged", "study")
        _harmed(bench, tally, [(table, cut)], tries)


def _harmed(bench: Bench, tally: Tally, harms: list[tuple[str, Harm]], tries: int) -> None:
    for _ in range(tries):
        out = bench.finished(tally.subject)
        for place, harm in harms:
            harm(out / place, bench.rng)
        bench.judge(tally, out, bench.subjects[tally.subject].run(out, bench.cache))
    bench.report(tally)


def two_at_once(bench: Bench, tries: int) -> None:
    """Two of the same command start together in one folder; one of them does it."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("two processes on one --out at once", name)
        for _ in range(tries):
            out = bench.new()
            both = [subject.start(out, bench.cache) for _ in range(2)]
            first, second = sorted((x.ended() for x in both), key=lambda found: found.status)
            if first.status == 0:  # the other one says so, or came when all was done
                first = Ended(0, first.out + second.out, first.err + second.err)
            bench.judge(tally, out, first)
        bench.report(tally)


def clocks(bench: Bench, tries: int) -> None:
    """The clock runs backwards, and what a killed process has left is from tomorrow."""
    for name, subject in bench.subjects.items():
        tally = bench.tally("the clock runs backwards, files are from the future", name)
        for _ in range(tries):
            out = bench.new()
            process = subject.start(out, bench.cache, clock=0.5)
            while not subject.checkpoints(out) and process.running():
                time.sleep(0.01)
            process.send(signal.SIGKILL)
            first = process.ended()
            for path in out.rglob("*"):
                tomorrow = time.time() + 86400 * bench.rng.uniform(1, 400)
                os.utime(path, (tomorrow, tomorrow))
            last = subject.run(out, bench.cache, clock=3600)
            bench.judge(tally, out, Ended(0, first.out + last.out, first.err + last.err))
        bench.report(tally)


def signals(bench: Bench, tries: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM, at moments of the whole run."""
    for number, words in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        for name, subject in bench.subjects.items():
            tally = bench.tally(f"{words} once there is a folder", name)
            for moment in _moments(2 * tries):
                out = bench.new()
                process = subject.start(out, bench.cache)
                while not (out / "study.json").exists() and process.running():
                    time.sleep(0.005)
                if process.wait(moment):
                    process.send(number)
                harmed = process.ended()
                bench.judge(tally, out, harmed, subject.run(out, bench.cache))
            bench.report(tally)


def _moments(tries: int) -> Iterator[float]:
    yield from (4.0 * (2 * k + 1) / (2 * tries) for k in range(tries))
