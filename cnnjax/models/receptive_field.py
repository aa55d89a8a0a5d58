"""Which pixels of the image a unit sees, from a function's trace.

Position i of a map sees the pixels start + i jump ... start + i jump + size - 1. The image itself
has start 0, size 1 and jump 1; a window of k with stride s, dilation d and p pixels of padding
makes

    start' = start - p jump,    size' = size + (k - 1) d jump,    jump' = s jump

(Dumoulin and Visin 2016, section 5.1, and Araujo et al. 2019), and where branches meet, a unit
sees from the first to the last pixel that any of them sees. Both directions of the image are
followed, equation by equation.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax.extend import core

from cnnjax.models.network import Network
from cnnjax.models.spans import Operand, Span, after
from cnnjax.models.trace import StageTrace, trace

Spans = tuple[Span, Span]  # down and right
Seen = list[Spans | None]  # one entry an array; None for those in which the image has no part


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a unit, in pixels of the image, (height, width).

    Attributes:
      size: of the window that a unit of a map sees, padding included; for a vector, how much of
        the image it sees.
      stride: from the window of one unit to that of its neighbour; None for a vector.
      start: where the window of the first unit begins; below 0 in the padding.
      whole: every unit sees the whole image.
    """

    size: tuple[int, int]
    stride: tuple[int, int] | None
    start: tuple[int, int]
    whole: bool


def receptive_field(
    function: Callable[[jax.Array], jax.Array], image_shape: tuple[int, int, int]
) -> ReceptiveField:
    """The receptive field of a function of images [N, H, W, C], which is traced, not computed.

    Args:
      function: images -> maps or vectors.
      image_shape: (height, width, channels).

    Returns:
      The receptive field of a unit of what the function gives.

    Raises:
      CnnjaxError: an operation through which the receptive field cannot be followed.

    >>> from cnnjax.layers import conv2d
    >>> kernel = jnp.ones((3, 3, 1, 1))
    >>> three = lambda x: conv2d(conv2d(conv2d(x, kernel), kernel), kernel)
    >>> receptive_field(three, (9, 9, 1)).size  # lecture 5: that of one 7 x 7 layer
    (7, 7)
    """
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    closed = jax.make_jaxpr(function)(image)
    return _field(_through(closed.jaxpr, [_image()]), image_shape)


def receptive_fields(
    network: Network, image_shape: tuple[int, int, int]
) -> dict[str, ReceptiveField]:
    """The receptive fields of a network's stages.

    Args:
      network: the composition.
      image_shape: (height, width, channels).

    Returns:
      {stage: the receptive field of a unit of its output}, in order.

    Raises:
      CnnjaxError: the network cannot take such images, or an operation through which the
        receptive field cannot be followed.

    >>> import cnnjax
    >>> fields = receptive_fields(cnnjax.create("lenet5"), (32, 32, 1))
    >>> fields["c3"].size, fields["c3"].stride, fields["c5"].whole
    ((16, 16), (4, 4), True)
    """
    return fields_of(trace(network, image_shape), image_shape)


def fields_of(
    stages: list[StageTrace], image_shape: tuple[int, int, int]
) -> dict[str, ReceptiveField]:
    """As `receptive_fields`, for stages that are traced already."""
    fields, seen = {}, [_image()]
    for stage in stages:
        variables = [None] * (len(stage.jaxpr.invars) - len(seen))
        seen = _through(stage.jaxpr, [*variables, *seen])
        fields[stage.name] = _field(seen, image_shape)
    return fields


def _image() -> Spans:
    return Span(1), Span(2)


def _field(seen: Seen, image_shape: tuple[int, int, int]) -> ReceptiveField:
    """That of the array that sees most, where there are several."""
    nothing = (Span(None, 0, 0), Span(None, 0, 0))
    spans = max((s for s in seen if s), key=lambda s: s[0].size, default=nothing)
    sizes, starts, whole = [], [], True
    for span, pixels in zip(spans, image_shape[:2], strict=True):
        end = span.start + span.size
        whole = whole and span.axis is None and span.start <= 0 and end >= pixels
        inside = max(0, min(end, pixels) - max(span.start, 0))
        sizes.append(inside if span.axis is None else span.size)
        starts.append(span.start)
    is_map = all(span.axis is not None for span in spans)
    stride = (spans[0].jump, spans[1].jump) if is_map else None
    return ReceptiveField((sizes[0], sizes[1]), stride, (starts[0], starts[1]), whole)


def _through(jaxpr: core.Jaxpr, arguments: Seen) -> Seen:
    known = dict(zip(jaxpr.invars, arguments, strict=True))

    def seen_by(variables: list[core.Var | core.Literal]) -> Seen:
        return [None if isinstance(v, core.Literal) else known.get(v) for v in variables]

    for equation in jaxpr.eqns:
        inputs = seen_by(equation.invars)
        nothing = [None] * len(equation.outvars)
        outputs = _step(equation, inputs) if any(inputs) else nothing
        known.update(zip(equation.outvars, outputs, strict=True))
    return seen_by(jaxpr.outvars)


def _step(equation: core.JaxprEqn, inputs: Seen) -> Seen:
    params = equation.params
    if equation.primitive.name == "cond":  # forms for platforms; the last one is the textbook's
        return _through(params["branches"][-1].jaxpr, inputs[1:])
    if equation.primitive.name in CALLS:
        function = params.get("jaxpr", params.get("call_jaxpr"))
        return _through(getattr(function, "jaxpr", function), inputs)
    shapes = [v.aval.shape for v in equation.invars]
    seen = [
        [
            after(equation, Operand(number, spans[direction], shapes[number]))
            for number, spans in enumerate(inputs)
            if spans
        ]
        for direction in (0, 1)
    ]
    shape = equation.outvars[0].aval.shape
    return [(_union(seen[0], shape), _union(seen[1], shape))] * len(equation.outvars)


CALLS = ("jit", "pjit", "closed_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")


def _union(spans: list[Span], shape: tuple[int, ...]) -> Span:
    """What is seen where arrays of one shape are added, multiplied or laid side by side."""
    if len({(span.axis, span.jump) for span in spans}) > 1:
        spans = [s if s.axis is None else s.together(shape[s.axis]) for s in spans]
    start = min(span.start for span in spans)
    end = max(span.start + span.size for span in spans)
    return replace(spans[0], start=start, size=end - start)
