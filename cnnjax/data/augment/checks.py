"""What the settings of an augmentation must be; each mistake in one line."""

import difflib
import math
from numbers import Integral, Real

from cnnjax.errors import CnnjaxError

FILLS = ("nearest", "constant", "reflect", "wrap")
"""What stands outside of an image, by the names and with the meaning of scipy.ndimage and Keras."""


def check_number(of: str, name: str, value: float, low: float, high: float = math.inf) -> float:
    """`value` as a Python number, so that settings are hashable and equal ones are equal."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not low <= value <= high:
        limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
        limits = limits if low > -math.inf else "that is finite"
        raise CnnjaxError(
            f"{of} has {name}={value!r}; expected a number {limits}; choose one in that range"
        )
    return float(value)


def check_probability(of: str, name: str, value: float) -> float:
    """A probability, 0 to 1."""
    try:
        return check_number(of, name, value, 0, 1)
    except CnnjaxError:
        raise CnnjaxError(
            f"{of} has {name}={value!r}; expected a probability from 0 to 1; choose one"
        ) from None


def check_whole(of: str, name: str, value: int, low: int) -> int:
    """A whole number from `low` on."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise CnnjaxError(
            f"{of} has {name}={value!r}; expected a whole number of at least {low}; choose one"
        )
    return int(value)


def check_pair(of: str, name: str, value: int | tuple[int, int], low: int) -> tuple[int, int]:
    """(vertical, horizontal) from one whole number for both, or from a pair."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return check_whole(of, name, value[0], low), check_whole(of, name, value[1], low)
    both = check_whole(of, name, value, low)
    return both, both


def check_factors(of: str, value: float | tuple[float, float]) -> tuple[float, float]:
    """(lowest, highest) factor, from such a pair or from the strength s of 1 - s ... 1 + s."""
    if isinstance(value, tuple | list) and len(value) == 2:
        low, high = (check_number(of, "factor", v, 0) for v in value)
        if low > high:
            raise CnnjaxError(
                f"{of} has factors from {low:g} to {high:g}; expected the lower one first; "
                "swap them"
            )
        return low, high
    strength = check_number(of, "strength", value, 0, 1)
    return 1 - strength, 1 + strength


def check_fill(of: str, fill: str) -> None:
    """One of FILLS."""
    if fill not in FILLS:
        close = difflib.get_close_matches(str(fill), FILLS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "choose one of them"
        raise CnnjaxError(f"{of} has fill={fill!r}; expected {', '.join(FILLS)}; {hint}")
