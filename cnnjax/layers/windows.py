"""The geometry that convolution and pooling share: strides, padding, output sizes.

Every function raises CnnjaxError for a window that does not fit, so that the message speaks of
the layer and not of XLA's internals.
"""

from numbers import Integral
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError

Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | Literal["same", "valid"]
"""int: on all four sides; (int, int): (height, width), both sides of each; ((top, bottom),
(left, right)); "same": ceil(n / stride) outputs, the odd pixel at the end, as XLA and TensorFlow
pad; "valid": none."""

Pads = tuple[tuple[int, int], tuple[int, int]]


PadMode = Literal["zero", "edge"]
"""What the padding holds: zeros, or the nearest pixel (lecture 3: "same value padding")."""


def require_images(x: jax.Array, who: str) -> None:
    """Raises CnnjaxError unless `x` is floating `[N, H, W, C]`; `who` wants it."""
    if x.ndim != 4 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise CnnjaxError(
            f"the input is {x.dtype}{list(x.shape)}; {who} takes floating [N, H, W, C]"
        )


def pair(value: int | tuple[int, int], what: str) -> tuple[int, int]:
    """(height, width) of a size given as one number or as two; both must be at least 1."""
    both = (value, value) if isinstance(value, Integral) else value
    if not _are_integers(both, at_least=1):
        raise CnnjaxError(f"{what} is {value!r}; give an integer of at least 1, or two of them")
    return tuple(both)


def output_size(n: int, k: int, stride: int = 1, padding: int | tuple[int, int] = 0) -> int:
    """Positions of a window of `k` on `n` padded pixels: floor((n + low + high - k) / stride) + 1.

    Lecture 3 builds it up: n - k + 1 without padding, n + 2m pixels with padding m, and
    floor((n - k) / s) + 1 with stride s. A kernel with dilation d is a window of d (k - 1) + 1.

    Args:
      n: pixels before padding.
      k: the window.
      stride: s.
      padding: the same on both sides, or (low, high).

    Raises:
      CnnjaxError: a window or stride below 1, a padding below 0, a window that does not fit.

    >>> output_size(227, 11, stride=4)  # AlexNet, conv1
    55
    >>> output_size(28, 5, padding=2)
    28
    """
    low_high = (padding, padding) if isinstance(padding, Integral) else padding
    for what, value in (("window", k), ("stride", stride)):
        if not isinstance(value, Integral) or value < 1:
            raise CnnjaxError(f"{what} is {value!r}; give an integer of at least 1")
    if not _are_integers(low_high, at_least=0):
        raise CnnjaxError(f"padding is {padding!r}; give an integer of at least 0, or (low, high)")
    low, high = low_high
    if n + low + high < k:
        raise CnnjaxError(
            f"a window of {k} does not fit on {n} pixels padded by ({low}, {high}); "
            "give a larger image, more padding or a smaller window"
        )
    return (n + low + high - k) // stride + 1


def same_padding(kernel: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the symmetric padding m = (k - 1) / 2 that keeps the size at stride 1.

    Lecture 2: 3x3 -> 1, 5x5 -> 2, 7x7 -> 3, and "both dimensions must be odd, because we need a
    reasonable center pixel". The padding "same" takes even kernels too: it puts the odd pixel at
    the end, and with a stride it depends on the size of the image.

    Raises CnnjaxError for an even kernel.

    >>> same_padding(3), same_padding((1, 7))
    ((1, 1), (0, 3))
    """
    sizes = pair(kernel, "kernel")
    if any(k % 2 == 0 for k in sizes):
        raise CnnjaxError(
            f"kernel is {kernel!r}; symmetric padding keeps the size of odd kernels only, "
            'give an odd kernel, or padding="same", which pads one pixel more at the end'
        )
    return tuple((k - 1) // 2 for k in sizes)


def dilated(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """The window that a dilated kernel spans: d (k - 1) + 1."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def pad_edge(x: jax.Array, pads: Pads) -> jax.Array:
    """[N, H, W, C] padded by the nearest pixel of its edge."""
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="edge")


def shifts(x: jax.Array, k: int, s: int, axis: int) -> list[jax.Array]:
    """Of all windows the first pixel, the second, ... the k-th, along one axis."""
    last = (x.shape[axis] - k) // s * s
    return [lax.slice_in_dim(x, u, u + last + 1, s, axis) for u in range(k)]


def resolve_padding(
    padding: Padding, size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Pads:
    """((top, bottom), (left, right)) in pixels, for an image of `size` = (height, width)."""
    if padding == "valid":
        pads = ((0, 0), (0, 0))
    elif padding == "same":
        pads = tuple(_same(n, k, s) for n, k, s in zip(size, window, stride, strict=True))
    elif isinstance(padding, str):
        raise CnnjaxError(f'padding is {padding!r}; the names are "same" and "valid"')
    else:
        pads = _explicit(padding)
    for n, k, s, p in zip(size, window, stride, pads, strict=True):
        output_size(n, k, s, p)  # raises where the window does not fit
    return pads


def _same(n: int, k: int, stride: int) -> tuple[int, int]:
    total = max((-(-n // stride) - 1) * stride + k - n, 0)
    return total // 2, total - total // 2


def _explicit(padding: int | tuple) -> Pads:
    rows = (padding, padding) if isinstance(padding, Integral) else padding
    if isinstance(rows, tuple | list) and len(rows) == 2:
        pads = tuple((p, p) if isinstance(p, Integral) else p for p in rows)
        if all(_are_integers(p, at_least=0) for p in pads):
            return tuple(tuple(p) for p in pads)
    raise CnnjaxError(
        f"padding is {padding!r}; give an integer of at least 0, (height, width), "
        '((top, bottom), (left, right)), "same" or "valid"'
    )


def _are_integers(two: object, at_least: int) -> bool:
    return (
        isinstance(two, tuple | list)
        and len(two) == 2
        and all(isinstance(v, Integral) and v >= at_least for v in two)
    )
