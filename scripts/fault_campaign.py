"""Nothing lost, nothing silently wrong? Kill it, fill its disk, damage its files, and compare.

    python scripts/fault_campaign.py --kills 120
    python scripts/fault_campaign.py --parts fuzz --inputs 2000

A small training (scripts/train.py) and a small study (experiments/transferability.py) are run
undisturbed; then they meet the faults, one after the other, in real processes and on real disks,
and the same command is run again until it ends. What it leaves, weights, optimizer state, metrics,
tables and verdicts, is compared bit by bit with the undisturbed run.

  kills   at any moment, while something is written, and between two changes of the folder
  faults  full and read-only disks, damaged files, two processes at once, signals, clocks
  fuzz    mutated files and odd flags, see scripts/faults/fuzz.py

Writes docs/reliability.json and the tables of docs/reliability.md, of the parts that it was asked
for; an hour on two cores for all. Full and read-only disks are mounted, which takes root; for
others these are left out, and the page says so.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from faults.bench import Bench, may_mount
from faults.damages import clocks, damaged_checkpoints, damaged_results, signals, two_at_once
from faults.fuzz import fuzz
from faults.kills import kill_again_and_again
from faults.pages import write_page
from faults.places import (
    caches_without_room,
    damaged_caches,
    disks_that_fill_up,
    full_disks,
    read_only_folders,
)
from faults.subjects import Subject, make_pictures, study, training

from cnnjax.command import at_least, check_numbers, main, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import claim_folder, write_text
from cnnjax.studies.machine import machine

ROOT = Path(__file__).parents[1]
PARTS = ("kills", "faults", "fuzz")

Found = dict[str, object]
"""Figures."""


@dataclass(frozen=True)
class Config:
    parts: tuple[Literal["kills", "faults", "fuzz"], ...] = PARTS
    """Which of them."""
    kills: int = 120
    """How often to kill, half of it the study."""
    tries: int = 2
    """Of each fault, at other moments, in other places; of some more."""
    inputs: int = 2000
    """Of each kind of file and flag, for fuzz."""
    kinds: Annotated[tuple[str, ...], unset("NAME ...", "all")] = ()
    """Of faults (their functions) and of fuzz only what begins so; the others' figures stay."""
    seed: int = 0
    """Of moments, places and bits."""
    work: Path = Path("results/fault_campaign")
    """Where everything runs; a new folder. What ended otherwise than it should stays there."""
    record: Path = ROOT / "docs" / "reliability.json"
    """The figures."""
    page: Path = ROOT / "docs" / "reliability.md"
    """The page whose tables are written; the text around them stays."""


def run(config: Config) -> None:
    """Does the parts, one after the other, and writes what came of each."""
    check_numbers(
        config, kills=at_least(2), tries=at_least(1), inputs=at_least(1), seed=at_least(0)
    )
    if config.work.exists() and any(config.work.iterdir()):
        raise CnnjaxError(
            f"{config.work} is not empty; choose another --work, or delete that folder"
        )
    claim_folder(config.work, "fault_campaign", {"seed": config.seed})
    work = config.work.absolute()
    pictures = make_pictures(work / "pictures", config.seed)
    subjects = {"training": training(pictures), "study": study(pictures)}
    parts = {"kills": _kills, "faults": _faults, "fuzz": _fuzz}
    wrong = 0
    for part in config.parts:
        began = time.monotonic()
        for found in parts[part](config, work, subjects):
            found |= {"seconds": round(time.monotonic() - began), "machine": machine()}
            keep(config.record, part, found)
            write_page(config.page, json.loads(config.record.read_text()))
        wrong += found["wrong"]
    print(config.page)
    sys.exit(1 if wrong else 0)


def keep(record: Path, part: str, found: dict[str, object]) -> None:
    """Puts the figures of a part in place of earlier ones.

    Raises:
      CnnjaxError: what is there is damaged, or cannot be written.
    """
    known = known_figures(record) | {part: found}
    write_text(record, json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def known_figures(record: Path) -> dict[str, Found]:
    """The figures that were kept, by part.

    Raises:
      CnnjaxError: they are damaged.
    """
    try:
        known = json.loads(record.read_text()) if record.exists() else {}
        return {name: dict(known[name]) for name in PARTS if name in known}
    except (ValueError, TypeError, KeyError):
        raise CnnjaxError(f"{record} is damaged; delete it and run this again") from None


def _kills(config: Config, work: Path, subjects: dict[str, Subject]) -> Iterator[Found]:
    def one(subject: Subject) -> dict[str, object]:
        rng = random.Random(f"{config.seed} {subject.name}")
        count = config.kills // 2 + (config.kills % 2 if subject.name == "study" else 0)
        return asdict(kill_again_and_again(subject, work, work / "cache", count, rng, _say))

    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(one, subjects.values()))
    wrong = sum(row["differing"] + row["failed"] + row["fell_back"] for row in rows)
    yield {"rows": rows, "wrong": wrong}


def _faults(config: Config, work: Path, subjects: dict[str, Subject]) -> Iterator[Found]:
    cache = work / "cache"
    for subject in subjects.values():
        subject.run(work / f"{subject.name}-finished", cache)
    whole = {s.name: s.left(work / f"{s.name}-finished") for s in subjects.values()}
    bench = Bench(work, cache, subjects, whole, random.Random(config.seed), _say)
    cases = [damaged_checkpoints, damaged_results, two_at_once, clocks, signals, damaged_caches]
    if mounts := may_mount(work):
        cases += [full_disks, disks_that_fill_up, read_only_folders, caches_without_room]
    cases = [case for case in cases if case.__name__.startswith(config.kinds or ("",))]
    known = known_figures(config.record).get("faults", {"rows": []})["rows"]
    rows = {(row["fault"], row["subject"]): row for row in known if config.kinds}
    with ThreadPoolExecutor(5) as pool:
        for done in as_completed([pool.submit(case, bench, config.tries) for case in cases]):
            done.result()
            tried = [asdict(tally) for tally in bench.tallies if tally.tried]
            rows |= {(row["fault"], row["subject"]): row for row in tried}
            found = [rows[key] for key in sorted(rows)]
            wrong = sum(row["tried"] - row["same"] for row in found)
            yield {"rows": found, "mounts": mounts, "wrong": wrong}


def _fuzz(config: Config, work: Path, subjects: dict[str, Subject]) -> Iterator[Found]:
    known = known_figures(config.record).get("fuzz", {"rows": []})["rows"]
    rows = {row["kind"]: row for row in known if config.kinds}
    for row in fuzz(work / "fuzz", config.inputs, config.seed, config.kinds, _say):
        rows[row["kind"]] = row
        yield {"rows": [*rows.values()], "wrong": sum(len(r["broken"]) for r in rows.values())}


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(Config, run, __doc__)
