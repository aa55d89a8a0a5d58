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
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

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
    began = time.monotonic()
    _wait(_start(config, WHOLE))
    seconds = time.monotonic() - began
    print(f"undisturbed: {config.steps} steps, {seconds:.1f} s with the start", flush=True)
    kills = kill_and_resume(lambda: _start(config, KILLED), config, seconds)
    whole, killed = (left_by(config.out / name) for name in (WHOLE, KILLED))
    differing = differences(whole, killed)
    for name in differing[:20]:
        print(f"differs: {name}")
    if differing:
        print(f"{len(differing)} of {len(whole)} differ after {kills} kills")
        sys.exit(1)
    print(f"the same, bit by bit, after {kills} kills: {len(whole)} arrays and numbers")


def kill_and_resume(start: Callable[[], subprocess.Popen], config: Config, seconds: float) -> int:
    """Starts the training, kills it at a random moment, and so on; then lets it end.

    Args:
      start: it.
      config: how often, and the seed of the moments.
      seconds: what it takes undisturbed: the moments are drawn from them.

    Returns:
      How often it was killed: fewer than asked for where it ended before.

    Raises:
      CnnjaxError: it fails.
    """
    moments, folder = random.Random(config.seed), config.out / KILLED
    for kill in range(config.kills):
        process, moment = start(), moments.uniform(0, seconds)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            steps = [line["step"] for line in read_lines(folder)]
            where = f"after step {steps[-1]}" if steps else "before its first step"
            print(f"kill {kill + 1}: {moment:.1f} s after the start, {where}", flush=True)
        else:
            _wait(process)
            return kill
    _wait(start())
    return config.kills


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
    return subprocess.Popen(
        [*_command(config, name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    if process.returncode:
        said = errors.strip().splitlines()[-1:] or [f"status {process.returncode}"]
        raise CnnjaxError(f"scripts/train.py failed: {said[0].removeprefix('error: ')}")


if __name__ == "__main__":
    main(Config, run, __doc__)
