"""The update rules of the study, the rates at which each is tried, and what all rows have."""

from collections.abc import Sequence

import optax

from cnnjax.errors import CnnjaxError
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Row
from cnnjax.training import create_optimizer, rate_in_state

USUAL_RATES = {
    "sgd": 0.1,
    "momentum": 0.01,  # Krizhevsky et al. 2012
    "nesterov": 0.01,
    "adagrad": 0.01,  # PyTorch's default
    "rmsprop": 0.001,  # Hinton's lecture 6e, Keras' default
    "adam_simplified": 0.001,
    "adam": 0.001,  # Kingma and Ba 2015
    "adamw": 0.001,
    "nadam": 0.001,
    "adamax": 0.002,  # Kingma and Ba 2015, section 7.1
    "adadelta": 1.0,  # Zeiler 2012: it has none
    "ftrl": 0.1,
}
"""The middle of each rule's grid; the paper's, or the one that rules alike have in practice."""

SPACING = 10**0.5
ADAMW_DECAY = 0.01
LECTURE = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam_simplified")
"""The rules whose formulas lecture 4 prints; the others are those of its list of Keras."""


def grid(rule: str, count: int) -> list[float]:
    """The rates that are tried, the usual one in the middle.

    >>> grid("adam", 3)
    [0.0003162, 0.001, 0.003162]
    """
    half = count // 2
    return [float(f"{USUAL_RATES[rule] * SPACING**k:.4g}") for k in range(-half, half + 1)]


def optimizer_of(rule: str) -> optax.GradientTransformation:
    """The rule with its rate in the state, so that all rates share a compiled step."""
    settings = {"weight_decay": ADAMW_DECAY} if rule == "adamw" else {}
    return rate_in_state(create_optimizer(rule, 1.0, **settings))


def choose(rows: Sequence[Row]) -> float:
    """The rate with the lowest validation loss; of equal ones the lowest.

    Raises:
      CnnjaxError: at none of them the loss remained a number.
    """
    measured = [row for row in rows if row.get("validation_loss") is not None]
    if not measured:
        tried = ", ".join(f"{row['rate']:g}" for row in rows)
        raise CnnjaxError(
            f"training diverged at every rate that was tried, {tried}; give more --rates, or "
            "another network"
        )
    return min((row["validation_loss"], row["rate"]) for row in measured)[1]


def first_cells(run: Run, where: str, rate: float, rates_tried: int) -> Row:
    """The cells that every row has."""
    config = run.config
    cells: Row = {"kind": config["kind"], "where": where, "rule": config["rule"]}
    return cells | {"seed": config["seed"], "rate": rate, "rates_tried": rates_tried}
