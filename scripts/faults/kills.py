"""Kills at any moment and at the worst ones, for scripts/fault_campaign.py."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cnnjax.errors import CnnjaxError
from cnnjax.training import checkpoints
from cnnjax.training.fit import CHECKPOINT
from faults.subjects import Ended, Subject, differing, leftovers

IN_A_ROW = 6
"""Kills before a command is let go to its end and what it leaves is compared."""
AIMS = ("any moment", "while something is written", "between two changes of the folder")
PHASES = {
    "nothing": "before the folder is claimed",
    "early": "before the first checkpoint",
    "checkpoint": "while a checkpoint is written",
    "swap": "between the two renames of a checkpoint",
    "weights": "while weights are written",
    "file": "while a result, table or figure is written",
    "between": "between two checkpoints",
    "late": "after the last result",
}


@dataclass
class Kills:
    """What became of the kills of one subject.

    Attributes:
      subject: its name.
      kills: by aim.
      phases: by where the folder shows that the process was.
      before_the_kill: processes that had ended before their kill came.
      starts: of the command, the last ones included.
      chains: commands that were killed again and again and then let go to their end.
      cold: of these, those whose compiled programs were killed as well: the cache began empty.
      lock_files: starts in a folder in which a dead process had left its lock.
      compared: arrays and numbers, in each comparison.
      differing: of these, those with another bit, in all comparisons.
      failed: starts that ended with an error.
      fell_back: kills after which the folder had an older checkpoint than after the one before.
      notes: lines about anything unusual, as said.
      left: temporary names that were still there at the end.
    """

    subject: str
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AIMS, 0))
    phases: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES.values(), 0))
    before_the_kill: int = 0
    starts: int = 0
    chains: int = 0
    cold: int = 0
    lock_files: int = 0
    compared: int = 0
    differing: int = 0
    failed: int = 0
    fell_back: int = 0
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """All kills."""
        return sum(self.kills.values())


def undisturbed(subject: Subject, work: Path, cache: Path) -> tuple[dict[str, object], float, int]:
    """Runs it twice, so that the second compiles nothing.

    Returns:
      What it leaves, its seconds, and the changes to its folder.

    Raises:
      CnnjaxError: it fails, or the two leave something else.
    """
    count = work / f"{subject.name}-count"
    for number in (1, 2):
        out = work / f"{subject.name}-undisturbed-{number}"
        began = time.monotonic()
        found = subject.run(out, cache, folder=out, count=count)
        seconds = time.monotonic() - began
        if found.status:
            raise CnnjaxError(f"the {subject.name} fails undisturbed: {' '.join(found.said)}")
        if number == 1:
            whole = subject.left(out)
        elif names := differing(subject, out, whole):
            raise CnnjaxError(f"undisturbed, the {subject.name} is not repeatable: {names[0]}")
    return whole, seconds, int(count.read_text())


def kill_again_and_again(
    subject: Subject,
    work: Path,
    cache: Path,
    kills: int,
    rng: random.Random,
    say: Callable[[str], None],
) -> Kills:
    """Kills the command `kills` times, a few times in a row in each folder; then compares.

    Every third folder comes with an empty cache, so that what is compiled is killed too.
    """
    whole, seconds, changes = undisturbed(subject, work, cache)
    found = Kills(subject.name, compared=len(whole))
    say(f"{subject.name}: undisturbed {seconds:.1f} s, {changes} changes, {len(whole)} numbers")
    aims = _shuffled(rng)
    while found.done < kills:
        out = work / f"{subject.name}-{found.chains}"
        cold = found.chains % 3 == 2
        programs = work / f"cache-{subject.name}-{found.chains}" if cold else cache
        saved = 0
        for _ in range(min(IN_A_ROW, kills - found.done)):
            before, aim = set(leftovers(out)), next(aims)
            found.starts += 1
            found.lock_files += any(out.rglob(".lock"))
            process = _killed(subject, out, programs, aim, rng, seconds, changes)
            _note(found, process)
            if process.status != -9:
                found.before_the_kill += process.status == 0
                break
            at = phase(subject, out, before)
            found.kills[aim] += 1
            found.phases[at] += 1
            has = progress(subject, out)
            found.fell_back += has < saved
            saved = has
        last = subject.run(out, programs)
        found.starts += 1
        found.chains += 1
        found.cold += cold
        _note(found, last)
        names = differing(subject, out, whole)
        found.differing += len(names)
        found.left += leftovers(out)
        say(
            f"{subject.name}: {found.done} kills, {found.chains} ends, "
            f"{found.differing} differ{' ' + names[0] if names else ''}"
        )
        if not names:
            shutil.rmtree(out)
            if cold:
                shutil.rmtree(programs)
    return found


def _note(found: Kills, process: Ended) -> None:
    found.failed += process.status not in (0, -9)
    found.notes += process.said


def _shuffled(rng: random.Random) -> Iterator[str]:
    """The aims in random order, equally often."""
    while True:
        yield from rng.sample(AIMS, len(AIMS))


def _killed(
    subject: Subject,
    out: Path,
    cache: Path,
    aim: str,
    rng: random.Random,
    seconds: float,
    changes: int,
) -> Ended:
    """Starts the command and kills it; status 0 where it ended before."""
    if aim == AIMS[2]:
        most = 2 * changes // IN_A_ROW
        return subject.run(out, cache, folder=out, kill=rng.randint(1, most))
    process = subject.start(out, cache)
    if aim == AIMS[0]:
        if process.wait(rng.uniform(0, seconds)):
            process.send(signal.SIGKILL)
        return process.ended()
    wanted, seen, delay = rng.randint(1, 12), set(leftovers(out)), rng.uniform(0, 0.01)
    while process.running() and wanted:
        new = set(leftovers(out)) - seen
        wanted -= bool(new)
        seen |= new
        time.sleep(0.0005)
    time.sleep(delay)
    process.send(signal.SIGKILL)
    return process.ended()


def phase(subject: Subject, out: Path, before: set[str]) -> str:
    """Where a killed process was, as its folder shows: one of `PHASES`.

    Args:
      subject: what it was.
      out: its folder.
      before: the temporary names that there were already when it started.
    """
    new = [out / name for name in leftovers(out) if name not in before]
    saving = [path for path in new if path.name.startswith(f".{CHECKPOINT}")]
    if not (out / "study.json").exists():
        return PHASES["nothing"]
    old = [path for path in saving if path.name.startswith(f".{CHECKPOINT}.old.")]
    if any(not (path.parent / CHECKPOINT).exists() for path in old):
        return PHASES["swap"]
    if saving:
        return PHASES["checkpoint"]
    if any(path.name.startswith(".weights.") and path.is_dir() for path in new):
        return PHASES["weights"]
    if new:
        return PHASES["file"]
    if (out / subject.done).exists():
        return PHASES["late"]
    return PHASES["between" if subject.checkpoints(out) else "early"]


def progress(subject: Subject, out: Path) -> int:
    """The steps that are safe in a folder: those of finished runs and of checkpoints."""
    if (out / subject.done).exists():
        return 10**9
    steps = 10**6 * len([*out.glob(f"{subject.resumes}result.json")])
    for parent in out.glob(subject.resumes) if subject.resumes else [out]:
        if parent.is_dir() and not (parent / "result.json").exists():
            places = [parent / CHECKPOINT, *sorted(parent.glob(f".{CHECKPOINT}.*"))]
            steps += next((int(found) for found in map(_step, places) if found is not None), 0)
    return steps


def _step(path: Path) -> int | None:
    try:
        return int(checkpoints.read(path)["step"])
    except CnnjaxError:
        return None
