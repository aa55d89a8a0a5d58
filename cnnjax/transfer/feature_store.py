"""Features of frozen stages, computed once for each image and kept."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.transfer.feature_keys import image_ids, stage_keys
from cnnjax.transfer.features import Features, pooled_features, prefix_features
from cnnjax.transfer.shelves import Block, DiskShelf, MemoryShelf

Place = tuple[Block, int]
"""A block of records, and the row of an image in it."""


class FeatureStore:
    """What frozen stages give, for each image once: in memory, or on disk in `cache_dir`.

    A feature is found by the SHA-256 of all that determines it: the weights of the stages that it
    went through, the network's settings (its `pixels` among them), the size and the pixels of the
    image, and the code that computes it. So subsets, folds and other orders of images that are
    known cost nothing, and nothing stale is ever used.

    Attributes:
      cache_dir: None for memory only.
      limit: bytes; never more are kept. What was not used for longest is thrown out first.

    >>> print(FeatureStore())
    0.0 MiB of features in memory (limit 4096.0 MiB)
    """

    def __init__(
        self,
        cache_dir: Path | None = None,
        limit: int = 4 * 2**30,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        """
        Args:
          cache_dir: a folder for the files, made when it is needed.
          limit: bytes.
          report: called with a sentence about anything unusual, e.g. a damaged file.

        Raises:
          CnnjaxError: a negative limit, or a `cache_dir` that is a file.
        """
        if limit < 0:
            raise CnnjaxError(
                f"a limit of {limit} bytes for features cannot be; expected 0 or more; 0 keeps none"
            )
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.limit = limit
        self._shelf = (
            MemoryShelf(limit)
            if self.cache_dir is None
            else DiskShelf(self.cache_dir, limit, report)
        )

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        return self._shelf.size

    def __str__(self) -> str:
        place = "memory" if self.cache_dir is None else self.cache_dir
        size, limit = self.size / 2**20, self.limit / 2**20
        return f"{size:.1f} MiB of features in {place} (limit {limit:.1f} MiB)"

    def features(
        self, network: Network, variables: Variables, images: np.ndarray | jax.Array, stop: str
    ) -> Features:
        """As `prefix_features`: the output of stage `stop`, `[N, ...]` or a tuple of such."""
        key = stage_keys(network, variables, images, stop)[stop]
        ids = image_ids(images)
        found = self._find(key, ids)
        if missing := _first_of_each(ids, found):
            fresh = prefix_features(network, variables, images[np.array(missing)], stop)
            found |= self._put(key, [ids[i] for i in missing], fresh)
            if len(missing) == len(ids):
                return fresh
        return jax.tree.map(jnp.asarray, _gather(found, ids))

    def pooled(
        self,
        network: Network,
        variables: Variables,
        images: np.ndarray | jax.Array,
        stages: Collection[str],
    ) -> dict[str, np.ndarray]:
        """As `pooled_features`: {stage: float32 `[N, F]`}, in one pass through the network.

        Ask for all stages to be probed before the first probe.
        """
        order = [stage for stage in network.stages if stage in stages]
        keys = stage_keys(network, variables, images, order[-1])
        keys = {s: hashlib.sha256(f"{keys[s]} pooled".encode()).hexdigest() for s in order}
        ids = image_ids(images)
        found = {stage: self._find(keys[stage], ids) for stage in order}
        wanted = [stage for stage in order if len(found[stage]) < len(set(ids))]
        known = {image for image in ids if all(image in found[stage] for stage in wanted)}
        if wanted:
            missing = _first_of_each(ids, known)
            fresh = pooled_features(network, variables, images[np.array(missing)], wanted)
            for stage in wanted:
                found[stage] |= self._put(keys[stage], [ids[i] for i in missing], fresh[stage])
        return {stage: _gather(found[stage], ids) for stage in order}

    def _find(self, key: str, ids: Sequence[bytes]) -> dict[bytes, Place]:
        wanted, found = set(ids), {}
        for block in self._shelf.blocks(key):
            found |= {image: (block, row) for image, row in block.rows.items() if image in wanted}
        return found

    def _put(self, key: str, ids: Sequence[bytes], features: Features) -> dict[bytes, Place]:
        records = _records(ids, features)
        self._shelf.put(key, records)
        block = Block(records)
        return {image: (block, row) for image, row in block.rows.items()}


def _first_of_each(ids: Sequence[bytes], known: Collection[bytes]) -> list[int]:
    """Where the images that are not known occur first."""
    places = {image: i for i, image in reversed(list(enumerate(ids))) if image not in known}
    return sorted(places.values())


def _records(ids: Sequence[bytes], features: Features) -> np.ndarray:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(features)]
    fields = [
        (f"{i}:{leaf.dtype.name}", f"<u{leaf.dtype.itemsize}", leaf.shape[1:])
        for i, leaf in enumerate(leaves)
    ]
    records = np.empty(len(ids), [("id", "V32"), *fields])
    records["id"] = np.frombuffer(b"".join(ids), "V32")
    for (name, storage, _), leaf in zip(fields, leaves, strict=True):
        records[name] = np.ascontiguousarray(leaf).view(storage)
    return records


def _gather(found: dict[bytes, Place], ids: Sequence[bytes]) -> Features:
    """The features of these images, in this order; a tuple where a stage gives several arrays."""
    blocks = list({id(block): block for block, _ in found.values()}.values())
    owner = {id(block): number for number, block in enumerate(blocks)}
    numbers = np.array([owner[id(found[image][0])] for image in ids])
    rows = np.array([found[image][1] for image in ids])
    leaves = []
    for name in blocks[0].records.dtype.names[1:]:
        field = blocks[0].records[name]
        gathered = np.empty((len(ids), *field.shape[1:]), field.dtype)
        for number, block in enumerate(blocks):
            mine = numbers == number
            gathered[mine] = block.records[name][rows[mine]]
        leaves.append(gathered.view(jnp.dtype(name.partition(":")[2])))
    return leaves[0] if len(leaves) == 1 else tuple(leaves)
