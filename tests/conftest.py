import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.models import trace as tracing

# Keras, which some tests compare with, reads its backend when it is imported.
os.environ["KERAS_BACKEND"] = "jax"

# Most of the suite's time goes into compiling programs that then run for milliseconds. Without
# LLVM's optimiser and the newer code of fused loops that takes a third of the time, and what is
# computed is the same up to rounding. XLA reads the variable when the backend begins; processes
# that tests start do so too.
QUICK = ["--xla_backend_optimization_level=0"]
if jax.__version_info__ < (0, 11):  # XLA ends the process at a flag that it does not know
    QUICK.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK]).strip()

# Commands in this process would have all tests after them fill the user's cache.
jax.config.update("jax_enable_compilation_cache", False)


def _filled(path: tuple, array: jax.ShapeDtypeStruct, rng: np.random.Generator) -> np.ndarray:
    match path[-1].key:
        case "kernel":
            values = rng.normal(0, np.sqrt(2 / np.prod(array.shape[:-1])), array.shape)
        case "bias":
            values = rng.normal(0, 0.01, array.shape)
        case "scale" | "var":
            values = np.ones(array.shape)
        case "mean":
            values = np.zeros(array.shape)
        case name:
            raise ValueError(f"tests know no values for a variable named {name!r}")
    return values.astype(array.dtype)


@lru_cache(maxsize=4)  # of large networks' variables there is no room for many
def _variables(network, image_shape: tuple[int, int, int], seed: int) -> dict:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    rng = np.random.default_rng(seed)
    return jax.tree_util.tree_map_with_path(lambda p, a: _filled(p, a, rng), shapes)


@pytest.fixture(scope="session")
def some_variables() -> Callable[..., dict]:
    """`some_variables(network, image_shape, seed=0)`: variables for tests to which it does not
    matter how a network is initialised. NumPy draws them, because compiling the network's own
    random numbers takes seconds. Each call gives new arrays, which a test may donate."""

    def variables(network, image_shape: tuple[int, int, int], seed: int = 0) -> dict:
        return jax.tree.map(jnp.array, _variables(network, tuple(image_shape), seed))

    return variables


@pytest.fixture(scope="session", autouse=True)
def _traced_once() -> Iterator[None]:
    """Tests of one network's counts, shapes and receptive fields follow each other, and tracing a
    deep network takes seconds: the last few traces are kept."""
    stages = tracing._stages
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "_stages", lru_cache(maxsize=8)(lambda *a: tuple(stages(*a))))
        yield


@pytest.fixture
def run_script(monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess]:
    """`run_script(path, *flags, cwd=None)`: what `python PATH FLAGS` gives, in this process. One of
    its own takes seconds to import JAX; some tests of each kind have one nevertheless."""

    def run(
        path: Path, *flags: object, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        arguments, status = [str(path), *map(str, flags)], 0
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(path.parent)
            patch.setattr(sys, "argv", arguments)
            if cwd is not None:
                patch.chdir(cwd)
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit as end:
                status = end.code or 0
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run
