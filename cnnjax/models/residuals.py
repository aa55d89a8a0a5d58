"""What the forward pass keeps for the backward pass, from the trace."""

import math
from functools import partial
from itertools import compress

import jax
import jax.numpy as jnp
from jax.extend import core

from cnnjax.models.network import Network
from cnnjax.models.trace import StageTrace


def kept_for_backward(network: Network, stages: list[StageTrace]) -> dict[str, int]:
    """Bytes that one image takes in memory from the forward to the backward pass, by stage.

    These are the arrays that `jax.vjp` keeps in training mode: the inputs of convolutions, matrix
    products and poolings, the signs for ReLU, the masks of dropout, and so on. Weights are not
    among them (`Row.parameter_bytes`), nor is anything that is made of weights alone. An array
    that two stages need is counted once, with the first; the image with the first stage. A
    compiler may keep less, by computing cheap things again.

    Args:
      network: the composition.
      stages: its trace.

    Returns:
      {stage: bytes}, in order.

    >>> import cnnjax
    >>> from cnnjax.models.trace import trace
    >>> mlp = cnnjax.create("mlp", hidden=(100,))
    >>> kept_for_backward(mlp, trace(mlp, (28, 28, 1)))  # 784 pixels + 100 signs; 100 activations
    {'fc1': 3236, 'fc2': 400}
    """
    kept, output_is_kept = {}, False
    for stage in stages:
        jaxpr, outputs = _forward(network, stage)
        inputs = set(jaxpr.invars)
        variables = [v for v in jaxpr.outvars if not isinstance(v, core.Literal)]
        arrays = list(dict.fromkeys(variables[outputs:]))
        images = _made_of_the_images(jaxpr, stage)
        counted = [v for v in arrays if v in images and not (v in inputs and output_is_kept)]
        kept[stage.name] = sum(_bytes(v) for v in counted)
        output_is_kept = any(v in arrays for v in variables[:outputs])
    return kept


def _forward(network: Network, stage: StageTrace) -> tuple[core.Jaxpr, int]:
    """The function (parameters, others, key, inputs) -> (outputs, kept), and how many outputs."""
    others = {name: group for name, group in stage.variables.items() if name != "params"}
    apply = partial(network.apply, train=True, start=stage.name, stop=stage.name)

    def forward(parameters: dict, others: dict, key: jax.Array, inputs: object) -> tuple:
        def run(parameters: dict, inputs: object) -> object:
            variables = {"params": parameters, **others}
            outputs, _ = apply(variables, inputs, rngs={"dropout": key}, mutable=list(others))
            return outputs

        outputs, pull = jax.vjp(run, parameters, inputs)
        return outputs, jax.tree.leaves(pull)

    parameters = stage.variables.get("params", {})
    key = jax.eval_shape(lambda: jax.random.key(0))
    closed = jax.make_jaxpr(forward)(parameters, others, key, stage.inputs)
    return closed.jaxpr, len(jax.tree.leaves(stage.outputs))


def _made_of_the_images(jaxpr: core.Jaxpr, stage: StageTrace) -> set[core.Var]:
    """The inputs, and what depends on them or on the random key; not constants, nor weights."""
    key_and_inputs = 1 + len(jax.tree.leaves(stage.inputs))
    return _dependent(jaxpr, jaxpr.invars[-key_and_inputs:])


def _dependent(jaxpr: core.Jaxpr, on: list[core.Var]) -> set[core.Var]:
    made = set(on)
    for equation in jaxpr.eqns:
        reads = [not isinstance(v, core.Literal) and v in made for v in equation.invars]
        if not any(reads):
            continue
        closed = equation.params.get("jaxpr")
        if isinstance(closed, core.ClosedJaxpr) and len(closed.jaxpr.invars) == len(reads):
            function = closed.jaxpr
            inner = _dependent(function, list(compress(function.invars, reads)))
            gives = [not isinstance(v, core.Literal) and v in inner for v in function.outvars]
            made.update(compress(equation.outvars, gives))
        else:
            made.update(equation.outvars)
    return made


def _bytes(array: core.Var) -> int:
    dtype = array.aval.dtype
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return 0
    return math.prod(array.aval.shape) * dtype.itemsize
