"""Prepare a data set of TensorFlow Datasets, so that cnnjax can load it as tfds:NAME.

Needs the extra `prepare`: pip install -e '.[prepare]'
"""

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import tyro

from cnnjax.command import main

# TensorFlow says a lot about the processor while it starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclasses.dataclass(frozen=True)
class Config:
    """Prepare a data set of TensorFlow Datasets, once, from the network or from files."""

    name: Annotated[str, tyro.conf.Positional]
    """The data set: mnist, cifar10, NAME/CONFIG."""
    data_dir: Path | None = None
    """Where to put it. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    manual_dir: Path | None = None
    """A folder with the files of this data set alone, downloaded before, under the names that
    are listed then; nothing is downloaded."""


def run(config: Config) -> None:
    """Prepare, and print the folder."""
    from cnnjax.data.preparation import expected_files, prepare

    if config.manual_dir is not None:
        print(f"{config.name} is made from these files, expected in {config.manual_dir}:")
        for file in expected_files(config.name):
            state = "found  " if (config.manual_dir / file.name).is_file() else "missing"
            print(f"  {state}  {file.name}  {file.size} bytes  sha256 {file.sha256}  {file.url}")
    folder = prepare(config.name, config.data_dir, config.manual_dir)
    print(f"{config.name} is prepared in {folder}; load it as tfds:{config.name}")


if __name__ == "__main__":
    main(Config, run, __doc__)
