"""Features of frozen stages, computed once for each image and kept."""

from collections.abc import Callable, Collection
from pathlib import Path

import jax
import numpy as np

from cnnjax.models import Network
from cnnjax.training import Variables


class FeatureStore:
    """What frozen stages give, for each image once: in memory, or on disk in `cache_dir`.

    A feature is found by the SHA-256 of all that determines it: the weights of the stages that it
    went through, the network's settings (its `pixels` among them), the size and the pixels of the
    image. So subsets, folds and other orders of images that are known cost nothing, and nothing
    stale is ever used.

    Attributes:
      cache_dir: None for memory only.
      limit: bytes; never more are kept. What was not used for longest is thrown out first.
    """

    def __init__(
        self,
        cache_dir: Path | None = None,
        limit: int = 4 * 2**30,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        """
        Args:
          cache_dir: a folder of its own for the files, made when it is needed.
          limit: bytes.
          report: called with a sentence about anything unusual, e.g. a damaged file.
        """
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        raise NotImplementedError

    def features(
        self, network: Network, variables: Variables, images: np.ndarray | jax.Array, stop: str
    ) -> object:
        """As `prefix_features`: the output of stage `stop`, `[N, ...]` or a tuple of such."""
        raise NotImplementedError

    def pooled(
        self,
        network: Network,
        variables: Variables,
        images: np.ndarray | jax.Array,
        stages: Collection[str],
    ) -> dict[str, np.ndarray]:
        """As `pooled_features`: {stage: float32 `[N, F]`}, of one pass through the network.

        Ask for all stages to be probed before the first probe.
        """
        raise NotImplementedError
