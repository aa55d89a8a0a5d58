"""What every command line of the project does alike."""

import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import NamedTuple, TypeVar

import jax
import tyro

from cnnjax.command.compiled import compile_sooner, keep_compiled
from cnnjax.errors import CnnjaxError

Config = TypeVar("Config")
NO_COMPILE_CACHE = "--no-compile-cache"


def main(
    config: type[Config],
    run: Callable[[Config], None],
    description: str,
    *,
    resumes: bool = False,
) -> None:
    """Reads the command line into `config`, a frozen dataclass, and runs it.

    A user's mistake is one line on standard error and exit status 2. Ctrl-C, or the SIGTERM of a
    scheduler, is one line too and exits with 130 or 143, at once: whatever a command writes must
    be whole or not there at any moment. Every command takes --no-compile-cache.

    Args:
      config: its fields are the flags, its field docstrings their help.
      run: the command.
      description: the head of --help; see `page`.
      resumes: whether the same command goes on where it was stopped, which is said then.
    """
    stop = partial(_stop, resumes)
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    given = [argument for argument in sys.argv[1:] if argument != NO_COMPILE_CACHE]
    try:
        if {"-h", "--help"} & set(given):
            # tyro would print every paragraph as one endless line.
            kept = f"{description.rstrip()}\n\n{_KEPT}"
            print(page(kept, min(shutil.get_terminal_size().columns, 100)), end="\n\n")
        # A switch is one flag: --list, without --no-list beside it.
        flags = tyro.cli(config, description="", args=given, config=(tyro.conf.FlagCreatePairsOff,))
        compile_sooner(level=0 if getattr(flags, "smoke", False) else 2)
        if NO_COMPILE_CACHE in sys.argv[1:]:
            jax.config.update("jax_enable_compilation_cache", False)
        keep_compiled()
        run(flags)
    except CnnjaxError as error:
        _fail(str(error))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        reason = f" ({reason})" if reason else ""
        _fail(f"there is not enough memory for this{reason}; choose less, or a larger machine")
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # it concerns no path that a user could mend
            raise
        _fail(f"cannot use {str(error.filename)!r} ({error.strerror}); check the path")
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
REPETITIONS = Allowed("from 1 to 1000", lambda x: 1 <= x <= 1000)
"""Of each run of a study: all are planned before the first begins."""
MOST = 2**31 - 1
"""Of anything that is counted, sized or begun with a number."""


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
            flag = name.replace("_", "-")
            if value is not None and not numbers.includes(value):
                raise CnnjaxError(f"--{flag} is {value}, which cannot be; give {numbers.words}")
            if value is not None and value > MOST:
                raise CnnjaxError(f"--{flag} is {value}, which is too large; give at most {MOST}")


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


def _stop(resumes: bool, number: int, _: object) -> None:
    # Not by an exception: raised in a callback of JAX it would be lost, and raised while Orbax is
    # saving, its threads would print their tracebacks for as long as the interpreter shuts down.
    with suppress(RuntimeError):  # it is being written to at this moment
        sys.stdout.flush()
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h")  # the cursor, which a progress bar hides
    then = b"; the same command goes on where it was" if resumes else b""
    os.write(sys.stderr.fileno(), b"\nstopped" + then + b"\n")
    os._exit(128 + number)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
