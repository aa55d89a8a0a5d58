"""What a network costs, counted from its trace: nothing is allocated or computed."""

import math
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
from jax.extend import core

from cnnjax.models.network import Network


def multiply_adds(network: Network, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-adds of one forward pass of one image, by stage.

    Counted are those of convolutions and matrix products, as the papers do: a convolution takes
    H' W' O (kh kw C / groups) of them.

    Args:
      network: the composition.
      image_shape: (height, width, channels).

    Returns:
      {stage: multiply-adds}, in order.

    >>> import cnnjax
    >>> multiply_adds(cnnjax.create("lenet5"), (32, 32, 1))
    {'c1': 117600, 'c3': 240000, 'c5': 48000, 'f6': 10080, 'output': 840}
    """
    counts = {}
    x = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    for stage in network.stages:
        run = partial(network.init_with_output, start=stage, stop=stage)
        _, variables = jax.eval_shape(run, jax.random.key(0), x)
        apply = partial(network.apply, start=stage, stop=stage)
        counts[stage] = _count(jax.make_jaxpr(apply)(variables, x).jaxpr)
        x = jax.eval_shape(apply, variables, x)
    return counts


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        out = equation.outvars[0].aval
        if name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(out.shape) * math.prod(kernel) // features
        elif name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += math.prod(out.shape) * math.prod(left[axis] for axis in contracted)
        elif name == "cond":  # forms for different platforms; the last one is the textbook's
            total += _count(params["branches"][-1].jaxpr)
        elif name == "scan":
            total += params["length"] * _count(params["jaxpr"].jaxpr)
        else:
            total += sum(_count(inner) for inner in _inner(params))
    return total


def _inner(params: dict[str, object]) -> Iterator[core.Jaxpr]:
    for value in params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
