"""Transfer learning as operations on stage names."""

from cnnjax.transfer.features import PrefixCache, feature_bytes, prefix_features
from cnnjax.transfer.frozen import Trained, train_behind_prefix
from cnnjax.transfer.surgery import first_stages, initialise, transplant, variable_shapes

__all__ = [
    "PrefixCache",
    "Trained",
    "feature_bytes",
    "first_stages",
    "initialise",
    "prefix_features",
    "train_behind_prefix",
    "transplant",
    "variable_shapes",
]
