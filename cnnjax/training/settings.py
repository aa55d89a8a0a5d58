"""The settings of optimizers and schedules: what they may be, and one object for each setting."""

import inspect
import math
from collections.abc import Callable
from functools import lru_cache, wraps
from numbers import Real
from typing import ParamSpec, TypeVar

import optax

from cnnjax.errors import CnnjaxError

LearningRate = float | optax.Schedule
"""A number, or a function from the step, counted from 0, to one: see `schedules.py`."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def one_per_setting(constructor: Callable[_P, _T]) -> Callable[_P, _T]:
    """The same arguments give the same object: a step is compiled once for each optimizer object.

    Raises:
      CnnjaxError: an argument has no hash, as arrays, lists and dicts have none.
    """
    remembered = lru_cache(typed=True)(constructor)  # typed: True is not 1.0
    signature = inspect.signature(constructor)

    @wraps(constructor)
    def construct(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()  # a default that is written out is the same setting
        for argument in (*bound.args, *bound.kwargs.values()):
            try:
                hash(argument)
            except TypeError:
                raise CnnjaxError(
                    f"{constructor.__name__} was given a setting of type "
                    f"{type(argument).__name__}; expected a number, a tuple or a schedule; "
                    "convert it first, e.g. with float() or tuple()"
                ) from None
        return remembered(*bound.args, **bound.kwargs)

    return construct


def check_rate(rate: LearningRate, name: str = "learning_rate", *, positive: bool = False) -> None:
    """A number must be finite and not negative (or positive); a schedule cannot be checked."""
    if callable(rate):
        return
    if not is_number(rate) or rate < 0 or (positive and rate == 0):
        raise CnnjaxError(
            f"{name}={rate!r} is no rate; expected a {'positive' if positive else 'non-negative'} "
            "number or a schedule; the rules descend: the minus sign is theirs"
        )


def check_average(value: float, name: str) -> None:
    """The share that a running average, or a velocity, keeps of its past."""
    if not is_number(value) or not 0 <= value < 1:
        raise CnnjaxError(
            f"{name}={value!r} cannot be; expected a number from 0 up to, but not including, 1, "
            "the share of the past that is kept; try 0.9"
        )


def check_positive(value: float, name: str, usual: float = 1e-8) -> None:
    """E.g. epsilon, which stands between a gradient of zero and a division by zero."""
    if not is_number(value) or value <= 0:
        raise CnnjaxError(f"{name}={value!r} cannot be; expected a positive number; try {usual:g}")


def check_not_negative(value: float, name: str) -> None:
    """E.g. the strength of a penalty, where 0 means none."""
    if not is_number(value) or value < 0:
        raise CnnjaxError(
            f"{name}={value!r} cannot be; expected a number from 0 on; give 0 for none"
        )


def check_steps(value: int, name: str = "steps", *, least: int = 1) -> None:
    """A number of steps."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CnnjaxError(
            f"{name}={value!r} cannot be; expected a whole number of steps, at least {least}; "
            "count epochs in steps with cnnjax.training.duration"
        )


def is_number(value: object) -> bool:
    """A finite real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
