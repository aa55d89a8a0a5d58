"""Compiled programs are kept for the next start, and are compiled no better than it pays."""

import hashlib
import os
import platform
import re
import time
import warnings
import zlib
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import jax

from cnnjax.data.cache import cache_dir

COMPILED_BYTES = 2**31
"""What compiled programs may take on disk; the least recently used ones make room."""
RECORD = ".whole"
"""Names the programs that were found whole."""


def compile_sooner(level: int) -> None:
    """Where there is no accelerator, asks XLA for a lower optimisation level of LLVM than 3.

    At level 2, programs that draw random numbers, first weights and dropout, take a fraction of
    the time to compile and run as fast; at level 0 those that run for milliseconds are compiled
    sooner still. XLA reads the variable when it begins; a level that the user has set stays.
    """
    flags, option = os.environ.get("XLA_FLAGS", ""), "--xla_backend_optimization_level"
    if option in flags or entry_points(group="jax_plugins") or find_spec("libtpu"):
        return
    os.environ["XLA_FLAGS"] = f"{flags} {option}={level}".strip()


def keep_compiled() -> None:
    """Has JAX keep compiled programs in the cache, for the next start and for equal programs of
    this one; --no-compile-cache or JAX_ENABLE_COMPILATION_CACHE=false keeps none.

    A folder for each kind of processor: XLA compiles for the one at hand, and JAX does not look.
    A place that the user has set stays, and where nothing can be written nothing is kept.
    """
    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home directory
        folder = cache_dir() / "compiled" / _processor()
        folder.mkdir(parents=True, exist_ok=True)
        _drop_half_written(folder)
        _make_room(folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # On a full disk JAX would warn of each program: it is compiled, and that is all.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
        # However short: a study has dozens that take less than 0.1 s each.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _drop_half_written(folder: Path) -> None:
    """Removes programs that a killed process, or a full disk, has left half-written: JAX would try
    them in vain, and not write them again. Those that were found whole before are known by name,
    size and time of change, which must be equal, not later, so that clocks do not matter."""
    record, whole = folder / RECORD, set()
    known = set(record.read_text(errors="replace").splitlines()) if record.exists() else set()
    for path in folder.glob("*-cache"):
        with suppress(FileNotFoundError):  # another process was here first
            entry = _entry(path)
            if entry in known or _is_whole(path.read_bytes()):
                whole.add(entry)
                continue
            time.sleep(0.1)  # another process may be writing it at this moment
            if _entry(path) == entry:
                path.unlink()
    if whole != known:
        with suppress(OSError):  # the disk is full: the next start looks at them again
            record.write_text("\n".join(sorted(whole)))


def _entry(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _is_whole(program: bytes) -> bool:
    """Whether it can be unpacked. JAX packs with Zstandard where that is there, else with zlib."""
    if program.startswith(b"\x28\xb5\x2f\xfd"):
        for name in ("compression.zstd", "zstandard"):
            try:
                return bool(import_module(name).decompress(program))
            except ImportError:
                continue
            except Exception:  # each has a type of its own
                return False
        return True
    try:
        return bool(zlib.decompress(program))
    except zlib.error:
        return False


def _make_room(folder: Path) -> None:
    """Deletes the programs that were used the longest ago until the rest take COMPILED_BYTES.

    JAX could do so, but looks through the whole folder for each program that it adds: with 1,000 of
    them for 0.1 s, which is as long as most take to compile.
    """
    with os.scandir(folder) as entries:
        found = [(entry.stat(), entry.path) for entry in entries]
    files = sorted((max(s.st_atime, s.st_mtime), s.st_size, path) for s, path in found)
    taken = sum(size for _, size, _ in files)
    for _, size, path in files:
        if taken <= COMPILED_BYTES:
            return
        with suppress(FileNotFoundError):
            os.unlink(path)
        taken -= size


def _processor() -> str:
    """A short name for what programs are compiled for: the instructions that the processor has."""
    known, cpuinfo = f"{platform.machine()} {platform.processor()}", Path("/proc/cpuinfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text(errors="replace")
        known += " ".join(sorted(set(re.findall(r"^(?:flags|Features)\s*:.*$", text, re.M))))
    return hashlib.sha256(known.encode()).hexdigest()[:12]
