"""What a network is made of and what it costs, stage by stage, from its trace: no weight is
allocated and nothing is computed."""

import math
from dataclasses import dataclass
from itertools import groupby

import jax

from cnnjax.models.network import Network
from cnnjax.models.receptive_field import ReceptiveField, fields_of
from cnnjax.models.residuals import kept_for_backward
from cnnjax.models.trace import StageTrace, count, equations, multiply_adds, trace

__all__ = ["Ledger", "Row", "ledger", "multiply_adds"]

Shape = tuple[int, ...]

TERMS = 4
"""So many different terms of a stage's arithmetic are written out."""


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
      stage: its name.
      maps: (height, width, channels) of the convolution's output where the stage has just one,
        before its pooling.
      output: shape of what the stage gives for one image; of the last array, if it gives several.
      arithmetic: how its parameters are counted, e.g. "6·(5·5·1+1)".
      parameters: how many there are.
      weights: those of them in kernels, i.e. without biases, scales and the like.
      convolutional: those of them that belong to convolutions, biases included.
      dense: those of them that belong to fully connected layers, biases included.
      statistics: numbers that are kept but not learned, such as the running means of batch norm.
      multiply_adds: of one image's forward pass.
      field: the receptive field of a unit of the output.
      parameter_bytes: of the parameters as they are stored.
      kept_bytes: of what the forward pass of one image in training keeps for the backward pass,
        see `residuals.kept_for_backward`.
    """

    stage: str
    maps: Shape | None
    output: Shape
    arithmetic: str
    parameters: int
    weights: int
    convolutional: int
    dense: int
    statistics: int
    multiply_adds: int
    field: ReceptiveField
    parameter_bytes: int
    kept_bytes: int


@dataclass(frozen=True)
class Ledger:
    """The stages of a network for images of one shape.

    Attributes:
      image: (height, width, channels).
      rows: one a stage, in order.
    """

    image: tuple[int, int, int]
    rows: tuple[Row, ...]

    def __getitem__(self, stage: str) -> Row:
        return {row.stage: row for row in self.rows}[stage]

    def total(self, quantity: str) -> int:
        """The sum of an attribute of the rows, such as "parameters", over all stages."""
        return sum(getattr(row, quantity) for row in self.rows)


def ledger(network: Network, image_shape: tuple[int, int, int]) -> Ledger:
    """The ledger of a network.

    Args:
      network: the composition.
      image_shape: (height, width, channels).

    Returns:
      One row a stage.

    Raises:
      CnnjaxError: the network cannot take such images, or has an operation through which the
        receptive field cannot be followed.

    >>> import cnnjax
    >>> lenet5 = ledger(cnnjax.create("lenet5"), (32, 32, 1))
    >>> for row in lenet5.rows:
    ...     print(row.stage, row.output, row.arithmetic, row.parameters)
    c1 (14, 14, 6) 6·(5·5·1+1) 156
    c3 (5, 5, 16) 16·(5·5·6+1) 2416
    c5 (120,) 120·(400+1) 48120
    f6 (84,) 84·(120+1) 10164
    output (10,) 10·(84+1) 850
    >>> lenet5.total("parameters")
    61706
    """
    stages = trace(network, image_shape)
    fields = fields_of(stages, image_shape)
    kept = kept_for_backward(network, stages)
    rows = tuple(_row(stage, fields[stage.name], kept[stage.name]) for stage in stages)
    return Ledger(image_shape, rows)


def _row(stage: StageTrace, field: ReceptiveField, kept: int) -> Row:
    parameters = stage.variables.get("params", {})
    layers = _layers(parameters)
    counts = {kind: sum(_size(layer) for layer in layers if _kind(layer) == kind) for kind in KINDS}
    leaves = jax.tree.leaves(parameters)
    convolutions = [
        equation.outvars[0].aval.shape[1:]
        for equation, _ in equations(stage.jaxpr)
        if equation.primitive.name == "conv_general_dilated"
    ]
    return Row(
        stage=stage.name,
        maps=convolutions[0] if len(convolutions) == 1 else None,
        output=jax.tree.leaves(stage.outputs)[-1].shape[1:],
        arithmetic=arithmetic(layers),
        parameters=sum(leaf.size for leaf in leaves),
        weights=sum(math.prod(layer.get("kernel", (0,))) for layer in layers),
        convolutional=counts["convolution"],
        dense=counts["dense"],
        statistics=sum(
            leaf.size
            for collection, group in stage.variables.items()
            for leaf in jax.tree.leaves(group)
            if collection != "params"
        ),
        multiply_adds=count(stage.jaxpr),
        field=field,
        parameter_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in leaves),
        kept_bytes=kept,
    )


KINDS = ("convolution", "dense", "other")
Layer = dict[str, Shape]  # {"kernel": shape, "bias": shape}


def _layers(parameters: dict[str, object]) -> list[Layer]:
    """The innermost modules, each with the shapes of its parameters."""
    own = {name: leaf.shape for name, leaf in parameters.items() if not isinstance(leaf, dict)}
    inner = [group for group in parameters.values() if isinstance(group, dict)]
    return ([own] if own else []) + [layer for group in inner for layer in _layers(group)]


def _size(layer: Layer) -> int:
    return sum(math.prod(shape) for shape in layer.values())


def _kind(layer: Layer) -> str:
    return {4: "convolution", 2: "dense"}.get(len(layer.get("kernel", ())), "other")


def arithmetic(layers: list[Layer]) -> str:
    """How the parameters of layers are counted.

    >>> arithmetic([{"kernel": (5, 5, 1, 6), "bias": (6,)}])
    '6·(5·5·1+1)'
    >>> arithmetic([{"kernel": (400, 120), "bias": (120,)}])
    '120·(400+1)'
    >>> arithmetic([{"kernel": (3, 3, 64, 64)}, {"scale": (64,), "bias": (64,)}] * 2)
    '2·(64·3·3·64) + 2·(2·64)'
    """
    terms = sorted((_term(layer) for layer in layers), key=[_term(x) for x in layers].index)
    groups = [(term, len(list(same))) for term, same in groupby(terms)]
    shown = [f"{times}·({term})" if times > 1 else term for term, times in groups]
    if len(shown) > TERMS:
        shown = [*shown[: TERMS - 1], f"… ({len(shown) - TERMS + 1} terms more)"]
    return " + ".join(shown) or "0"


def _term(layer: Layer) -> str:
    if "kernel" in layer and set(layer) <= {"kernel", "bias"}:
        *inputs, outputs = layer["kernel"]
        product = _product(tuple(inputs))
        return f"{outputs}·({product}+1)" if "bias" in layer else f"{outputs}·{product}"
    shapes = list(layer.values())
    if len(shapes) > 1 and len(set(shapes)) == 1:  # e.g. scale and bias of batch norm
        return f"{len(shapes)}·{_product(shapes[0])}"
    return " + ".join(_product(shape) for shape in shapes)


def _product(shape: Shape) -> str:
    return "·".join(map(str, shape)) or "1"
