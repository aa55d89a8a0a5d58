"""Grouped and depthwise convolution on the CPU.

XLA's library takes no groups: the gradients of a grouped convolution are then hundreds of times
slower, a depthwise convolution about ten times. So here

  * a grouped convolution is one convolution per group (`convolution_cpu`), in a loop that is
    compiled once;
  * a depthwise convolution, where nothing is summed over channels, is a sum of shifted images, each
    multiplied by one weight per channel.

`kernels` are `[kh, kw, C / groups, O]` throughout.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers import convolution_cpu, image_gradient_cpu, kernel_gradient_cpu
from cnnjax.layers.convolution_cpu import of_sums
from cnnjax.layers.windows import Pads


def convolve(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
    groups: int,
) -> jax.Array:
    """[N, H, W, C] -> [N, H', W', O]."""
    if 1 < groups == images.shape[3]:
        return _depthwise(_repeated(images, kernels.shape[3]), kernels, strides, pads, dilation)
    rule = partial(convolution_cpu.convolve, strides=strides, pads=pads, dilation=dilation)
    return _per_group(rule, images, kernels, groups)


def image_gradient(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
    groups: int,
) -> jax.Array:
    """[N, H', W', O] -> [N, H, W, C] with (H, W) = `size`."""
    if groups > 1 and kernels.shape[2] == 1:
        dx = _depthwise_image_gradient(gradient, kernels, size, strides, pads, dilation)
        return dx.reshape(*dx.shape[:3], groups, -1).sum(-1)
    rule = partial(
        image_gradient_cpu.image_gradient, size=size, strides=strides, pads=pads, dilation=dilation
    )
    return _per_group(rule, gradient, kernels, groups)


def kernel_gradient(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
    groups: int,
) -> jax.Array:
    """[N, H, W, C], [N, H', W', O] -> [kh, kw, C / groups, O] with (kh, kw) = `window`."""
    rule = {"window": window, "strides": strides, "pads": pads, "dilation": dilation}
    if 1 < groups == images.shape[3]:
        images = _repeated(images, gradient.shape[3])
        return _depthwise_kernel_gradient(images, gradient, **rule)
    rule = partial(kernel_gradient_cpu.kernel_gradient, **rule)
    return _per_group(rule, images, gradient, groups)


def _per_group(
    rule: Callable[[jax.Array, jax.Array], jax.Array], a: jax.Array, b: jax.Array, groups: int
) -> jax.Array:
    """Splits the last axis of both, applies the rule group by group, joins the last axis."""
    if groups == 1:
        return rule(a, b)

    def split(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x.reshape(*x.shape[:3], groups, -1), 3, 0)

    y = jnp.moveaxis(lax.map(lambda two: rule(*two), (split(a), split(b))), 0, 3)
    return y.reshape(*y.shape[:3], -1)


def _repeated(images: jax.Array, features: int) -> jax.Array:
    """Every channel as often as there are features made of it."""
    times = features // images.shape[3]
    return images if times == 1 else jnp.repeat(images, times, axis=3)


def _depthwise(
    images: jax.Array,
    kernels: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """y[n, i, j, c] = sum_{u,v} x[n, i s + u d, j s + v d, c] w[u, v, 0, c]."""
    dtype = of_sums(images)
    kh, kw = kernels.shape[:2]
    weights = kernels[:, :, 0].astype(dtype)
    # Without the barriers XLA pads again for every shift, and adds up again for every reader.
    x = lax.optimization_barrier(jnp.pad(images, ((0, 0), *pads, (0, 0))))
    rows = [_shifted(x, u * dilation[0], kh, strides[0], dilation[0], axis=1) for u in range(kh)]
    y = sum(
        _shifted(row, v * dilation[1], kw, strides[1], dilation[1], axis=2).astype(dtype)
        * weights[u, v]
        for u, row in enumerate(rows)
        for v in range(kw)
    )
    return lax.optimization_barrier(y.astype(x.dtype))


def _shifted(x: jax.Array, by: int, k: int, stride: int, dilation: int, axis: int) -> jax.Array:
    """Of a padded image what one weight of the kernel meets, along one axis."""
    last = (x.shape[axis] - (k - 1) * dilation - 1) // stride * stride
    return lax.slice_in_dim(x, by, by + last + 1, stride, axis)


def _depthwise_image_gradient(
    gradient: jax.Array,
    kernels: jax.Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """The gradient, with zeros where windows lie apart, meets the kernels turned by 180 degrees."""
    places = []
    for n, m, k, s, d, (low, _) in zip(
        size, gradient.shape[1:3], kernels.shape[:2], strides, dilation, pads, strict=True
    ):
        places.append(((k - 1) * d - low, n + low - (m - 1) * s - 1, s - 1))
    zero = jnp.zeros((), gradient.dtype)
    gradient = lax.pad(gradient, zero, ((0, 0, 0), *places, (0, 0, 0)))
    return _depthwise(gradient, kernels[::-1, ::-1], (1, 1), ((0, 0), (0, 0)), dilation)


def _depthwise_kernel_gradient(
    images: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    dilation: tuple[int, int],
) -> jax.Array:
    """dw[u, v, 0, c] = sum_{n,i,j} x[n, i s + u d, j s + v d, c] dy[n, i, j, c].

    Row i of all images is added to what the rows before it gave; only at the end are the images
    and columns summed. A sum over all of them at once is four times slower: XLA reduces along
    other axes than the last without vector registers.
    """
    kh, kw = window
    n, height, width, c = gradient.shape
    dtype = of_sums(images)
    x = jnp.pad(images, ((0, 0), *pads, (0, 0)))
    reach = (kh - 1) * dilation[0] + 1

    def add(totals: tuple[jax.Array, ...], i: jax.Array) -> tuple[tuple[jax.Array, ...], None]:
        rows = lax.dynamic_slice_in_dim(x, i * strides[0], reach, axis=1)
        rows = lax.slice_in_dim(rows, 0, reach, dilation[0], axis=1).astype(dtype)
        dy = lax.dynamic_slice_in_dim(gradient, i, 1, axis=1).astype(dtype)
        return tuple(
            total + _shifted(rows, v * dilation[1], kw, strides[1], dilation[1], axis=2) * dy
            for v, total in enumerate(totals)
        ), None

    zeros = (jnp.zeros((n, kh, width, c), dtype),) * kw
    totals, _ = lax.scan(add, zeros, jnp.arange(height))
    sums = jnp.stack([total.sum((0, 2)) for total in totals], axis=1)
    return sums[:, :, None, :].astype(gradient.dtype)
