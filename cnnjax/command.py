"""What every command line of the project does alike."""

import hashlib
import os
import platform
import re
import shutil
import signal
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import tyro

from cnnjax.data.cache import cache_dir
from cnnjax.errors import CnnjaxError

Config = TypeVar("Config")
COMPILED_BYTES = 2**31
"""What compiled programs may take on disk; the least recently used ones make room."""
NO_COMPILE_CACHE = "--no-compile-cache"


def main(config: type[Config], run: Callable[[Config], None], description: str) -> None:
    """Reads the command line into `config`, a frozen dataclass, and runs it.

    A user's mistake is one line on standard error and exit status 2. Ctrl-C, or the SIGTERM of a
    scheduler, says how to go on and exits with 130 or 143, at once: whatever a command writes must
    be whole or not there at any moment. Every command takes --no-compile-cache.

    Args:
      config: its fields are the flags, its field docstrings their help.
      run: the command.
      description: the head of --help; see `page`.
    """
    previous = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    given = [argument for argument in sys.argv[1:] if argument != NO_COMPILE_CACHE]
    try:
        if {"-h", "--help"} & set(given):
            # tyro would print every paragraph as one endless line.
            kept = f"{description.rstrip()}\n\n{_KEPT}"
            print(page(kept, min(shutil.get_terminal_size().columns, 100)), end="\n\n")
        # A switch is one flag: --list, without --no-list beside it.
        flags = tyro.cli(config, description="", args=given, config=(tyro.conf.FlagCreatePairsOff,))
        _compile_sooner(level=0 if getattr(flags, "smoke", False) else 2)
        if NO_COMPILE_CACHE in sys.argv[1:]:
            jax.config.update("jax_enable_compilation_cache", False)
        _keep_compiled()
        run(flags)
    except CnnjaxError as error:
        _fail(str(error))
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        _fail(f"there is not enough memory for this{reason}; choose less, or a larger machine")
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


_KEPT = (
    "Compiled programs are kept for the next start in $CNNJAX_CACHE or ~/.cache/cnnjax; "
    f"{NO_COMPILE_CACHE} keeps and uses none."
)


def unset(metavar: str, meaning: str) -> object:
    """How --help shows a flag that may be left out: what it takes, and what holds without it."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {meaning})")


class Allowed(NamedTuple):
    """Which numbers a flag takes: in words, for whoever gives another, and whether one is so."""

    words: str
    includes: Callable[[float], bool]


def at_least(least: int) -> Allowed:
    """These, without infinity."""
    return Allowed(f"at least {least}", lambda x: least <= x < inf)


POSITIVE = Allowed("more than 0", lambda x: 0 < x < inf)


def check_numbers(config: object, **allowed: Allowed) -> None:
    """Refuses the first number that cannot be, of flags that hold one, several or none.

    Args:
      config: the flags.
      **allowed: by flag, what it takes.

    Raises:
      CnnjaxError: names the flag, what it is and what to give.

    >>> from types import SimpleNamespace
    >>> flags = SimpleNamespace(batch_size=8, sizes=(20, 0), rate=None)
    >>> check_numbers(flags, batch_size=at_least(1), sizes=at_least(1), rate=POSITIVE)
    Traceback (most recent call last):
    cnnjax.errors.CnnjaxError: --sizes is 0, which cannot be; give at least 1
    """
    for name, numbers in allowed.items():
        given = getattr(config, name)
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and not numbers.includes(value):
                flag = name.replace("_", "-")
                raise CnnjaxError(f"--{flag} is {value}, which cannot be; give {numbers.words}")


def page(text: str, width: int) -> str:
    """Fills the lines of `text` up to `width`; a line that is indented begins a new one.

    >>> print(page("The arms are\\nthese:\\n  one  the first of them", 20))
    The arms are these:
      one  the first of
           them
    """
    blocks: list[str] = []
    for line in text.strip().splitlines():
        if line[:1].strip() and blocks and blocks[-1][:1].strip():
            blocks[-1] += f" {line}"
        else:
            blocks.append(line)
    return "\n".join(
        textwrap.fill(block, width, subsequent_indent=_hanging(block), break_on_hyphens=False)
        for block in blocks
    )


def _hanging(block: str) -> str:
    """Of "  name  text", the spaces down to where the text begins."""
    if not block.startswith(" "):
        return ""
    indent = len(block) - len(block.lstrip())
    name, gap, text = block.lstrip().partition("  ")
    if not gap:  # a command
        return " " * (indent + 4)
    return " " * (indent + len(name + gap + text) - len(text.lstrip()))


def _compile_sooner(level: int) -> None:
    """Where there is no accelerator, asks XLA for a lower optimisation level of LLVM than 3.

    At level 2, programs that draw random numbers, first weights and dropout, take a fraction of
    the time to compile and run as fast; at level 0 those that run for milliseconds are compiled
    sooner still. XLA reads the variable when it begins; a level that the user has set stays.
    """
    flags, option = os.environ.get("XLA_FLAGS", ""), "--xla_backend_optimization_level"
    if option in flags or entry_points(group="jax_plugins") or find_spec("libtpu"):
        return
    os.environ["XLA_FLAGS"] = f"{flags} {option}={level}".strip()


def _keep_compiled() -> None:
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
    """Removes programs that a killed process, or a full disk, has left half-written, of those that
    were written since the last start: JAX would try them in vain, and not write them again."""
    stamp = folder / ".looked-through"
    last = stamp.stat().st_mtime if stamp.exists() else 0.0
    stamp.touch()
    for path in folder.glob("*-cache"):
        with suppress(FileNotFoundError):  # another process was here first
            if path.stat().st_mtime >= last and not _is_whole(path.read_bytes()):
                path.unlink()


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


def _stop(number: int, _: object) -> None:
    # Not by an exception: raised in a callback of JAX it would be lost, and raised while Orbax is
    # saving, its threads would print their tracebacks for as long as the interpreter shuts down.
    with suppress(RuntimeError):  # it is being written to at this moment
        sys.stdout.flush()
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h")  # the cursor, which a progress bar hides
    os.write(sys.stderr.fileno(), b"\nstopped; the same command goes on where it was\n")
    os._exit(128 + number)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
