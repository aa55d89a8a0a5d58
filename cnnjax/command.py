"""What every command line of the project does alike."""

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from cnnjax.errors import CnnjaxError

Config = TypeVar("Config")


def main(config: type[Config], run: Callable[[Config], None], description: str) -> None:
    """Reads the command line into `config`, a frozen dataclass, and runs it.

    A user's mistake is one line on standard error and exit status 2; an interruption says how to
    go on and exits with 130.

    Args:
      config: its fields are the flags, its field docstrings their help.
      run: the command.
      description: the head of --help.
    """
    options = tyro.cli(config, description=description)
    try:
        run(options)
    except CnnjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
