"""The records of TensorFlow Datasets, one at a time."""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from cnnjax.data.cache import cached_array
from cnnjax.data.pictures import Picture
from cnnjax.data.records import one_line, open_prepared, parts_of, picture_and_label, record_name
from cnnjax.errors import CnnjaxError

_CHUNK = 256
"""Records read at a time, for their labels."""

UNREADABLE = -1
"""In place of the label of a record that cannot be read, or that is of no class."""


class Records:
    """One part of a prepared data set, its pictures still encoded."""

    def __init__(self, builder: tfds.core.DatasetBuilder, part: str, key: str) -> None:
        """
        Args:
          builder: of the data set.
          part: `train`, `validation` or `test`.
          key: what changes when the files do.

        Raises:
          CnnjaxError: the files cannot be opened.
        """
        self._info, self._part, self._key = builder.info, part, key
        self._image, self._label = picture_and_label(builder.info)
        decoders = {self._image: tfds.decode.SkipDecoding()}
        try:
            self._records = builder.as_data_source(part, decoders=decoders)
            self._size = len(self._records)
        except Exception as error:  # whatever the reader raises over damaged or missing files
            raise CnnjaxError(
                f"the {part} records of {builder.info.name!r} in {str(builder.data_path)!r} cannot "
                f"be opened ({one_line(error)}); remove that folder and prepare it again: python "
                f"scripts/prepare.py {builder.info.name}"
            ) from None

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> Picture:
        """Raises CnnjaxError: the record cannot be read (named)."""
        name = record_name(self._info, self._part, place)
        try:
            return Picture(name, _whole(self._records[place][self._image]))
        except Exception as error:  # whatever the reader raises over damaged bytes
            raise CnnjaxError(
                f"{name!r} cannot be read ({one_line(error)}); expected a whole record; prepare "
                "the data set again"
            ) from None

    def identity(self, place: int) -> str:
        """Name, version, part and number of a record."""
        return f"{self._info.full_name} {self._part} {place}"

    def labels(self) -> np.ndarray:
        """The label of each record, int32 `[N]`, `UNREADABLE` where there is none of a class.

        They are in the records: all are read once, and the labels kept in the cache.
        """

        def read() -> np.ndarray:
            starts = range(0, len(self), _CHUNK)
            chunks = [range(start, min(start + _CHUNK, len(self))) for start in starts]
            found = np.concatenate([np.array(self._some_labels(c), np.int64) for c in chunks])
            classes = self._info.features[self._label].num_classes
            return np.where((found >= 0) & (found < classes), found, UNREADABLE).astype(np.int32)

        return cached_array(f"classes of {self._info.data_dir} {self._part}", self._key, read)

    def _some_labels(self, places: Sequence[int]) -> list[int]:
        try:
            return [_whole(record[self._label]) for record in self._records.__getitems__(places)]
        except Exception:  # one of them is damaged
            if len(places) == 1:
                return [UNREADABLE]
            middle = len(places) // 2
            return self._some_labels(places[:middle]) + self._some_labels(places[middle:])


def open_records(name: str) -> tuple[dict[str, Records], tuple[str, ...]]:
    """The records of each part of a prepared data set, and the class names.

    Raises:
        CnnjaxError: see `cnnjax.data.records.read_records`.
    """
    builder, key = open_prepared(name)
    _, label = picture_and_label(builder.info)
    parts = {part: Records(builder, part, key) for part in parts_of(builder.info)}
    return parts, tuple(builder.info.features[label].names)


def _whole(value: object) -> object:
    # What a truncated file has lost comes back as empty records, without an error.
    if value is None:
        raise ValueError("it is empty")
    return value
