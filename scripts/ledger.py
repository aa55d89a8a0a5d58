"""What a network is made of and what it costs, stage by stage, and what the lectures print of it.

    python scripts/ledger.py lenet5
    python scripts/ledger.py vgg16 --num-classes 2
    python scripts/ledger.py alexnet_small --image 20x20x1 --json
    python scripts/ledger.py --list
    python scripts/ledger.py --lectures

The receptive field is the window of the image that a unit sees; its neighbour's lies some pixels
further ("6 every 2"). What is kept are the arrays that one image in training leaves in memory from
the forward pass for the backward pass, as jax.vjp asks for them; a compiler may keep less. No
weight is allocated.
"""

import dataclasses
import json
import re
import sys
from typing import Annotated

import tyro
from lecture_counts import Fact, facts
from ledger_tables import lectures_table, ledger_table, summary, times
from rich.console import Console

import cnnjax
from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.models import list_models
from cnnjax.models.ledger import Ledger, ledger


@dataclasses.dataclass(frozen=True)
class Config:
    """Print a network's ledger."""

    network: Annotated[str | None, tyro.conf.Positional] = None
    """The network, see --list."""
    image: str | None = None
    """Height, width and channels of the images, as 32x32x1. Default: the paper's."""
    num_classes: int | None = None
    """Classes; 0 for no head. Default: the network's own."""
    json: bool = False
    """Print JSON instead of a table."""
    list: bool = False
    """Print the names of the networks."""
    lectures: bool = False
    """Print all that the lectures say of sizes, and whether it is so."""


def run(config: Config) -> None:
    """Print."""
    if config.list:
        print("\n".join(list_models()))
    elif config.lectures:
        found = facts()
        if config.json:
            print(json.dumps([_as_json(fact) for fact in found], indent=2))
        else:
            _console().print(lectures_table(found))
    elif config.network is None:
        raise CnnjaxError("no network is named; name one, such as lenet5; --list has them all")
    else:
        _one_network(config)


def _one_network(config: Config) -> None:
    classes = {} if config.num_classes is None else {"num_classes": config.num_classes}
    if config.num_classes is not None and config.num_classes < 0:
        raise CnnjaxError(f"num_classes is {config.num_classes}; give 0 (no head) or more")
    network = cnnjax.create(config.network, **classes)
    image = network.image if config.image is None else read_image(config.image)
    counted = ledger(network, image)
    title = f"{config.network}, images {times(image)}, {network.num_classes} classes"
    said = [f for f in facts() if _is_of(f, config.network, network.num_classes, image)]
    if config.json:
        print(json.dumps(_ledger_as_json(title, counted, said), indent=2))
        return
    console = _console()
    console.print(ledger_table(title, counted, said))
    for line in summary(counted, said):
        console.print(line, highlight=False, soft_wrap=True)


def read_image(text: str) -> tuple[int, int, int]:
    """(height, width, channels) from 32x32x1.

    Raises:
      CnnjaxError: something else.
    """
    match = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)[x×]([1-9]\d*)", text)
    if not match:
        raise CnnjaxError(
            f"image is {text!r}; give height, width and channels of at least 1, such as 32x32x1"
        )
    height, width, channels = (int(n) for n in match.groups())
    return height, width, channels


def _is_of(fact: Fact, name: str, num_classes: int, image: tuple[int, int, int]) -> bool:
    if fact.network != name or fact.image != image:
        return False
    return fact.arguments in ("", f"num_classes={num_classes}") and (
        fact.make().num_classes == num_classes
    )


def _ledger_as_json(title: str, counted: Ledger, said: list[Fact]) -> dict[str, object]:
    names = ("parameters", "multiply_adds", "convolutional", "dense", "statistics")
    return {
        "title": title,
        "image": counted.image,
        "stages": [dataclasses.asdict(row) for row in counted.rows],
        "total": {name: counted.total(name) for name in (*names, "parameter_bytes", "kept_bytes")},
        "lectures": [_as_json(fact) for fact in said],
    }


def _as_json(fact: Fact) -> dict[str, object]:
    return dataclasses.asdict(fact) | {"value": fact.value(), "agrees": fact.agrees()}


def _console() -> Console:
    # A file or a pipe has no width to fit: every row stays on one line.
    return Console() if sys.stdout.isatty() else Console(width=220)


if __name__ == "__main__":
    main(Config, run, __doc__)
