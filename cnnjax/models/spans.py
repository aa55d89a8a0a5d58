"""How each operation of a trace changes which pixels of the image an array sees."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from jax.extend import core

from cnnjax.errors import CnnjaxError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """What an array sees of one direction of the image.

    Attributes:
      axis: of the array, along which the place in the image changes; None where every number of
        the array sees the same pixels.
      start: the first pixel that position 0 sees; negative in the padding.
      size: how many pixels one position sees.
      jump: pixels from one position to the next.
    """

    axis: int | None
    start: int = 0
    size: int = 1
    jump: int = 1

    def window(self, k: int, stride: int, dilation: int, before: int) -> "Span":
        """What windows of k positions see, `before` positions of padding in front."""
        start = self.start - before * self.jump
        size = self.size + (k - 1) * dilation * self.jump
        return Span(self.axis, start, size, self.jump * stride)

    def on(self, axis: int) -> "Span":
        """The same, along another axis of another array."""
        return Span(axis, self.start, self.size, self.jump)

    def together(self, positions: int) -> "Span":
        """What the first positions see together."""
        if self.axis is None:
            return self
        return Span(None, self.start, self.size + (positions - 1) * self.jump)


class Operand(NamedTuple):
    """An input of an equation: which one it is, and what it sees along one direction."""

    number: int
    span: Span
    shape: Shape

    def together(self) -> Span:
        return self.span.together(self.shape[self.span.axis])


def after(equation: core.JaxprEqn, operand: Operand) -> Span:
    """What the result sees of the image through this one operand.

    Raises:
      CnnjaxError: an operation that is not known.
    """
    if operand.span.axis is None:
        return operand.span
    rule = RULES.get(equation.primitive.name, _elementwise)
    return rule(equation, operand)


def _convolution(equation: core.JaxprEqn, operand: Operand) -> Span:
    params, axis = equation.params, operand.span.axis
    numbers = params["dimension_numbers"]
    places = numbers.lhs_spec[2:]
    if operand.number != 0 or axis not in places:
        return operand.together()
    direction = places.index(axis)
    if params["lhs_dilation"][direction] != 1:
        raise _unknown("a transposed convolution")
    return operand.span.window(
        k=equation.invars[1].aval.shape[numbers.rhs_spec[2:][direction]],
        stride=params["window_strides"][direction],
        dilation=params["rhs_dilation"][direction],
        before=params["padding"][direction][0],
    ).on(numbers.out_spec[2:][direction])


def _reduce_window(equation: core.JaxprEqn, operand: Operand) -> Span:
    params, axis = equation.params, operand.span.axis
    if params["base_dilation"][axis] != 1:
        raise _unknown("windows of a dilated array")
    return operand.span.window(
        k=params["window_dimensions"][axis],
        stride=params["window_strides"][axis],
        dilation=params["window_dilation"][axis],
        before=params["padding"][axis][0],
    )


def _product(equation: core.JaxprEqn, operand: Operand) -> Span:
    contracted, batch = equation.params["dimension_numbers"]
    k, axis = operand.number, operand.span.axis
    if axis in batch[k]:
        return operand.span.on(tuple(batch[k]).index(axis))
    if axis in contracted[k]:
        return operand.together()
    free = [d for d in range(len(operand.shape)) if d not in (*contracted[k], *batch[k])]
    before = len(batch[0])
    if k == 1:
        left = equation.invars[0].aval.shape
        before += len(left) - len(contracted[0]) - len(batch[0])
    return operand.span.on(before + free.index(axis))


def _reduce(equation: core.JaxprEqn, operand: Operand) -> Span:
    axes, axis = equation.params["axes"], operand.span.axis
    if axis in axes:
        return operand.together()
    return operand.span.on(axis - sum(a < axis for a in axes))


def _squeeze(equation: core.JaxprEqn, operand: Operand) -> Span:
    axes, axis = equation.params["dimensions"], operand.span.axis
    if axis in axes:
        return operand.together()
    return operand.span.on(axis - sum(a < axis for a in axes))


def _broadcast(equation: core.JaxprEqn, operand: Operand) -> Span:
    axis = equation.params["broadcast_dimensions"][operand.span.axis]
    if equation.outvars[0].aval.shape[axis] != operand.shape[operand.span.axis]:
        return operand.together()
    return operand.span.on(axis)


def _tile(equation: core.JaxprEqn, operand: Operand) -> Span:
    once = equation.params["reps"][operand.span.axis] == 1
    return operand.span if once else operand.together()


def _reshape(equation: core.JaxprEqn, operand: Operand) -> Span:
    """An axis survives where as much lies in front of it as before; else all is seen at once."""
    shape, old, axis = equation.outvars[0].aval.shape, operand.shape, operand.span.axis
    for new, size in enumerate(shape):
        if old[axis] > 1:
            same = size == old[axis] and math.prod(shape[:new]) == math.prod(old[:axis])
        else:  # one of one pixel could be any axis of one
            same = new == axis and shape[: new + 1] == old[: axis + 1]
        if same:
            return operand.span.on(new)
    return operand.together()


def _transpose(equation: core.JaxprEqn, operand: Operand) -> Span:
    return operand.span.on(tuple(equation.params["permutation"]).index(operand.span.axis))


def _pad(equation: core.JaxprEqn, operand: Operand) -> Span:
    before, _, between = equation.params["padding_config"][operand.span.axis]
    if between:
        raise _unknown("padding between the pixels")
    return operand.span.window(1, stride=1, dilation=1, before=int(before))


def _slice(equation: core.JaxprEqn, operand: Operand) -> Span:
    axis = operand.span.axis
    first = equation.params["start_indices"][axis]
    stride = (equation.params["strides"] or (1,) * len(operand.shape))[axis]
    return operand.span.window(1, stride=stride, dilation=1, before=-first)


def _along_axis(equation: core.JaxprEqn, operand: Operand) -> Span:
    """Concatenation, splitting, sorting, cumulated sums, ...: along one axis, which mixes it."""
    params = equation.params
    along = params.get("dimension", params.get("axis", params.get("dimensions")))
    along = along if isinstance(along, tuple) else (along,)
    return operand.together() if operand.span.axis in along else operand.span


def _elementwise(equation: core.JaxprEqn, operand: Operand) -> Span:
    shape, axis = equation.outvars[0].aval.shape, operand.span.axis
    # One of one element along an axis is taken for all, in some operations without a broadcast.
    fits = len(shape) == len(operand.shape) and all(
        n in (1, m) for n, m in zip(operand.shape, shape, strict=True)
    )
    # What works along an axis or by indices says so in its parameters.
    locating = {"axis", "axes", "dimension", "dimensions", "dimension_numbers", "fft_lengths"}
    if not fits or locating & set(equation.params) or _has_function(equation):
        raise _unknown(f"the operation {equation.primitive.name!r}")
    return operand.span if operand.shape[axis] == shape[axis] else operand.together()


def _has_function(equation: core.JaxprEqn) -> bool:
    return any(isinstance(v, core.Jaxpr | core.ClosedJaxpr) for v in equation.params.values())


def _unknown(what: str) -> CnnjaxError:
    return CnnjaxError(
        f"the receptive field cannot be followed through {what}; it can through convolution, "
        "pooling, matrix products, elementwise operations, padding, slicing and reshaping; write "
        "the stage with these"
    )


RULES = {
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": _squeeze,
    "tile": _tile,
    "transpose": _transpose,
    **dict.fromkeys(("concatenate", "split", "sort", "rev"), _along_axis),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _along_axis),
    **dict.fromkeys(("argmax", "argmin"), _reduce),
    **{f"reduce_{kind}": _reduce for kind in ("sum", "max", "min", "prod", "and", "or")},
    **{f"reduce_window{kind}": _reduce_window for kind in ("", "_sum", "_max", "_min")},
}
