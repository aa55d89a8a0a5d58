"""Images and labels: what they are, where they come from, how they are cut and batched."""

from cnnjax.data.batches import batch_indices, padded_batches
from cnnjax.data.dataset import Dataset, Splits, stratified_split
from cnnjax.data.sources import load

__all__ = ["Dataset", "Splits", "batch_indices", "load", "padded_batches", "stratified_split"]
