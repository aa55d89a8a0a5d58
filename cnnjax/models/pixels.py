"""The scale of pixels that weights from elsewhere were trained on."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError


@dataclass(frozen=True)
class Pixels:
    """From this project's pixels in [-1, 1] to those that a network's weights expect.

    y_c = (127.5 x_c + 127.5 - mean_c) / std_c for each channel c, channels turned around first if
    `bgr`. A field of the network (`Network.pixels`), so that whoever feeds it need not know.

    Attributes:
      mean: of each channel, in the order of the weights, on the scale 0 ... 255.
      std: likewise.
      bgr: whether the weights take blue first; images here are red, green, blue.

    >>> Pixels(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))(jnp.full((1, 1, 1, 3), -1.0)).sum()
    Array(0., dtype=float32)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise CnnjaxError(
                f"pixels of mean {self.mean} and deviation {self.std}; expected one of each per "
                "channel, deviations above 0"
            )

    def __call__(self, images: jax.Array) -> jax.Array:
        """Scales float images `[N, H, W, C]` from [-1, 1].

        Raises:
          CnnjaxError: images of another number of channels.
        """
        if images.shape[-1] != len(self.mean):
            raise CnnjaxError(
                f"images of {images.shape[-1]} channels; the weights were trained on "
                f"{len(self.mean)}; give images of as many"
            )
        if self.bgr:
            images = images[..., ::-1]
        mean = jnp.asarray([m / s - 127.5 / s for m, s in zip(self.mean, self.std, strict=True)])
        scale = jnp.asarray([127.5 / s for s in self.std])
        return images * scale.astype(images.dtype) - mean.astype(images.dtype)


TORCH = Pixels(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255)
)
"""torchvision's and most of timm's: mean and deviation of ImageNet's pixels."""

CAFFE = Pixels(mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), bgr=True)
"""Of the networks first trained in Caffe, which Keras' VGG and ResNet (v1) are: blue first,
ImageNet's means taken away, no other scale."""
