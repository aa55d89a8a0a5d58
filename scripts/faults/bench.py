"""Where scripts/fault_campaign.py tries faults one by one, and how it counts what comes of them."""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cnnjax.errors import CnnjaxError
from faults.subjects import Ended, Subject, differing, training


@dataclass
class Tally:
    """What came of one fault.

    Attributes:
      fault: in words.
      subject: what it was done to.
      tried: how often.
      clear: of these, how often at most one line was said, and no traceback.
      went_on: how often the same command went on to its end, the fault once over.
      same: how often what it left then was the same, bit by bit, as undisturbed.
      said: the lines, with how often.
    """

    fault: str
    subject: str
    tried: int = 0
    clear: int = 0
    went_on: int = 0
    same: int = 0
    said: dict[str, int] = field(default_factory=dict)


@dataclass
class Bench:
    """A place to try faults in.

    Attributes:
      work: a folder.
      cache: of compiled programs and pictures, filled already.
      subjects: by name.
      whole: by name, what each leaves undisturbed.
      rng: for moments and places.
      say: told about each fault.
    """

    work: Path
    cache: Path
    subjects: dict[str, Subject]
    whole: dict[str, dict[str, object]]
    rng: random.Random
    say: Callable[[str], None]
    tallies: list[Tally] = field(default_factory=list)
    _made: Iterator[int] = field(default_factory=itertools.count)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def tally(self, fault: str, subject: str) -> Tally:
        """A new one."""
        self.tallies.append(Tally(fault, subject))
        return self.tallies[-1]

    def new(self, name: str = "out") -> Path:
        """A path in `work` that is free."""
        return self.work / f"{name}{next(self._made)}"

    def finished(self, name: str) -> Path:
        """A copy of a finished folder of this subject."""
        source = self.work / f"{name}-finished"
        return Path(shutil.copytree(source, self.new()))

    def half(self, name: str) -> Path:
        """A copy of a folder in which this subject was killed, with a checkpoint in it."""
        source = self.work / f"{name}-half"
        subject = self.subjects[name]
        with self._making:
            while not source.exists():
                process = subject.start(source, self.cache)
                while not subject.checkpoints(source) and process.running():
                    time.sleep(0.01)
                time.sleep(0.1)
                process.send(signal.SIGKILL)
                process.ended()
                if not subject.checkpoints(source):
                    shutil.rmtree(source)
        return Path(shutil.copytree(source, self.new()))

    def other_checkpoint(self) -> Path:
        """A checkpoint of another network."""
        folder = self.work / "other"
        with self._making:
            if not folder.exists():
                pictures = self.work / "pictures"
                found = training(pictures, network="mlp").run(folder, self.cache)
                if found.status:
                    raise CnnjaxError(f"a command fails undisturbed: {' '.join(found.said)}")
        return folder / "checkpoint"

    def judge(self, tally: Tally, out: Path, harmed: Ended, last: Ended | None = None) -> None:
        """Counts one try.

        Args:
          tally: what to count in.
          out: the folder.
          harmed: the process that met the fault.
          last: the same command afterwards; None where the fault has not stopped the first.
        """
        said = harmed.said + (last.said if last is not None else [])
        tally.tried += 1
        tally.clear += len(said) <= 1 and "Traceback" not in harmed.err
        tally.went_on += (last or harmed).status == 0
        names = differing(self.subjects[tally.subject], out, self.whole[tally.subject])
        tally.same += not names
        for line in map(self.plain, said[:6]):
            tally.said[line] = tally.said.get(line, 0) + 1
        if names or len(said) > 1:
            self.say(f"  {tally.fault}: {names[:2]} {said[:3]} (kept: {out})")
        else:
            shutil.rmtree(out, ignore_errors=True)

    def plain(self, line: str) -> str:
        """A line without what is by chance in it: the place of the folder, random names."""
        line = line.replace(f"{self.work}/", "")
        line = re.sub(r"\b[0-9a-f]{32}\b|-[0-9a-f]{64}", "…", line)
        return re.sub(r"\bout\d+\b", "OUT", line)[:300]

    def report(self, tally: Tally) -> None:
        """Says what came of it."""
        line = next(iter(tally.said), "nothing said")
        self.say(
            f"{tally.fault} ({tally.subject}): {tally.same} of {tally.tried} the same, "
            f"{tally.clear} clear; {line}"
        )


@contextmanager
def small_disk(path: Path, kibibytes: int) -> Iterator[Callable[[], None]]:
    """A disk of so many KiB at `path`; gives what makes it large.

    Raises:
      CnnjaxError: this process may not mount.
    """
    path.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", path)
    try:
        yield lambda: _mount("-o", "remount,size=256m", path)
    finally:
        subprocess.run(["umount", path], check=False, capture_output=True)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A folder that not even its owner, nor root, can write in.

    Raises:
      CnnjaxError: this process may not mount.
    """
    path.mkdir(parents=True, exist_ok=True)
    _mount("--bind", path, path)
    try:
        _mount("-o", "remount,bind,ro", path)
        yield
    finally:
        subprocess.run(["umount", path], check=False, capture_output=True)


def may_mount(work: Path) -> bool:
    """Whether this process may."""
    try:
        with small_disk(work / "disk", 64):
            return os.path.ismount(work / "disk")
    except (CnnjaxError, OSError):
        return False


def _mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise CnnjaxError(f"cannot mount: {done.stderr.strip()}; run this as root")
