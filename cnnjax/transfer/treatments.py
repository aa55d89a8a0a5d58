"""The treatments of Yosinski et al. 2014, section 2: which layers come from where, and which learn.

| treatment | first n stages | they learn |
|---|---|---|
| base, base2x | fresh | yes |
| BnB | copied from a network trained on the target B | no |
| BnB+ | copied from a network trained on the target B | yes |
| AnB | copied from a network trained on the source A | no |
| AnB+ | copied from a network trained on the source A | yes |
| random | fresh | no |

In all of them the stages after the first n are fresh and learn.
"""

from typing import Literal, NamedTuple

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.transfer.surgery import first_stages, transplant

Treatment = Literal["base", "base2x", "BnB", "BnB+", "AnB", "AnB+", "random"]

TREATMENTS: tuple[Treatment, ...] = ("base", "base2x", "BnB", "BnB+", "AnB", "AnB+", "random")


class Start(NamedTuple):
    """Where a treatment begins: variables of all stages, and how many of the first stay frozen."""

    variables: Variables
    frozen: int


def copies_from(treatment: Treatment) -> Literal["source", "target"] | None:
    """Whose weights the first n stages are copies of."""
    if treatment in ("AnB", "AnB+"):
        return "source"
    return "target" if treatment in ("BnB", "BnB+") else None


def frozen_stages(treatment: Treatment, n: int) -> int:
    """How many of the first stages do not learn."""
    return n if treatment in ("BnB", "AnB", "random") else 0


def start_treatment(
    network: Network, treatment: Treatment, n: int, fresh: Variables, trained: Variables | None
) -> Start:
    """Makes the network of a treatment.

    Args:
      network: the composition.
      treatment: one of `TREATMENTS`.
      n: how many of the first stages are copied or, for `random`, kept as they are.
      fresh: new variables of all stages.
      trained: those of the network that `copies_from` names; None where it names none.

    Raises:
      CnnjaxError: an unknown treatment, or an n that leaves no stage to train.

    >>> import cnnjax
    >>> fresh = {"params": {}}  # in truth `initialise(network, image_shape, seed)`
    >>> start_treatment(cnnjax.create("lenet5"), "random", 2, fresh, None).frozen
    2
    """
    if treatment not in TREATMENTS:
        raise CnnjaxError(
            f"there is no treatment {treatment!r}; the treatments are {', '.join(TREATMENTS)}"
        )
    if treatment in ("base", "base2x"):
        return Start(fresh, 0)
    stages = first_stages(network, n)
    variables = fresh if trained is None else transplant(trained, fresh, stages)
    return Start(variables, frozen_stages(treatment, n))
