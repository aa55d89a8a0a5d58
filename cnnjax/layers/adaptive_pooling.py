"""Average pooling to a given number of pixels."""

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError
from cnnjax.layers.windows import pair, require_images


def adaptive_avg_pool(x: jax.Array, size: int | tuple[int, int]) -> jax.Array:
    """Mean over windows that are as large as they must be for a map of `size` to come out.

    x [N, H, W, C], floating -> [N, h, w, C] with (h, w) = size. Window i of h runs from pixel
    floor(i H / h) to before ceil((i + 1) H / h): windows overlap where h does not divide H, and a
    map of the right size stays as it is. As torch.nn.AdaptiveAvgPool2d, which lets torchvision's
    AlexNet and VGG take images of any size.

    Raises CnnjaxError for another rank or dtype, images without pixels, or a size below 1.

    >>> x = jnp.arange(5.0).reshape(1, 5, 1, 1)
    >>> adaptive_avg_pool(x, (2, 1)).ravel().tolist()  # pixels 0 to 2 and 2 to 4
    [1.0, 3.0]
    """
    require_images(x, "adaptive_avg_pool")
    if 0 in x.shape[1:3]:
        raise CnnjaxError(f"the input is {list(x.shape)}; its images must have pixels")
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for axis, m in zip((1, 2), pair(size, "size"), strict=True):
        n = wide.shape[axis]
        if n == m:
            continue
        edges = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        means = [
            jax.lax.slice_in_dim(wide, first, end, axis=axis).mean(axis, keepdims=True)
            for first, end in edges
        ]
        wide = jnp.concatenate(means, axis)
    return wide.astype(x.dtype)
