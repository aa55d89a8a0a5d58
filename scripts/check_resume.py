"""Is a training that is killed again and again the same, bit by bit, as one that is left alone?

    python scripts/check_resume.py --network resnet20 --kills 10
    python scripts/check_resume.py --flags="--optimizer adam --augment flip shift:0.1"

Trains once undisturbed with scripts/train.py, then once more and kills that process (SIGKILL: it
has no chance to tidy up) at random moments, each time starting the same command again, and compares
what both leave: parameters, batch statistics, the state of the optimizer, the step and its random
key, the metrics of every step (the loss of a step is that of its own examples, so their order is
compared with it) and what the test images say. The status is 1 if one bit differs.
"""

import json
import math
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from cnnjax.command import at_least, check_numbers, main, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import claim_folder
from cnnjax.training import checkpoints
from cnnjax.training.lines import read_lines

TRAIN = Path(__file__).parent / "train.py"
WHOLE, KILLED = "undisturbed", "killed"


@dataclass(frozen=True)
class Config:
    network: str = "resnet20"
    """A registered network, see scripts/ledger.py --list."""
    dataset: str = "digits"
    """As of scripts/train.py."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    steps: int = 60
    """Length of both trainings."""
    batch_size: int = 32
    """Images a step."""
    flags: Annotated[str, unset("FLAGS", "none")] = ""
    """Further flags of scripts/train.py, behind an equals sign: --flags="--optimizer adam"."""
    kills: int = 5
    """How often to kill."""
    seed: int = 0
    """Of the training, and of the moments."""
    out: Path = Path("results/check_resume")
    """Where both trainings go; a new folder."""


def run(config: Config) -> None:
    """Trains twice, and compares."""
    check_numbers(config, steps=at_least(1), batch_size=at_least(1), kills=at_least(1))
    if config.out.exists() and any(config.out.iterdir()):
        raise CnnjaxError(f"{config.out} is not empty; choose another --out, or delete that folder")
    claim_folder(config.out, "check_resume", {"network": config.network})
    pace, seconds = undisturbed(_start(config, WHOLE), config.out / WHOLE)
    print(f"undisturbed: {config.steps} steps, {seconds:.1f} s with the start", flush=True)
    killed = kill_and_resume(lambda name: _start(config, name), config, pace)
    steps = sorted(step for landed in killed.values() for step in landed)
    after = f"{len(steps)} kills (at steps {', '.join(map(str, steps))})"
    whole = left_by(config.out / WHOLE)
    differing = [
        f"{name}: {found}"
        for name in killed
        for found in differences(whole, left_by(config.out / name))
    ]
    for found in differing[:20]:
        print(f"differs: {found}")
    if differing:
        print(f"{len(differing)} of {len(killed) * len(whole)} differ after {after}")
        sys.exit(1)
    print(f"the same, bit by bit, after {after}: {len(whole)} arrays and numbers")


class Pace(NamedTuple):
    """How fast the undisturbed training is.

    Attributes:
      start: seconds from the start of the process until its first line of metrics.
      step: seconds from one step to the next.
    """

    start: float
    step: float


def undisturbed(process: subprocess.Popen, folder: Path) -> tuple[Pace, float]:
    """Lets a training end; its pace and its seconds.

    Raises:
      CnnjaxError: it fails.
    """
    began, times = time.monotonic(), {}
    for step in reported(process, folder):
        times.setdefault(step, time.monotonic() - began)
    _check_ended(process, folder)
    times.pop(0, None)
    first, last = min(times), max(times)
    step = (times[last] - times[first]) / max(1, last - first)
    return Pace(times[first], step), time.monotonic() - began


def kill_and_resume(
    start: Callable[[str], subprocess.Popen], config: Config, pace: Pace
) -> dict[str, list[int]]:
    """Starts the training, kills it at a random moment, and so on; then lets it end.

    A moment is a number of steps: at 7.3 the process is killed once step 7 is in the metrics and
    three tenths of a step are over. Where the one before was killed at step 7 as well, three tenths
    of a start are waited for instead, and no longer than until the next step.

    Args:
      start: a name -> the training whose folder has this name.
      config: how often, and the seed of the moments.
      pace: of the undisturbed training.

    Returns:
      For each folder the steps that had been reported when it was killed: of one folder, but for a
      training that ends within the moment in which it is to be killed. The kills that are missing
      then are those of another folder.

    Raises:
      CnnjaxError: it fails.
    """
    moments, killed, missing = random.Random(config.seed), {}, config.kills
    while missing:
        name = f"{KILLED}-{len(killed) + 1}" if killed else KILLED
        landed = killed[name] = []
        for moment in sorted(moments.uniform(0, config.steps) for _ in range(missing)):
            process = start(name)
            if not _kill(process, config.out / name, moment, pace):
                _check_ended(process, config.out / name)
                break
            landed.append(_last_step(config.out / name))
            number = config.kills - missing + len(landed)
            print(f"kill {number} of {config.kills}: after step {landed[-1]}", flush=True)
        else:
            _check_ended(start(name), config.out / name)
        missing -= len(landed)
    return killed


def _kill(process: subprocess.Popen, folder: Path, moment: float, pace: Pace) -> bool:
    """Kills it at this moment; False where it had ended before."""
    began, before, (step, part) = time.monotonic(), _last_step(folder), divmod(moment, 1)
    resumed = before >= step
    due = began + part * pace.start if resumed else math.inf
    for now in reported(process, folder):
        if not resumed and now >= step:
            due = min(due, time.monotonic() + part * pace.step)
        if time.monotonic() >= due or (resumed and now > before):
            process.kill()
            break
    return process.wait() == -signal.SIGKILL


def reported(process: subprocess.Popen, folder: Path) -> Iterator[int]:
    """Until the process ends, every few milliseconds: the last step in the metrics, from 0."""
    while process.poll() is None:
        yield _last_step(folder)
        time.sleep(0.005)


def _last_step(folder: Path) -> int:
    lines = read_lines(folder)
    return int(lines[-1]["step"]) if lines else 0


def left_by(folder: Path) -> dict[str, object]:
    """All that a training leaves, by name: arrays, and the numbers of metrics and results."""
    found: dict[str, object] = dict(checkpoints.read(folder / "checkpoint"))
    for line in read_lines(folder):
        found |= {f"metrics of step {line['step']}: {name}": line[name] for name in line}
    result = json.loads((folder / "result.json").read_text())
    return found | {f"test images: {name}": value for name, value in result["test"].items()}


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The names of what only one has, or of which a bit differs."""

    def same(name: str) -> bool:
        if name not in one or name not in other:
            return False
        a, b = np.asarray(one[name]), np.asarray(other[name])
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()

    return [name for name in sorted(one.keys() | other) if not same(name)]


def _command(config: Config, name: str) -> Iterator[str]:
    yield from (sys.executable, str(TRAIN))
    for flag in ("network", "dataset", "image_size", "steps", "batch_size", "seed"):
        if getattr(config, flag) is not None:
            yield from (f"--{flag.replace('_', '-')}", str(getattr(config, flag)))
    # scripts/train.py writes five lines of metrics between two evaluations: here one a step, and a
    # checkpoint with each.
    yield from ("--evaluations", str(-(-config.steps // 5)), "--checkpoint-seconds", "0")
    yield from ("--keep-checkpoint", "--out", str(config.out / name))
    yield from shlex.split(config.flags)


def _start(config: Config, name: str) -> subprocess.Popen:
    with _errors(config.out / name).open("w") as errors:
        return subprocess.Popen([*_command(config, name)], stdout=subprocess.DEVNULL, stderr=errors)


def _errors(folder: Path) -> Path:
    """Where a training's standard error goes."""
    return folder.with_suffix(".err")


def _check_ended(process: subprocess.Popen, folder: Path) -> None:
    """Waits for its end.

    Raises:
      CnnjaxError: it fails.
    """
    if process.wait():
        said = _errors(folder).read_text().strip().splitlines()[-1:]
        reason = said[0].removeprefix("error: ") if said else f"status {process.returncode}"
        raise CnnjaxError(f"scripts/train.py failed: {reason}")


if __name__ == "__main__":
    main(Config, run, __doc__)
