"""Mutated files, odd folders and odd flags; a part of scripts/fault_campaign.py.

Each kind of input is read in a process of its own, whose memory is limited, so that one that
crashes or asks for the whole memory is noticed and kept. A reader may give what it has read, or
refuse with the project's own error, in one line. It may not do anything else, nor take longer than
`SECONDS`, nor execute anything in a file: some have code in them that would leave a file.
"""

import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnjax.errors import CnnjaxError
from faults.files import Kind
from faults.folders import KINDS, odd_flags, odd_folder

ROOT = Path(__file__).parents[2]
SECONDS = 20
"""For one input."""
MEMORY = 3 * 2**30
"""Bytes of address space that reading may take, beyond what the libraries have."""
SHOWN = 12
"""Inputs of a kind that are kept where a reader did something else."""
DIGITS = ("--dataset", "digits")
SCRIPTS = {
    "train": (*DIGITS, "--network", "mlp"),
    "transferability": (*DIGITS, "--network", "mlp"),
    "dropout": DIGITS,
    "batch_norm": DIGITS,
    "augmentation": (),
    "optimizers": (),
    "initialization": DIGITS,
    "translation": DIGITS,
    "little_data": (),
}
"""What has flags, and those that it always gets, so that it begins soon."""
OTHERS = {
    "names of folders and files": 0.25,
    **{f"flags of {name}.py": 0.1 for name in SCRIPTS},
}
"""Inputs that are no files, and the share of what is asked for."""


def fuzz(
    folder: Path, inputs: int, seed: int, only: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[dict[str, object]]:
    """Tries the kinds whose names begin as `only` says, or all; a row of figures for each."""
    for number, name in enumerate([*(kind.name for kind in KINDS), *OTHERS]):
        if not name.startswith(only or ("",)):
            continue
        place = folder / str(number)
        place.mkdir(parents=True)
        row = try_apart(name, inputs, seed, place)
        say(f"{row['kind']}: {row['tried']} tried, {row['refused']} refused, {row['broken'][:2]}")
        if not row["broken"]:
            shutil.rmtree(place)
        yield row


def try_apart(name: str, inputs: int, seed: int, place: Path) -> dict[str, object]:
    """Tries one kind in a process of its own, of little memory; the figures."""
    command = [sys.executable, "-P", "-m", "faults.fuzz", name, str(inputs), str(seed), str(place)]
    before = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([str(ROOT / "scripts"), *([before] if before else [])])
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=place, env=os.environ | {"PYTHONPATH": paths}
    )
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = f"the process died with {done.returncode}: {done.stderr[-500:]}"
        row = {"kind": name, "tried": 0, "read": 0, "refused": 0, "broken": [said]}
        return row | {"peak_mib": 0}


def try_files(kind: Kind, inputs: int, seed: int, folder: Path) -> dict[str, object]:
    """Mutates and reads files of one kind; the figures."""
    canary, path = folder / "canary", folder / "input" / kind.file
    (folder / "bases").mkdir(parents=True)
    bases = kind.bases(folder / "bases", canary)

    def attempt(rng: random.Random) -> object:
        mutation = rng.choice(kind.mutations)
        try:
            content = mutation(rng.choice(bases), rng, bases)
        except Exception:  # no archive, no PNG: what its parts are is not known
            content = KINDS[0].mutations[0](rng.choice(bases), rng, bases)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return kind.read(path)

    row = _tried(kind.name, attempt, max(1, int(inputs * kind.share)), seed, folder)
    if canary.exists():
        row["broken"].append("code in a file was executed")
    return row


def try_others(name: str, inputs: int, seed: int, folder: Path) -> dict[str, object]:
    """Odd names, or odd flags of a script."""
    count = max(1, int(inputs * OTHERS[name]))
    if not name.startswith("flags of "):
        return _tried(name, lambda rng: odd_folder(folder / "input", rng), count, seed, folder)
    sys.path.append(str(ROOT / "experiments"))
    chosen = name.removeprefix("flags of ").removesuffix(".py")
    script = importlib.import_module(chosen)
    return _tried(name, lambda rng: odd_flags(script, SCRIPTS[chosen], rng), count, seed, folder)


def _tried(
    name: str, attempt: Callable[[random.Random], object], count: int, seed: int, folder: Path
) -> dict[str, object]:
    found: Counter[str] = Counter()
    broken: list[str] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, _too_long)
    for number in range(count):
        rng = random.Random(f"{seed} {name} {number}")
        signal.alarm(SECONDS)
        try:
            attempt(rng)
            found["read"] += 1
        except CnnjaxError as error:
            found["refused"] += 1
            if "\n" in str(error) or len(str(error)) > 6000:
                broken.append(f"{number}: no line: {str(error)[:300]!r}")
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            broken.append(f"{number}: {type(error).__name__} at {place}: {str(error)[:300]}")
            _keep(folder, number)
        finally:
            signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "kind": name,
        "tried": count,
        "read": found["read"],
        "refused": found["refused"],
        "broken": broken,
        "peak_mib": round((peak - before) / 2**10),
    }


def _keep(folder: Path, number: int) -> None:
    kept = folder / "kept"
    if (folder / "input").exists() and len([*folder.glob("kept/*")]) < SHOWN:
        shutil.copytree(folder / "input", kept / str(number), symlinks=True)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"not done after {SECONDS} s")


def _limit_memory() -> None:
    """To what the libraries have now, and `MEMORY`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


if __name__ == "__main__":
    wanted, inputs, seed, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    os.environ["CNNJAX_CACHE"] = str(place / "cache")
    os.environ["JAX_PLATFORMS"] = "cpu"
    output, sys.stdout = sys.stdout, sys.stderr
    import torch  # noqa: F401  its libraries take address space that is not to be counted

    _limit_memory()
    if chosen := [kind for kind in KINDS if kind.name == wanted]:
        row = try_files(chosen[0], inputs, seed, place)
    else:
        row = try_others(wanted, inputs, seed, place)
    print(json.dumps(row), file=output)
