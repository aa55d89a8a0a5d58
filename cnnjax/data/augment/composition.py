"""Several augmentations as one."""

import dataclasses
from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp

from cnnjax.data.augment.affine import Flip, Resampled
from cnnjax.data.augment.augmentation import Augmentation
from cnnjax.data.augment.sampling import resample
from cnnjax.errors import CnnjaxError


@dataclasses.dataclass(frozen=True)
class Compose(Augmentation):
    """Augmentations one after the other; write `compose(flip(), shift(0.1), rotate(15))`.

    Each stage draws with a key of its own. Images stay float32 from the first stage to the last and
    are rounded to uint8 once. Neighbours among flip, shift, rotate, shear and zoom that fill alike
    are one map of the plane, so an image is interpolated once for all of them (as in Keras), which
    is sharper and faster than one after the other.
    """

    stages: tuple[Augmentation, ...]

    def augment_one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """All stages on one image."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(self.stages)))
        begin = 0
        for size in _runs(self.stages):
            run = slice(begin, begin + size)
            if size > 1:
                image = _resample_once(self.stages[run], keys[run], image)
            else:
                image = self.stages[begin].augment_one(keys[begin], image)
            begin += size
        return image


def compose(*stages: Augmentation) -> Compose:
    """The augmentation that applies `stages` in order; without any, the identity.

    Args:
      stages: augmentations; a composition among them counts as its stages.

    Raises:
      CnnjaxError: one of them is no augmentation.

    >>> from cnnjax.data.augment import flip, rotate, shift
    >>> compose(flip(), shift(0.1)) == compose(flip(), shift(0.1))
    True
    >>> compose(flip(), rotate(15)).stages[1]
    Rotate(degrees=15.0, fill='nearest', cval=0.0)
    """
    flat: list[Augmentation] = []
    for stage in stages:
        if not isinstance(stage, Augmentation):
            raise CnnjaxError(
                f"compose was given {stage!r}; expected augmentations such as flip() or rotate(15);"
                " wrap a function of your own in apply(...)"
            )
        flat += stage.stages if isinstance(stage, Compose) else (stage,)
    return Compose(tuple(flat))


def _runs(stages: Sequence[Augmentation]) -> list[int]:
    """The lengths of the longest runs that are one map each; all other stages are runs of one."""
    lengths = []
    while stages:
        size = next((n for n in range(len(stages), 1, -1) if _fusable(stages[:n])), 1)
        lengths.append(size)
        stages = stages[size:]
    return lengths


def _resample_once(
    stages: Sequence[Flip | Resampled], keys: jax.Array, image: jax.Array
) -> jax.Array:
    """What the stages do one after the other, as one map: M = M_1 M_2 ..., one interpolation.

    What is moved out of the picture by one stage and back by the next is not lost on the way.
    """
    matrices = [
        stage.matrix(stage.draw(key, image.shape), image.shape)
        for stage, key in zip(stages, keys, strict=True)
    ]
    # In full precision, also where matrix units round their operands to less.
    matrix = reduce(lambda a, b: jnp.matmul(a, b, precision="highest"), matrices)
    (outside,) = {(s.fill, s.cval) for s in stages if isinstance(s, Resampled)}
    return resample(image, matrix, *outside)


def _fusable(stages: Sequence[Augmentation]) -> bool:
    """Whether the stages are one map, with one `fill` and something to interpolate."""
    return (
        all(isinstance(stage, Flip | Resampled) for stage in stages)
        and len({(s.fill, s.cval) for s in stages if isinstance(s, Resampled)}) == 1
    )
