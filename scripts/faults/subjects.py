"""What scripts/fault_campaign.py harms: a training and a study, small, but whole."""

import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from check_resume import differences, left_by
from PIL import Image

from cnnjax.errors import CnnjaxError
from cnnjax.studies.results import read_results
from cnnjax.training import checkpoints
from cnnjax.training.fit import CHECKPOINT
from cnnjax.training.lines import read_lines
from faults import faulty

ROOT = Path(__file__).parents[2]
CLASSES, TRAINING_IMAGES, TEST_IMAGES = 6, 20, 10
SECONDS = 300
"""After which a process that has not ended counts as hanging."""


class Ended(NamedTuple):
    """What a process has left on the terminal."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """The lines about anything unusual: notes, and what went to standard error."""
        notes = [line for line in self.out.splitlines() if line.startswith("note: ")]
        return notes + [line for line in self.err.splitlines() if line.strip()]


class Subject(NamedTuple):
    """A command, and all that it leaves.

    Attributes:
      name: "training" or "study".
      command: the script and its flags, --out excepted.
      left: folder -> what is in it, by name; times excepted.
      done: the file that says that it is finished.
      resumes: where its trainings are, below its folder: "" or a pattern that ends in "/".
    """

    name: str
    command: tuple[str, ...]
    left: Callable[[Path], dict[str, object]]
    done: str
    resumes: str

    def start(self, out: Path, cache: Path, **faults: object) -> "Running":
        """Starts the command; see scripts/faults/faulty.py for what can be wrong around it."""
        environment = {"CNNJAX_CACHE": str(cache), "COLUMNS": "400"}
        return Running([*self.command, "--out", str(out)], {"often": True, **faults}, environment)

    def run(self, out: Path, cache: Path, **faults: object) -> Ended:
        """Runs the command to its end."""
        return self.start(out, cache, **faults).ended()

    def checkpoints(self, out: Path) -> list[Path]:
        """Those that there are."""
        return sorted(out.glob(f"{self.resumes}{CHECKPOINT}"))


class Running:
    """A process at work, forked from one that has imported what it needs."""

    def __init__(self, command: list[str], faults: dict, environment: dict[str, str]) -> None:
        handle, name = tempfile.mkstemp(prefix="said-")
        os.close(handle)
        self._said = Path(name)
        self._process = _forks().Process(
            target=faulty.run, args=(command, faults, environment, self._said)
        )
        self._process.start()

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def wait(self, seconds: float) -> bool:
        """Waits so long; whether it has not ended."""
        self._process.join(seconds)
        return self.running()

    def send(self, number: int) -> None:
        """Sends a signal."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def ended(self) -> Ended:
        """Waits for its end.

        Raises:
          CnnjaxError: it hangs.
        """
        if self.wait(SECONDS):
            self.send(signal.SIGKILL)
            raise CnnjaxError(f"a process has not ended after {SECONDS} s; look into it")
        out, err = (Path(f"{self._said}{suffix}") for suffix in (".out", ".err"))
        texts = [path.read_text() if path.exists() else "" for path in (out, err)]
        for path in (self._said, out, err):
            path.unlink(missing_ok=True)
        return Ended(self._process.exitcode, *texts)


@cache
def _forks() -> BaseContext:
    """Where processes come from."""
    folders = [str(ROOT), *(str(ROOT / name) for name in ("scripts", "experiments"))]
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "transferability", "faults.faulty", "check_resume"])
    return context


def training(data: Path, *, network: str = "lenet5") -> Subject:
    """16 steps of scripts/train.py on a folder of pictures, a checkpoint after each."""
    flags = [*("--dataset", f"folder:{data}", "--network", network, "--image-size", "28")]
    flags += ["--steps", "16", "--evaluations", "16", "--batch-size", "16", "--augment", "flip"]
    flags += ["--optimizer", "adam", "--learning-rate", "0.003"]
    flags += ["--checkpoint-seconds", "0", "--keep-checkpoint"]
    return Subject(
        "training", (str(ROOT / "scripts/train.py"), *flags), _trained, "result.json", ""
    )


def study(data: Path) -> Subject:
    """Two bases and a transfer of experiments/transferability.py, three checkpoints in each."""
    flags = ["--dataset", f"folder:{data}", "--network", "lenet5", "--image-size", "28"]
    flags += ["--splits", "1", "--steps", "200", "--treatments", "AnB", "--layers", "1"]
    flags += ["--batch-size", "16", "--learning-rate", "0.01"]
    script = str(ROOT / "experiments/transferability.py")
    return Subject("study", (script, *flags), _studied, "report.json", "runs/*/")


def _trained(folder: Path) -> dict[str, object]:
    weights = checkpoints.read(folder / "weights")
    files = ("weights.safetensors", "confusion.csv")
    return {
        **left_by(folder),
        **{f"weights: {name}": array for name, array in weights.items()},
        **{name: np.frombuffer((folder / name).read_bytes(), np.uint8) for name in files},
    }


def _studied(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for row in read_results(folder / "results.csv"):
        found |= {f"{row['run']}: {k}": str(v) for k, v in row.items() if k != "seconds"}
    for path in sorted(folder.glob("runs/*")):
        for line in read_lines(path):
            found |= {f"{path.name}, step {line['step']}: {name}": line[name] for name in line}
        if (path / "weights").is_dir():
            weights = checkpoints.read(path / "weights")
            found |= {f"{path.name}: {name}": array for name, array in weights.items()}
    report = json.loads((folder / "report.json").read_text())
    found |= {f"report: {name}": json.dumps(report[name]) for name in ("claims", "table", "runs")}
    found["figure"] = str((folder / "figure.svg").stat().st_size > 0)
    return found


def differing(subject: Subject, folder: Path, whole: Mapping[str, object]) -> list[str]:
    """What differs in a folder from what an undisturbed command has left."""
    try:
        return differences(dict(whole), subject.left(folder))
    except (OSError, CnnjaxError, ValueError, KeyError) as error:
        return [f"{folder.name}: {error}"]


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that nobody has removed."""
    found = []
    for root, folders, files in os.walk(folder):  # which minds no folder that is renamed meanwhile
        names = [name for name in (*folders, *files) if name[0] == "." and name != ".lock"]
        found += [os.path.relpath(os.path.join(root, name), folder) for name in names]
    return sorted(found)


def make_pictures(root: Path, seed: int) -> Path:
    """A folder of pictures of noisy patterns, 16 x 16 and grey, in parts and classes."""
    rng = np.random.RandomState(seed)
    patterns = rng.randint(0, 256, (CLASSES, 16, 16))
    for part, count in (("train", TRAINING_IMAGES), ("test", TEST_IMAGES)):
        for label, pattern in enumerate(patterns):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(pattern + rng.normal(0, 150, (16, 16)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root
