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

import jax

import cnnjax
from cnnjax.models.ledger import Ledger, ledger, multiply_adds
from cnnjax.models.network import Network
from cnnjax.transfer import variable_shapes

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
        return QUANTITIES[self.quantity](self)

    def counted(self) -> Ledger:
        """The ledger of that network."""
        return count_once(self.network, self.arguments, self.image)

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


@cache
def numbers_once(network: str, arguments: str, image: tuple[int, int, int]) -> int:
    """Parameters and running statistics together, as Keras counts; without the ledger, which takes
    seconds for deep networks."""
    made = cnnjax.create(network, **read_arguments(arguments))
    return sum(leaf.size for leaf in jax.tree.leaves(variable_shapes(made, image)))


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


def _sum(attribute: str) -> Callable[[Fact], int]:
    def total(fact: Fact) -> int:
        rows = fact.counted().rows
        return sum(getattr(r, attribute) for r in rows if not fact.stages or r.stage in fact.stages)

    return total


def _share(attribute: str) -> Callable[[Fact], float]:
    def share(fact: Fact) -> float:
        return fact.counted().total(attribute) / fact.counted().total("parameters")

    return share


def _all_numbers(fact: Fact) -> int:
    return numbers_once(fact.network, fact.arguments, fact.image)


def _multiply_adds(fact: Fact) -> int:
    found = multiply_adds(fact.make(), fact.image)
    return sum(found[stage] for stage in fact.stages or found)


def _output(fact: Fact) -> tuple[int, ...]:
    return fact.counted()[fact.stages[0] if fact.stages else fact.make().stages[-1]].output


QUANTITIES: dict[str, Callable[[Fact], Value]] = {
    "parameters": _sum("parameters"),
    "weights": _sum("weights"),
    "statistics": _sum("statistics"),
    "parameters with statistics": _all_numbers,
    "parameters of convolutions": _sum("convolutional"),
    "parameters of dense layers": _sum("dense"),
    "share of convolutions": _share("convolutional"),
    "share of dense layers": _share("dense"),
    "multiply-adds": _multiply_adds,
    "size": _sum("parameter_bytes"),
    "size with statistics": lambda fact: 4 * _all_numbers(fact),
    "depth": lambda fact: len(fact.make().stages),
    "map": lambda fact: fact.counted()[fact.stages[0]].maps,
    "output": _output,
    "receptive field": lambda fact: fact.counted()[fact.stages[0]].field.size,
    "stride": lambda fact: fact.make().layers()[fact.stages[0]].stride,
    "kernel": lambda fact: fact.make().layers()[fact.stages[0]].kernel ** 2,
}
"""What can be counted."""
