"""Standardisation: images in units in which a network learns well, by what the training set says.

Other than an augmentation nothing here is random, and the units change: it is fitted once, on the
training images, and applied to training and test images alike, after any augmentation.
"""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.augment.checks import check_number
from cnnjax.errors import CnnjaxError

_CHUNK = 1024
"""Images that are held in double precision at a time."""


_STATIC = {"static": True}  # part of the program that JAX compiles, not of the arrays


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Standardization:
    """A fitted function, images `[N, H, W, C]` -> float32 of the same shape; a pytree.

    The steps are those of Keras' `ImageDataGenerator.standardize`, in its order: `function`, times
    `rescale`, minus the image's own mean, divided by its own std + epsilon, minus `mean`, divided
    by `std` + epsilon, times `whitening`. Use `fit_standardization` to make one.

    Attributes:
      mean: of each channel over the training set, float32 `[C]`, or None.
      std: of each channel after `mean` is taken off, float32 `[C]`, or None.
      whitening: float32 `[H W C, H W C]`, or None.
      samplewise_center: whether each image loses its own mean, over all its pixels and channels.
      samplewise_std_normalization: whether it is then divided by its own standard deviation.
      rescale: factor of all pixels, or None.
      function: the user's own, (image float32 `[H, W, C]`) -> image, or None.
      epsilon: what is added to standard deviations before they divide.
    """

    mean: jax.Array | None = None
    std: jax.Array | None = None
    whitening: jax.Array | None = None
    samplewise_center: bool = dataclasses.field(default=False, metadata=_STATIC)
    samplewise_std_normalization: bool = dataclasses.field(default=False, metadata=_STATIC)
    rescale: float | None = dataclasses.field(default=None, metadata=_STATIC)
    function: Callable[[jax.Array], jax.Array] | None = dataclasses.field(
        default=None, metadata=_STATIC
    )
    epsilon: float = dataclasses.field(default=1e-6, metadata=_STATIC)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Standardises a batch.

        Raises:
          CnnjaxError: images of another rank, size or number of channels than it was fitted on.
        """
        images = jnp.asarray(images)
        _check_images(images)
        x = images.astype(jnp.float32)
        if self.function is not None:
            x = jax.vmap(self.function)(x)
        if self.rescale is not None:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - x.mean(axis=(1, 2, 3), keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(axis=(1, 2, 3), keepdims=True) + self.epsilon)
        for fitted in (self.mean, self.std):
            if fitted is not None and fitted.shape[-1] != x.shape[3]:
                raise CnnjaxError(
                    f"the images have {x.shape[3]} channels, the standardisation was fitted on "
                    f"images of {fitted.shape[-1]}; give images like the training set's"
                )
        if self.mean is not None:
            x = x - self.mean
        if self.std is not None:
            x = x / (self.std + self.epsilon)
        if self.whitening is not None:
            flat = x.reshape(len(x), -1)
            if flat.shape[1] != len(self.whitening):
                raise CnnjaxError(
                    f"the images of shape {list(x.shape[1:])} have {flat.shape[1]} pixels and "
                    f"channels, the whitening was fitted on {len(self.whitening)}; give images of "
                    "the training set's size"
                )
            x = jnp.matmul(flat, self.whitening, precision="highest").reshape(x.shape)
        return x


def fit_standardization(
    images: np.ndarray,
    *,
    featurewise_center: bool = False,
    featurewise_std_normalization: bool = False,
    samplewise_center: bool = False,
    samplewise_std_normalization: bool = False,
    zca_whitening: bool = False,
    zca_epsilon: float = 1e-6,
    rescale: float | None = None,
    function: Callable[[jax.Array], jax.Array] | None = None,
    epsilon: float = 1e-6,
) -> Standardization:
    """Fits a standardisation on the training images (the options of lecture 2's generator).

    - centring takes off the mean, std normalisation (which implies centring) divides by the
      standard deviation, (x - mu) / (sigma + epsilon): featurewise those of each channel over the
      training set, samplewise those of each image over all its pixels and channels;
    - ZCA whitening (which implies featurewise centring) makes pixels uncorrelated while images stay
      as near as possible to what they were: x W with W = U diag(1 / sqrt(lambda + zca_epsilon)) U^T
      and the second moment X^T X / N = U diag(lambda) U^T of the centred training set
      (Krizhevsky 2009, appendix A). Keras up to 2.x has this formula; Keras 3.15 has
      1 / (sqrt(lambda) + zca_epsilon / sqrt(N)), the same where zca_epsilon is small against
      lambda. It is in the units of lambda: raise it where fine detail is mostly noise. The matrix
      has (H W C)^2 entries: for small images.

    All that is fitted is fitted on the images after the samplewise steps, `rescale` and `function`,
    as they will be when it is applied. (Keras fits before the samplewise steps and `function`.)

    Args:
      images: the training set, uint8 or float32 `[N, H, W, C]`, as it will be given later.
      featurewise_center: see above.
      featurewise_std_normalization: see above.
      samplewise_center: see above.
      samplewise_std_normalization: see above.
      zca_whitening: see above.
      zca_epsilon: added to the variances lambda; above 0.
      rescale: factor of all pixels, e.g. 1 / 255.
      function: the user's own, (image float32 `[H, W, C]`) -> image, in `jax.numpy`; comes first.
      epsilon: added to standard deviations.

    Raises:
      CnnjaxError: images of another rank or dtype or none at all, an option out of range, or both
        ZCA whitening and featurewise std normalisation.

    >>> images = np.array([0, 0, 10, 30], np.uint8).reshape(2, 1, 2, 1)
    >>> center = fit_standardization(images, featurewise_center=True)
    >>> center(images).ravel().tolist()
    [-10.0, -10.0, 0.0, 20.0]
    """
    images = np.asarray(images)
    _check_images(images)
    if len(images) == 0:
        raise CnnjaxError("there are no images to fit a standardisation on; give the training set")
    epsilon = check_number("fit_standardization", "epsilon", epsilon, 0)
    zca_epsilon = check_number("fit_standardization", "zca_epsilon", zca_epsilon, 1e-30)
    if rescale is not None:
        rescale = check_number("fit_standardization", "rescale", rescale, -np.inf)
    if zca_whitening and featurewise_std_normalization:
        raise CnnjaxError(
            "zca_whitening already makes every standard deviation 1; featurewise_std_normalization "
            "beside it has no meaning; leave one out"
        )
    fitted = Standardization(
        samplewise_center=samplewise_center or samplewise_std_normalization,
        samplewise_std_normalization=samplewise_std_normalization,
        rescale=rescale,
        function=function,
        epsilon=epsilon,
    )
    if featurewise_center or featurewise_std_normalization or zca_whitening:
        mean = _mean_over_pixels(images, fitted, lambda x: x)
        fitted = dataclasses.replace(fitted, mean=jnp.asarray(mean, jnp.float32))
    if featurewise_std_normalization:
        # The mean of squares, now that the mean itself is 0.
        variance = _mean_over_pixels(images, fitted, np.square)
        fitted = dataclasses.replace(fitted, std=jnp.asarray(np.sqrt(variance), jnp.float32))
    if zca_whitening:
        flat = (x.reshape(len(x), -1) for x in _chunks(images, fitted))
        moment = sum(x.T @ x for x in flat) / len(images)
        variances, directions = np.linalg.eigh(moment)
        scales = 1 / np.sqrt(np.maximum(variances, 0) + zca_epsilon)
        matrix = (directions * scales) @ directions.T
        fitted = dataclasses.replace(fitted, whitening=jnp.asarray(matrix, jnp.float32))
    return fitted


def _chunks(images: np.ndarray, fitted: Standardization) -> Iterator[np.ndarray]:
    """The images as `fitted` makes them so far, in double precision, a few at a time."""
    for begin in range(0, len(images), _CHUNK):
        yield np.asarray(fitted(images[begin : begin + _CHUNK]), np.float64)


def _mean_over_pixels(
    images: np.ndarray, fitted: Standardization, of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The mean of a function of the pixels over all images, rows and columns: `[C]`."""
    sums = [of(x).mean(axis=(1, 2)).sum(axis=0) for x in _chunks(images, fitted)]
    return np.sum(sums, axis=0) / len(images)


def _check_images(images: np.ndarray | jax.Array) -> None:
    if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
        raise CnnjaxError(
            f"the images to standardise are {images.dtype}{list(images.shape)}; expected uint8 or "
            "float32 [N, H, W, C]; convert them"
        )
