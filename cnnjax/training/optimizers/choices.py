"""Optimizers and schedules by name, for command lines and configurations."""

import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

import optax

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.training import schedules
from cnnjax.training.optimizers.adaptive import adadelta, adam, adamax, adamw, nadam
from cnnjax.training.optimizers.proximal import ftrl
from cnnjax.training.optimizers.rules import (
    adagrad,
    adam_simplified,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)
from cnnjax.training.settings import LearningRate

_T = TypeVar("_T")

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam_simplified": adam_simplified,
    "adam": adam,
    "adamw": adamw,
    "nadam": nadam,
    "adamax": adamax,
    "adadelta": adadelta,
    "ftrl": ftrl,
}
"""Each takes the learning rate, a number or a schedule, and then its own settings."""

SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {
    "constant": schedules.constant,
    "step": schedules.step,
    "cosine": schedules.cosine,
    "one_cycle": schedules.one_cycle,
}
"""Each takes the (highest) rate, and then its own settings; `warmup` stands in front of any."""


def create_optimizer(
    name: str, learning_rate: LearningRate, **settings: object
) -> optax.GradientTransformation:
    """Makes the optimizer of that name.

    Args:
      name: one of `OPTIMIZERS`.
      learning_rate: a number or a schedule.
      **settings: the optimizer's own, e.g. `gamma=0.9`.

    Raises:
      CnnjaxError: an unknown name or setting, one that is missing, or a value that cannot be.

    >>> create_optimizer("momentum", 0.1, gamma=0.9) is momentum(0.1, gamma=0.9)
    True
    """
    return _create("optimizer", OPTIMIZERS, name, learning_rate, settings)


def create_schedule(name: str, rate: float, **settings: object) -> optax.Schedule:
    """Makes the schedule of that name.

    Args:
      name: one of `SCHEDULES`.
      rate: the highest.
      **settings: the schedule's own, e.g. `steps=1000`.

    Raises:
      CnnjaxError: an unknown name or setting, one that is missing, or a value that cannot be.

    >>> round(float(create_schedule("cosine", 0.1, steps=1000)(500)), 6)
    0.05
    """
    return _create("schedule", SCHEDULES, name, rate, settings)


def _create(
    kind: str,
    constructors: Mapping[str, Callable[..., _T]],
    name: str,
    rate: LearningRate,
    settings: Mapping[str, object],
) -> _T:
    if name not in constructors:
        hint = did_you_mean(name, constructors)
        raise CnnjaxError(f"there is no {kind} {name!r}; there are {', '.join(constructors)}{hint}")
    _, *own = inspect.signature(constructors[name]).parameters.values()
    takes = ", ".join(parameter.name for parameter in own) or "no settings of its own"
    if unknown := sorted(settings.keys() - {parameter.name for parameter in own}):
        raise CnnjaxError(
            f"{kind} {name!r} takes no setting {', '.join(map(repr, unknown))}; it takes {takes}"
        )
    needed = [parameter.name for parameter in own if parameter.default is parameter.empty]
    if missing := [setting for setting in needed if setting not in settings]:
        raise CnnjaxError(
            f"{kind} {name!r} has no default for {', '.join(missing)}; give {missing[0]}=..."
        )
    return constructors[name](rate, **settings)
