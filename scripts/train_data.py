"""What stands behind --dataset and --stream of scripts/train.py."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from cnnjax.data import (
    Dataset,
    Splits,
    StreamedDataset,
    decoded_bytes,
    load,
    stratified_split,
    stream,
)
from cnnjax.errors import CnnjaxError

STREAMED_FROM = 4 * 2**30
"""Bytes of images from which on they are streamed by themselves; what a machine has does not count:
the same command does the same everywhere."""

_NAMED = 1000
"""Images that cannot be read are named in the results, up to so many."""


def read_data(
    name: str,
    image_size: int | None,
    *,
    how: Literal["auto", "yes", "no"],
    workers: int | None,
    strict: bool,
    report: Callable[[str], None],
) -> Splits:
    """The data, in memory or streamed, with validation images: a tenth of the training images
    where there are none.

    Args:
      name: of the data set.
      image_size: see `load`.
      how: whether to stream; "auto": where the images would take much memory.
      workers: see `stream`.
      strict: see `stream`.
      report: called with a sentence where that was decided here.

    Raises:
      CnnjaxError: it cannot be read, or not be streamed, or it is not and the last two are given.
    """
    size = decoded_bytes(name, image_size) if how == "auto" else None
    if size is not None and size >= STREAMED_FROM:
        report(
            f"the images would take {size / 1e9:,.0f} GB of memory: they are read from their files "
            "as the training needs them (--stream no keeps them in memory)"
        )
        how = "yes"
    if how == "yes":
        data = stream(name, image_size=image_size, workers=workers, strict=strict)
    elif workers is not None or strict:
        raise CnnjaxError(
            "--workers and --strict are for data that is streamed, and this is read into memory; "
            "leave them out, or add --stream yes"
        )
    else:
        data = load(name, image_size=image_size)
    if data.validation is not None:
        return data
    train, validation = stratified_split(data.train, (0.9, 0.1), seed=0)
    return Splits(train, validation, data.test)


def on_device(
    dataset: Dataset | StreamedDataset,
) -> tuple[jax.Array, jax.Array] | StreamedDataset:
    """Images and labels; a stream as it is."""
    if isinstance(dataset, StreamedDataset):
        return dataset
    return jnp.asarray(dataset.images), jnp.asarray(dataset.labels)


def pace(train: Dataset | StreamedDataset) -> str:
    """What reader and steps could do without each other, as the display has it; "" in memory."""
    rates = train.reading.rates() if isinstance(train, StreamedDataset) else {}
    return f"reader {rates['reader']:,.0f}, step {rates['step']:,.0f} images/s" if rates else ""


def reading(parts: Splits) -> dict[str, object]:
    """What was read, how fast, and what could not be, for result.json; {} in memory."""
    if not isinstance(parts.train, StreamedDataset):
        return {}
    corrupt = {part: [*data.reading.corrupt.values()] for part, data in parts._asdict().items()}
    corrupt["records"] = sorted({name for data in parts for name in data.damaged})
    rates = parts.train.reading.rates()
    return {
        "streamed": {
            "workers": parts.train.workers,
            "images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
            "corrupt_images": {part: len(said) for part, said in corrupt.items()},
            "corrupt": [message for said in corrupt.values() for message in said][:_NAMED],
        }
    }
