"""The arms of the dropout study, part by part, in the paper's sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnjax.models.dropout_conv import ALL_LAYERS, FULLY_CONNECTED, NO_DROPOUT

PARTS = (
    *("architectures", "rate", "size", "regularisers"),
    *("sparsity", "monte-carlo", "convolutional"),
)
ARCHITECTURES = ("2x1024", "3x1024", "4x1024", "2x2048", "3x2048", "4x2048")
"""Figure 4: "all combinations of 2, 3 and 4 layer networks with 1024 and 2048 units in each
layer" (appendix B.1)."""
KEEP, KEEP_INPUT = 0.5, 0.8
"""p of hidden units and of pixels (appendix B.1)."""
TAPERED = (1024, 1024, 2048)
"""Of the regularisers (Table 9) and the sizes (section 7.4)."""
WIDE = (2048, 2048, 2048)
"""Of the rates with n fixed (section 7.3)."""
KEPT_UNITS = (256, 256, 512)
"""The paper's p n of the rates with p n fixed (section 7.3)."""
AUTOENCODER = (256,)
"""Sections 7.1 and 7.2."""
CONV_MAX_NORM = 4.0
"""Appendix B.2."""


@dataclass(frozen=True)
class Penalties:
    """The strengths of the regularisers other than dropout."""

    max_norm: float
    l2: float
    l1: float


@dataclass(frozen=True)
class Arm:
    """One way to train: what runs of several seeds have in common.

    Attributes:
      part: of the study.
      name: of the arm within its part.
      method: e.g. "dropout", "none", "L2"; of rates "n fixed" or "pn fixed".
      hidden: sizes of the hidden layers in the paper.
      keep: p, the probability of keeping a hidden unit.
      keep_input: that of keeping a pixel.
      max_norm: of the incoming weights of every unit; None: they are free.
      l2: weight decay.
      l1: of the absolute weights.
      size: training images, where that is what is compared; None: as many as the study has.
      keep_conv: those of the convolutional network's stages; None: it is no such network.
    """

    part: str
    name: str
    method: str
    hidden: tuple[int, ...] = ()
    keep: float = 1.0
    keep_input: float = 1.0
    max_norm: float | None = None
    l2: float = 0.0
    l1: float = 0.0
    size: int | None = None
    keep_conv: tuple[float, ...] | None = None

    @property
    def stem(self) -> str:
        """Of the run's name, without the seed."""
        return f"{self.part}-{self.name}"


def arms(
    parts: Sequence[str],
    architectures: Sequence[str],
    rates: Sequence[float],
    kept_units: tuple[int, ...],
    sizes: Sequence[int],
    penalties: Penalties,
) -> list[Arm]:
    """All arms of these parts, in the order of `PARTS`.

    Args:
      parts: of the study.
      architectures: of figure 4, e.g. "3x1024".
      rates: probabilities p of keeping a unit.
      kept_units: p n of each hidden layer where that is fixed.
      sizes: numbers of training images.
      penalties: of the regularisers.
    """
    made = {
        "architectures": lambda: _architectures(architectures, penalties),
        "rate": lambda: _rates(rates, kept_units, penalties),
        "size": lambda: _sizes(sizes, penalties),
        "regularisers": lambda: _regularisers(penalties),
        "sparsity": _sparsity,
        "monte-carlo": lambda: _monte_carlo(penalties),
        "convolutional": _convolutional,
    }
    return [arm for part in PARTS if part in parts for arm in made[part]()]


def hidden_sizes(architecture: str) -> tuple[int, ...]:
    """
    >>> hidden_sizes("3x1024")
    (1024, 1024, 1024)
    """
    layers, units = architecture.split("x")
    return (int(units),) * int(layers)


def _architectures(names: Sequence[str], penalties: Penalties) -> Iterator[Arm]:
    for name in names:
        sizes = hidden_sizes(name)
        yield Arm("architectures", f"{name}-none", "none", sizes)
        yield Arm(
            "architectures",
            f"{name}-dropout",
            "dropout",
            sizes,
            KEEP,
            KEEP_INPUT,
            penalties.max_norm,
        )


def _rates(rates: Sequence[float], kept: tuple[int, ...], penalties: Penalties) -> Iterator[Arm]:
    for method in ("n fixed", "pn fixed"):
        for p in rates:
            sizes = WIDE if method == "n fixed" else tuple(round(pn / p) for pn in kept)
            name = f"{method.split()[0]}-p{p:g}"
            yield Arm("rate", name, method, sizes, keep=p, max_norm=penalties.max_norm)


def _sizes(sizes: Sequence[int], penalties: Penalties) -> Iterator[Arm]:
    for size in sizes:
        yield Arm("size", f"{size}-none", "none", TAPERED, size=size)
        yield Arm(
            "size",
            f"{size}-dropout",
            "dropout",
            TAPERED,
            KEEP,
            KEEP_INPUT,
            penalties.max_norm,
            size=size,
        )


def _regularisers(penalties: Penalties) -> Iterator[Arm]:
    dropped = {"keep": KEEP, "keep_input": KEEP_INPUT}
    for method, settings in {
        "none": {},
        "L2": {"l2": penalties.l2},
        "L1": {"l1": penalties.l1},
        "max-norm": {"max_norm": penalties.max_norm},
        "dropout": dropped,
        "dropout + L2": dropped | {"l2": penalties.l2},
        "dropout + max-norm": dropped | {"max_norm": penalties.max_norm},
    }.items():
        yield Arm("regularisers", method.replace(" + ", "-"), method, TAPERED, **settings)


def _sparsity() -> Iterator[Arm]:
    yield Arm("sparsity", "none", "none", AUTOENCODER)
    yield Arm("sparsity", "dropout", "dropout", AUTOENCODER, keep=KEEP)


def _monte_carlo(penalties: Penalties) -> Iterator[Arm]:
    sizes = hidden_sizes("3x1024")
    yield Arm("monte-carlo", "dropout", "dropout", sizes, KEEP, KEEP_INPUT, penalties.max_norm)


def _convolutional() -> Iterator[Arm]:
    for name, method, keep in (
        ("none", "none", NO_DROPOUT),
        ("fully-connected", "fully connected", FULLY_CONNECTED),
        ("all", "all layers", ALL_LAYERS),
    ):
        yield Arm("convolutional", name, method, max_norm=CONV_MAX_NORM, keep_conv=keep)
