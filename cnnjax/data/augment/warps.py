"""Distortions of the plane that no matrix describes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.augment.augmentation import Augmentation, Shape
from cnnjax.data.augment.checks import check_fill, check_number
from cnnjax.data.augment.sampling import pixel_places, sample


@dataclasses.dataclass(frozen=True)
class LensDistortion(Augmentation):
    """Bends an image as a lens does: barrel (k > 0) and pincushion (k < 0), k ~ U(-strength,
    strength).

    The pixel at p, measured from the centre, gets what stood at p (1 + k r^2), where r is |p| over
    half the diagonal: the centre stays, a corner looks up (1 + k) times as far out. (Wu et al.
    2015, Deep Image: lens distortion; lecture 1: "geometric distortion".) Keeps the
    class of natural images at 0.3 and below.

    Args:
      strength: the largest |k|, 0 to 1.
      fill: what stands outside of the old image, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: a strength out of range, or an unknown fill.
    """

    strength: float
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "lens_distortion", {"strength": (0, 1), "cval": (0, 255)})

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """k, float32 `[]`."""
        return jax.random.uniform(key, minval=-self.strength, maxval=self.strength)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The image through the lens k."""
        height, width, _ = image.shape
        y, x = pixel_places(height, width)
        corner = max(((height - 1) ** 2 + (width - 1) ** 2) / 4, 1.0)
        factor = 1 + drawn * (x**2 + y**2) / corner
        rows, columns = factor * y + (height - 1) / 2, factor * x + (width - 1) / 2
        return sample(image, rows, columns, self.fill, self.cval)


@dataclasses.dataclass(frozen=True)
class Elastic(Augmentation):
    """Moves each pixel a little, its neighbours nearly alike, as the muscles of a hand do.

    Simard, Steinkraus and Platt 2003, section 2: a field of U(-1, 1) for each direction, smoothed
    with a Gaussian of standard deviation sigma and multiplied by alpha, says how far from its own
    place a pixel looks up its value. Outside of the image the field counts as 0; it is not
    normalised. The smoothed field has a standard deviation of about 0.16 / sigma, so the
    displacements one of 0.16 alpha / sigma pixels. Keeps the class of 28-pixel digits at the
    paper's alpha = 34, sigma = 4 (1.4 pixels); a small sigma tears strokes apart.

    Args:
      alpha: pixels, from 0 on.
      sigma: pixels, from 0.1 on.
      fill: what stands outside of the old image, see `sampling.sample`.
      cval: the grey level for `constant`.

    Raises:
      CnnjaxError: a number out of range, or an unknown fill.
    """

    alpha: float
    sigma: float
    fill: str = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        limits = {"alpha": (0, np.inf), "sigma": (0.1, np.inf), "cval": (0, 255)}
        _check(self, "elastic", limits)

    def draw(self, key: jax.Array, shape: Shape) -> jax.Array:
        """The rough field, float32 `[2, H, W]` in -1 ... 1: (down, to the right)."""
        height, width, _ = shape
        # Drawn in a row, which compiles three times as fast and gives the same numbers.
        rough = jax.random.uniform(key, (2 * height * width,), minval=-1.0, maxval=1.0)
        return rough.reshape(2, height, width)

    def apply(self, image: jax.Array, drawn: jax.Array) -> jax.Array:
        """The image, displaced by the smoothed field."""
        height, width, _ = image.shape
        along_height, along_width = (gaussian_matrix(n, self.sigma) for n in (height, width))
        smooth = jnp.einsum("ih,dhw,jw->dij", along_height, drawn, along_width, precision="highest")
        rows, columns = jnp.mgrid[:height, :width] + self.alpha * smooth
        return sample(image, rows, columns, self.fill, self.cval)


def gaussian_matrix(size: int, sigma: float) -> np.ndarray:
    """float32 `[size, size]`: the Gaussian smoothing of a row of pixels that is 0 outside; the bell
    is cut off at 4 sigma and sums to 1, as in `scipy.ndimage.gaussian_filter`."""
    distance = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    bell = np.exp(-0.5 * (distance / sigma) ** 2)
    bell /= bell.sum()
    apart = np.arange(size)[:, None] - np.arange(size)
    weights = dict(zip(distance.tolist(), bell.tolist(), strict=True))
    return np.vectorize(lambda d: weights.get(int(d), 0.0))(apart).astype(np.float32)


def _check(augmentation: Augmentation, name: str, limits: dict[str, tuple[float, float]]) -> None:
    check_fill(name, augmentation.fill)
    for field, (low, high) in limits.items():
        value = check_number(name, field, getattr(augmentation, field), low, high)
        object.__setattr__(augmentation, field, value)


lens_distortion = LensDistortion
elastic = Elastic
