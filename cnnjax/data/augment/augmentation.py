"""What every augmentation is: a pure function of (key, images), one key for each example."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError

Shape = tuple[int, int, int]
"""(H, W, C) of one image."""


class Augmentation:
    """A pure function (key, images `[N, H, W, C]`) -> images, e.g. `flip()` or `compose(...)`.

    Images are uint8, or float32 in the same units 0 ... 255, and come out in the dtype in which
    they came; uint8 is computed as float32 and rounded once, to the nearest (halves to the even).
    What example i becomes depends on the key, on i and on its own pixels alone, whatever else is
    in the batch. The same key gives the same images, inside `jax.jit`, `jax.vmap` and
    `jax.lax.scan` as well as outside. Instances are hashable; equal settings are equal, so they
    may be static arguments of `jax.jit` and do not compile twice.

    A subclass is a frozen dataclass with `draw`, which turns a key into random parameters, and
    `apply`, which is not random. One without parameters has only `apply`.
    """

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array | tuple[jax.Array, ...] | None:
        """The random parameters for one image of this shape."""
        return None

    def apply(self, image: jax.Array, drawn: jax.Array | tuple[jax.Array, ...]) -> jax.Array:
        """One image, float32 `[H, W, C]`, under given parameters."""
        raise NotImplementedError

    def augment_one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """One image, float32 `[H, W, C]`, under the parameters that its own key gives."""
        return self.apply(image, self.draw(key, image.shape))

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Augments a batch.

        Args:
          key: a JAX random key.
          images: uint8 or float32 `[N, H, W, C]` in 0 ... 255.

        Returns:
          Images of the same dtype.

        Raises:
          CnnjaxError: another dtype or rank, or an image that this augmentation cannot take.
        """
        images = jnp.asarray(images)
        if images.ndim != 4 or images.dtype not in (jnp.uint8, jnp.float32):
            raise CnnjaxError(
                f"the images to augment are {images.dtype}{list(images.shape)}; expected uint8 or "
                "float32 [N, H, W, C] in 0 ... 255; convert them"
            )
        return _augment(self, key, images)


@partial(jax.jit, static_argnums=0)
def _augment(augmentation: Augmentation, key: jax.Array, images: jax.Array) -> jax.Array:
    # Not `jax.random.split`, whose first keys depend on how many are asked for.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(images)))
    pixels = jax.vmap(augmentation.augment_one)(keys, images.astype(jnp.float32))
    if images.dtype == jnp.uint8:
        return jnp.clip(jnp.rint(pixels), 0, 255).astype(jnp.uint8)
    return pixels


@dataclasses.dataclass(frozen=True)
class Apply(Augmentation):
    """A function of the user's own, on one image at a time.

    `function(key, image)` takes and gives float32 `[H, W, C]` in 0 ... 255 and is traced by JAX, so
    it is written in `jax.numpy`. Two `apply` are equal if their functions are the same object: name
    the function once rather than writing a lambda at each use, which compiles each time.

    >>> def invert(key, image):
    ...     return 255 - image
    >>> apply(invert)(jax.random.key(0), jnp.zeros((1, 1, 2, 1), jnp.uint8))[0, 0, :, 0].tolist()
    [255, 255]
    """

    function: Callable[[jax.Array, jax.Array], jax.Array]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise CnnjaxError(
                f"apply has function={self.function!r}; expected a function (key, image) -> image; "
                "give one"
            )

    def augment_one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """`function(key, image)`."""
        result = self.function(key, image)
        if not isinstance(result, jax.Array) or result.ndim != 3 or result.dtype != jnp.float32:
            found = getattr(result, "dtype", type(result).__name__)
            shape = list(getattr(result, "shape", ()))
            raise CnnjaxError(
                f"the function given to apply returned {found}{shape}; expected float32 [H, W, C]; "
                "return the image as jax.numpy gives it"
            )
        return result


apply = Apply
