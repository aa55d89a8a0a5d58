"""The processes of scripts/fault_campaign.py: a script with something wrong around it.

They are forked from one that has imported everything, as a start takes seconds without that.

| key | what |
|---|---|
| `folder` | whose changes are counted: files opened for writing, renamed, removed, folders made |
| `kill` | SIGKILL to this very process before the change of that number, from 1 |
| `count` | a file for the number of changes, when the script ends |
| `clock` | seconds by which `time.time` and `time.time_ns` go back at every look at them |
| `often` | a study, too, writes a checkpoint with every line of metrics |
"""

import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Counter:
    """Counts the changes to a folder, as Python's audit events tell of them beforehand."""

    def __init__(self, folder: Path, kill: int | None) -> None:
        self.folder, self.kill = f"{folder.absolute()}", kill
        self.changes = 0

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & WRITING
        else:
            path, changes = arguments[0] if arguments else None, event in CHANGES
        if not changes or not isinstance(path, str | Path):
            return
        # Within a folder that is removed as a whole, names come without it.
        if not os.path.isabs(path) or str(path).startswith(self.folder):
            self.changes += 1
            if self.changes == self.kill:
                os.kill(os.getpid(), signal.SIGKILL)


def set_back(seconds: float) -> None:
    """Has the wall clock run backwards; the one that measures how long something takes goes on."""
    began, looks = time.time(), 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return began - seconds * looks

    time.time = look
    time.time_ns = lambda: int(look() * 1e9)


def often() -> None:
    """Makes a checkpoint due with every line of metrics."""
    from cnnjax.training import fit

    fit.__kwdefaults__["checkpoint_seconds"] = 0.0


def begin(faults: dict) -> Callable[[], None]:
    """Sets up the faults; gives what is to be done at the end."""
    counter = Counter(Path(faults.get("folder", ".")), faults.get("kill"))
    if "folder" in faults:
        sys.addaudithook(counter)
    if "clock" in faults:
        set_back(faults["clock"])
    if faults.get("often"):
        often()
    count = faults.get("count")
    return lambda: count and Path(count).write_text(str(counter.changes))


def run(command: Sequence[str], faults: dict, environment: dict[str, str], said: Path) -> None:
    """Becomes the process of a command: what is said goes to `said` with .out and .err added."""
    for number, suffix in ((1, ".out"), (2, ".err")):
        handle = os.open(f"{said}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    os.environ.update(environment)
    sys.argv = list(command)
    sys.path[0] = str(Path(command[0]).absolute().parent)
    end = begin(faults)
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        end()
