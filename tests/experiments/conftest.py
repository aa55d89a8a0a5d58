"""A data set that is made on the spot, and the transferability study on it: real files, real
processes, a few seconds each."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from transferability import Config

from cnnjax.data.randomness import stream

SMOKE_BY_CI = tuple(
    f"test_{name}.py"
    for name in (
        *("augmentation", "batch_norm", "initialization", "little_data", "optimizers"),
        "translation",
    )
)
"""Whose whole smoke form is for `-m slow`: .ci/run goes through every one on the command line, and
those of the other studies show here that a study leaves its files and is not done twice."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        whole = {"smoked", "finished"} & set(getattr(item, "fixturenames", ()))
        if item.path.name in SMOKE_BY_CI and whole:
            item.add_marker(pytest.mark.slow)


SCRIPT = Path(__file__).parents[2] / "experiments" / "transferability.py"
CLASSES = 6


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of 6 patterns: uint8 `[N, 16, 16]`, and int32 labels `[N]`."""
    patterns = stream(0).randint(0, 256, (CLASSES, 16, 16))
    labels = np.arange(count) % CLASSES
    noise = stream(1, seed).normal(0, 300, (count, 16, 16))
    return np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8), labels.astype(np.int32)


@dataclass
class Study:
    """The study on the command line, as a user has it."""

    data: Path
    folder: Path  # where the process stands
    programs: Path | None  # where compiled ones are kept between processes, to save time

    def arguments(self, *flags: str) -> list[str]:
        return [
            *("--dataset", f"npz:{self.data}", "--network", "mlp", "--layers", "1"),
            *("--learning-rate", "0.02", "--batch-size", "16", "--out", "out", *flags),
        ]

    def environment(self) -> dict[str, str]:
        environment = os.environ | {"COLUMNS": "100"}
        if self.programs is not None:
            environment["JAX_COMPILATION_CACHE_DIR"] = str(self.programs)
            environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
            # what is compiled once for many processes may as well be optimised a little
            level = "xla_backend_optimization_level="
            environment["XLA_FLAGS"] = os.environ["XLA_FLAGS"].replace(f"{level}0", f"{level}1")
        return environment

    def start(self, *flags: str, program: tuple[str, ...] = (str(SCRIPT),)) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *program, *self.arguments(*flags)],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *flags: str, program: tuple[str, ...] = (str(SCRIPT),)) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of the whole study."""
        process = self.start(*flags, program=program)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def table(self) -> list[dict[str, str]]:
        """results.csv as it stands, without the column of seconds."""
        lines = (self.folder / "out" / "results.csv").read_text().splitlines()
        names, *rows = (line.split(",") for line in lines)
        return [
            {name: cell for name, cell in zip(names, row, strict=True) if name != "seconds"}
            for row in rows
        ]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> None:
    """No test reads or writes the cache of whoever runs it."""
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    (x_train, y_train), (x_test, y_test) = blobs(120, seed=0), blobs(240, seed=1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def study_type() -> type[Study]:
    return Study


@pytest.fixture
def study(tiny, programs, tmp_path) -> Study:
    return Study(tiny, tmp_path, programs)


@pytest.fixture
def config(tiny, tmp_path):
    """A small study in this process; keywords change it."""

    def make(**changes: object) -> Config:
        small = {"dataset": f"npz:{tiny}", "network": "lenet5", "splits": 2, "layers": "1"}
        small |= {"steps": 20, "batch_size": 16, "learning_rate": 0.02, "out": tmp_path / "out"}
        return Config(**(small | changes))

    return make
