"""Puts together what several machines without a common disk have done of one study.

    python scripts/merge_runs.py from_one from_two --out results/transferability

Each folder is one that an experiment left as its --out, of the same study with the same
configuration. Their finished runs are copied to --out, which may be one of them; half-done ones
stay where they are. A run that was done twice with different numbers is named, and nothing is
copied. The command of the experiment with this --out then does what is missing, writes the tables
and draws the figure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.studies.merging import merge


@dataclass(frozen=True)
class Config:
    folders: Annotated[tuple[Path, ...], Positional, arg(metavar="FOLDER ...")]
    """Of the machines."""
    out: Path
    """Where all runs go: a new folder, or one of this study."""


def run(config: Config) -> None:
    """Merges, and says what is where."""
    if not config.folders:
        raise CnnjaxError("no folder is given; give those whose runs are to be merged")
    merged = merge(config.folders, config.out)
    for directory in merged.unfinished:
        print(f"not finished, left where it is: {directory}")
    print(
        f"{len(merged.copied)} runs copied to {config.out}, {len(merged.present)} were there; the "
        f"experiment with --out {config.out} does what is missing and draws the figure"
    )


if __name__ == "__main__":
    main(Config, run, __doc__)
