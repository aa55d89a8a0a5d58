"""Images and labels: what they are, where they come from, how they are cut and batched."""

from cnnjax.data.batches import batch_indices, padded_batches
from cnnjax.data.cache import cache_dir
from cnnjax.data.dataset import Dataset
from cnnjax.data.glyphs import GlyphStyle, glyphs
from cnnjax.data.halves import group_halves, halves_from_file, random_halves
from cnnjax.data.labelled import Splits, stratified_split
from cnnjax.data.sources import load
from cnnjax.data.streamed import StreamedDataset
from cnnjax.data.streaming import decoded_bytes, stream

__all__ = [
    "Dataset",
    "GlyphStyle",
    "Splits",
    "StreamedDataset",
    "batch_indices",
    "cache_dir",
    "decoded_bytes",
    "glyphs",
    "group_halves",
    "halves_from_file",
    "load",
    "padded_batches",
    "random_halves",
    "stratified_split",
    "stream",
]
