"""Preparing a data set of TensorFlow Datasets, once, so that it is read without TensorFlow."""

import difflib
import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds

from cnnjax.data.records import FILE_FORMAT, default_data_dir, find_prepared
from cnnjax.errors import CnnjaxError


class ExpectedFile(NamedTuple):
    """A file that a data set is made from, as TensorFlow Datasets has registered it."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    url: str


def expected_files(name: str) -> list[ExpectedFile]:
    """The files that the data set `name` is made from.

    Raises:
        CnnjaxError: a name that TensorFlow Datasets does not know.
    """
    return [
        ExpectedFile(info.filename or url.rpartition("/")[2], int(info.size), info.checksum, url)
        for url, info in sorted(_builder(name, default_data_dir()).url_infos.items())
    ]


def prepare(name: str, data_dir: Path | None = None, manual_dir: Path | None = None) -> Path:
    """Prepare the data set `name`, unless it is, and return its folder.

    Args:
        name: of a data set in TensorFlow Datasets: `mnist`, `name/config`.
        data_dir: where to put it; `$TFDS_DATA_DIR` or `~/tensorflow_datasets` if not given.
        manual_dir: a folder with the `expected_files`, downloaded before, of this data set and no
            other (those of MNIST and Fashion-MNIST have the same names). Without it they are
            downloaded.

    Raises:
        CnnjaxError: an unknown name; a file that is missing or is another than expected; no
            TensorFlow; a download or a preparation that failed.
    """
    data_dir = default_data_dir() if data_dir is None else data_dir.expanduser().absolute()
    prepared = find_prepared(name, data_dir)
    if prepared is not None:
        return Path(prepared.data_path)
    builder = _builder(name, data_dir)
    if manual_dir is not None:
        manual_dir = manual_dir.expanduser().absolute()
        _check_files(name, manual_dir, some=len(builder.BUILDER_CONFIGS) > 1)
    elif builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise CnnjaxError(
            f"the files of {name!r} cannot be downloaded by a program; expected a folder that has "
            "them, --manual-dir DIR; "
            f"{' '.join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())}"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise CnnjaxError(
            "preparing a data set needs TensorFlow, which is not installed (reading it does not); "
            "install the CPU build: pip install -e '.[prepare]'"
        )
    config = tfds.download.DownloadConfig(
        manual_dir=None if manual_dir is None else str(manual_dir), try_download_gcs=False
    )
    try:
        builder.download_and_prepare(download_config=config, file_format=FILE_FORMAT)
    except Exception as error:  # whatever the network, the disk or the builder raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise CnnjaxError(
            f"{name!r} could not be prepared in {str(data_dir)!r} ({reason}); expected a network "
            "and room on the disk; try again, or download the files and pass --manual-dir DIR"
        ) from None
    return Path(builder.data_path)


def _builder(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=str(data_dir))
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name, known, n=3)
        raise CnnjaxError(
            f"TensorFlow Datasets has no {name!r}; expected one of its {len(known)} names; "
            + (f"did you mean {' or '.join(close)}?" if close else "see its catalogue")
        ) from None
    except Exception as error:  # a builder may need what is not installed, or another config
        reason = " ".join(str(error).split())[:300]
        raise CnnjaxError(
            f"{name!r} cannot be built ({reason}); expected a data set of TensorFlow Datasets, as "
            "NAME or NAME/CONFIG; mend the name"
        ) from None


def _check_files(name: str, folder: Path, *, some: bool) -> None:
    """Every file must be in the folder; with `some`, those that are there must be right (the files
    of all configurations are registered together, and one needs only its own)."""
    files = expected_files(name)
    missing = [file.name for file in files if not (folder / file.name).is_file()]
    if missing and not some:
        raise CnnjaxError(
            f"{len(missing)} of the {len(files)} files of {name!r} are missing: "
            f"{', '.join(missing)}; expected in {str(folder)!r}; download them there"
        )
    for file in files:
        if file.name in missing:
            continue
        with (folder / file.name).open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != file.sha256:
            size = (folder / file.name).stat().st_size
            raise CnnjaxError(
                f"{str(folder / file.name)!r} is another file: {size} bytes, sha256 {found}; "
                f"expected {file.size} bytes, sha256 {file.sha256}; download {file.url} again"
            )
