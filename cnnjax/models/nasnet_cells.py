"""The two cells of NASNet-A (Zoph, Vasudevan, Shlens and Le 2018, "Learning transferable
architectures for scalable image recognition", figure 4)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import variance_scaling
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError
from cnnjax.layers import BatchNorm, Conv, ConvNorm, SeparableConv, avg_pool, max_pool
from cnnjax.layers.windows import resolve_padding

Maps = tuple[jax.Array, jax.Array]
"""The maps of the two last cells, the one before the last first."""

Separable = Callable[..., jax.Array]
"""(name, maps, kernel, stride = 1) -> maps: makes and applies a `TwoSeparable`."""

EPSILON = 1e-3

he_fan_out = variance_scaling(2.0, "fan_out", "truncated_normal")
depthwise_he_fan_out = variance_scaling(2.0, "fan_in", "truncated_normal")
"""The authors count what a weight of a depthwise kernel goes to in its channel, kh kw numbers; that
is what `variance_scaling` calls the fan-in of [kh, kw, 1, C]."""


def separable_he_fan_out(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """For both kernels of a separable convolution; the pointwise one is [1, 1, C, features]."""
    draw = he_fan_out if shape[:2] == (1, 1) else depthwise_he_fan_out
    return draw(key, shape, dtype)


class TwoSeparable(nn.Module):
    """norm(separable(relu(x))), twice, as appendix A says of each separable convolution of a cell.

    [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), filters]: the first one has the stride.
    """

    filters: int
    kernel: int
    stride: int
    momentum: float
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for number, stride in ((1, self.stride), (2, 1)):
            x = SeparableConv(
                self.filters,
                self.kernel,
                stride=stride,
                padding="same",
                kernel_init=separable_he_fan_out,
                name=f"separable_{number}",
                **types,
            )(nn.relu(x), train=train)
            x = BatchNorm(self.momentum, EPSILON, name=f"norm_{number}", **types)(x, train=train)
        return x


class FactorizedReduction(nn.Module):
    """norm([conv(x), conv(x shifted by one pixel)]) of relu(x), both 1 x 1 with stride 2.

    [N, H, W, C] -> [N, ceil(H / 2), ceil(W / 2), filters], half of the filters each: one sees the
    pixels at even places of both directions, the other those at odd places.
    """

    filters: int
    momentum: float
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        half = partial(
            Conv,
            self.filters // 2,
            kernel=1,
            stride=2,
            use_bias=False,
            kernel_init=he_fan_out,
            **types,
        )
        x = nn.relu(x)
        shifted = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
        paths = [half(name="path_1")(x, train=train), half(name="path_2")(shifted, train=train)]
        y = jnp.concatenate(paths, axis=-1)
        return BatchNorm(self.momentum, EPSILON, name="norm", **types)(y, train=train)


class Cell(nn.Module):
    """What both cells of figure 4 begin with; their blocks are the subclasses'.

    (h', h) -> (h, y), where h is what the cell in front gave, h' what the one before that gave and
    y what this one gives. Both are brought to `filters` maps of h's size first.

    Attributes:
      filters: of every operation; the output is the concatenation of several.
      momentum: of the running statistics.
      zeros_in_maxima: whether padded pixels count as 0 in maximum pooling, not as -inf.
      previous: "as_is" takes one array h for both, and h' as it is; "project" has a 1 x 1
        convolution for h' and "reduce" a `FactorizedReduction`, for an h' of twice the size.
      skip: whether the next cell gets h' in place of h as the last but one.
      last: whether there is no next cell; then relu(y) is given, alone.
    """

    filters: int
    momentum: float
    zeros_in_maxima: bool
    previous: str = "project"
    skip: bool = False
    last: bool = False
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array | Maps, *, train: bool) -> jax.Array | Maps:
        before, last = self._two(x)
        shared = self._shared()
        conv = partial(ConvNorm, self.filters, 1, epsilon=EPSILON, kernel_init=he_fan_out, **shared)
        h = conv(name="current")(nn.relu(last), train=train)
        p = before
        if self.previous == "project":
            p = conv(name="previous")(nn.relu(before), train=train)
        elif self.previous == "reduce":
            p = FactorizedReduction(self.filters, name="previous", **shared)(before, train=train)

        def separable(name: str, maps: jax.Array, kernel: int, stride: int = 1) -> jax.Array:
            operation = TwoSeparable(self.filters, kernel, stride, name=name, **shared)
            return operation(maps, train=train)

        y = jnp.concatenate(self.blocks(p, h, separable), axis=-1)
        return nn.relu(y) if self.last else (before if self.skip else last, y)

    @nn.nowrap
    def blocks(self, p: jax.Array, h: jax.Array, separable: Separable) -> list[jax.Array]:
        """What the cell concatenates, made of the two maps of equally many filters."""
        raise NotImplementedError(f"{type(self).__name__} must define blocks()")

    @nn.nowrap
    def _shared(self) -> dict[str, object]:
        return {"momentum": self.momentum, "dtype": self.dtype, "param_dtype": self.param_dtype}

    @nn.nowrap
    def _two(self, x: jax.Array | Maps) -> Maps:
        if self.previous == "as_is":
            return x, x
        if not isinstance(x, tuple | list) or len(x) != 2:
            raise CnnjaxError(
                f"a cell got an input of shape {jax.tree.map(jnp.shape, x)}; it takes the maps of "
                "the two cells in front, (last but one, last); give all of what they gave"
            )
        return x[0], x[1]


class NormalCell(Cell):
    """Figure 4, left: [N, H, W, C] -> [N, H, W, 6 filters]."""

    @nn.nowrap
    def blocks(self, p: jax.Array, h: jax.Array, separable: Separable) -> list[jax.Array]:
        average = partial(avg_pool, window=3, stride=1, padding="same", count_padding=False)
        return [
            p,
            separable("left_1", h, 5) + separable("right_1", p, 3),
            separable("left_2", p, 5) + separable("right_2", p, 3),
            average(h) + p,
            2 * average(p),  # both operations of this block are the same
            separable("left_5", h, 3) + h,
        ]


class ReductionCell(Cell):
    """Figure 4, right: [N, H, W, C] -> [N, ceil(H / 2), ceil(W / 2), 4 filters].

    The first of the five blocks goes into two others and is not concatenated.
    """

    @nn.nowrap
    def blocks(self, p: jax.Array, h: jax.Array, separable: Separable) -> list[jax.Array]:
        average = partial(avg_pool, window=3, padding="same")
        largest = self._largest(h)
        first = separable("left_1", h, 5, 2) + separable("right_1", p, 7, 2)
        second = largest + separable("right_2", p, 7, 2)
        return [
            second,
            average(h, stride=2, count_padding=True) + separable("right_3", p, 5, 2),
            average(first, stride=1, count_padding=False) + second,
            separable("left_5", first, 3) + largest,
        ]

    @nn.nowrap
    def _largest(self, h: jax.Array) -> jax.Array:
        if not self.zeros_in_maxima:
            return max_pool(h, window=3, stride=2, padding="same")
        pads = resolve_padding("same", h.shape[1:3], (3, 3), (2, 2))
        return max_pool(jnp.pad(h, ((0, 0), *pads, (0, 0))), window=3, stride=2)
