"""A network's trace, stage by stage, and the multiply-adds in it: nothing is allocated."""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from cnnjax.errors import CnnjaxError
from cnnjax.models.network import Network, check_takes

Shapes = object
"""A pytree of jax.ShapeDtypeStruct."""


class StageTrace(NamedTuple):
    """One stage applied to one image, in evaluation mode.

    Attributes:
      name: the stage.
      variables: shapes of its variables, {"params": {name: ...}, ...}.
      inputs: shapes of what it takes.
      outputs: shapes of what it gives.
      jaxpr: of (variables, inputs) -> outputs.
    """

    name: str
    variables: dict[str, Shapes]
    inputs: Shapes
    outputs: Shapes
    jaxpr: core.Jaxpr


def trace(network: Network, image_shape: tuple[int, int, int]) -> list[StageTrace]:
    """Traces the stages one after the other.

    Args:
      network: the composition.
      image_shape: (height, width, channels).

    Returns:
      One trace a stage, in order.

    Raises:
      CnnjaxError: the network cannot take such images.
    """
    try:
        return list(_stages(network, image_shape))
    except CnnjaxError:
        check_takes(network, image_shape)  # says which size the network does take
        raise


def _stages(network: Network, image_shape: tuple[int, int, int]) -> Iterator[StageTrace]:
    x = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    for stage in network.stages:
        run = partial(network.init_with_output, start=stage, stop=stage)
        _, variables = jax.eval_shape(run, jax.random.key(0), x)
        apply = partial(network.apply, start=stage, stop=stage)
        closed, y = jax.make_jaxpr(apply, return_shape=True)(variables, x)
        yield StageTrace(stage, variables, x, y, closed.jaxpr)
        x = y


def multiply_adds(network: Network, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-adds of one forward pass of one image, by stage.

    Counted are those of convolutions and matrix products, as the papers do: a convolution takes
    H' W' O (kh kw C / groups) of them.

    Args:
      network: the composition.
      image_shape: (height, width, channels).

    Returns:
      {stage: multiply-adds}, in order.

    Raises:
      CnnjaxError: the network cannot take such images.

    >>> import cnnjax
    >>> multiply_adds(cnnjax.create("lenet5"), (32, 32, 1))
    {'c1': 117600, 'c3': 240000, 'c5': 48000, 'f6': 10080, 'output': 840}
    """
    return {stage.name: count(stage.jaxpr) for stage in trace(network, image_shape)}


def count(jaxpr: core.Jaxpr) -> int:
    """The multiply-adds of a traced function."""
    return sum(times * _cost(equation) for equation, times in equations(jaxpr))


def equations(jaxpr: core.Jaxpr, times: int = 1) -> Iterator[tuple[core.JaxprEqn, int]]:
    """All equations without an inner function, and how often each is computed.

    Of the forms for different platforms it goes through the last, which is the textbook's.
    """
    for equation in jaxpr.eqns:
        params = equation.params
        inner = list(_inner(params))
        if equation.primitive.name == "cond":
            inner = [params["branches"][-1].jaxpr]
        repeats = params["length"] if equation.primitive.name == "scan" else 1
        for function in inner:
            yield from equations(function, times * repeats)
        if not inner:
            yield equation, times


def _inner(params: dict[str, object]) -> Iterator[core.Jaxpr]:
    for value in params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _cost(equation: core.JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    outputs = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[params["dimension_numbers"].rhs_spec[0]]
        return outputs * math.prod(kernel) // features
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return outputs * math.prod(left[axis] for axis in contracted)
    return 0
