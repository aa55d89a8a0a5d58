"""What the lectures print about the sizes of networks, beside what is counted.

The facts are in lecture_counts.csv, one a line, as the slide prints them; the column `wrong` says
what a slide got wrong and is empty where it is right.
"""

import ast
import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cnnjax
from cnnjax.models.ledger import Ledger, ledger
from cnnjax.models.network import Network

TABLE = Path(__file__).with_suffix(".csv")

Value = int | float | tuple[int, ...]

MILLION, MIB = 10**6, 2**20
UNITS = {"million": MILLION, "billion": 1000 * MILLION, "MB": MIB, "GB": 1024 * MIB, "%": 0.01}
WORDS = {"eight": "8"}


@dataclass(frozen=True)
class Fact:
    """What a slide prints.

    Attributes:
      lecture: 1 ... 5.
      slide: its title.
      network: its registered name.
      arguments: those that are not the network's own, as text.
      image: (height, width, channels).
      stages: the stages it speaks of; none where it speaks of the whole network.
      quantity: a name in `QUANTITIES`.
      printed: as the slide prints it.
      wrong: what the slide got wrong, or nothing.
    """

    lecture: int
    slide: str
    network: str
    arguments: str
    image: tuple[int, int, int]
    stages: tuple[str, ...]
    quantity: str
    printed: str
    wrong: str

    def make(self) -> Network:
        """The network that the slide speaks of."""
        return cnnjax.create(self.network, **read_arguments(self.arguments))

    def value(self) -> Value:
        """What is counted."""
        counted = count_once(self.network, self.arguments, self.image)
        return QUANTITIES[self.quantity](self.make(), counted, self.stages)

    def agrees(self) -> bool:
        """Whether the slide prints what is counted, as far as its digits go."""
        return agrees(self.printed, self.value())


def facts(path: Path = TABLE) -> list[Fact]:
    """The facts, in the order of the slides."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Fact(
                int(row["lecture"]),
                row["slide"],
                row["network"],
                row["arguments"],
                tuple(int(n) for n in row["image"].split("x")),
                tuple(row["stages"].split()),
                row["quantity"],
                row["printed"],
                row["wrong"],
            )
            for row in csv.DictReader(file)
        ]


def read_arguments(text: str) -> dict[str, object]:
    """The arguments of a network.

    >>> read_arguments("kernels=(3, 3); use_bias=False")
    {'kernels': (3, 3), 'use_bias': False}
    """
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip(): ast.literal_eval(value.strip()) for name, _, value in pairs}


@cache
def count_once(network: str, arguments: str, image: tuple[int, int, int]) -> Ledger:
    return ledger(cnnjax.create(network, **read_arguments(arguments)), image)


def agrees(printed: str, value: Value) -> bool:
    """Whether `value` is what is printed: the same shape, or the same number when rounded so.

    >>> agrees("16 x 10 x 10", (10, 10, 16)), agrees("7x7", (7, 7, 1)), agrees("7x7", (5, 5, 1))
    (True, True, False)
    >>> agrees("12.4 Million", 12_443_648), agrees("61 million", 62_378_344)
    (True, False)
    >>> agrees("less than 1200x1200", 61_706)
    True
    """
    text = WORDS.get(printed, printed).replace(",", "" if not isinstance(value, tuple) else " ")
    numbers = re.findall(r"[\d.]+", text)
    if printed.startswith("less than"):
        return value < math.prod(int(n) for n in numbers)
    if isinstance(value, tuple):
        shown = value if len(numbers) == len(value) else value[:-1]
        return sorted(int(n) for n in numbers) == sorted(shown)
    decimals = len(numbers[0].partition(".")[2])
    units = [size for unit, size in UNITS.items() if unit.lower() in text.lower()]
    return round(value / (units[0] if units else 1), decimals) == float(numbers[0])


def _sum(attribute: str) -> Callable[[Network, Ledger, tuple[str, ...]], int]:
    def total(network: Network, counted: Ledger, stages: tuple[str, ...]) -> int:
        return sum(
            getattr(row, attribute) for row in counted.rows if not stages or row.stage in stages
        )

    return total


def _share(attribute: str) -> Callable[[Network, Ledger, tuple[str, ...]], float]:
    def share(network: Network, counted: Ledger, stages: tuple[str, ...]) -> float:
        return counted.total(attribute) / counted.total("parameters")

    return share


def _stage(network: Network, stages: tuple[str, ...]) -> str:
    return stages[0] if stages else network.stages[-1]


QUANTITIES: dict[str, Callable[[Network, Ledger, tuple[str, ...]], Value]] = {
    "parameters": _sum("parameters"),
    "weights": _sum("weights"),
    "statistics": _sum("statistics"),
    "parameters of convolutions": _sum("convolutional"),
    "parameters of dense layers": _sum("dense"),
    "share of convolutions": _share("convolutional"),
    "share of dense layers": _share("dense"),
    "multiply-adds": _sum("multiply_adds"),
    "size": _sum("parameter_bytes"),
    "depth": lambda network, counted, stages: len(counted.rows),
    "map": lambda network, counted, stages: counted[stages[0]].maps,
    "output": lambda network, counted, stages: counted[_stage(network, stages)].output,
    "receptive field": lambda network, counted, stages: counted[stages[0]].field.size,
    "stride": lambda network, counted, stages: network.layers()[stages[0]].stride,
    "kernel": lambda network, counted, stages: network.layers()[stages[0]].kernel ** 2,
}
"""What can be counted: functions of (network, ledger, stages)."""
