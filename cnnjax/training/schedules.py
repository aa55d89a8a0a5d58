"""Learning rates that change with the step: eta_t in w^{t+1} = w^t - eta_t dL/dw (lecture 1).

Each function returns a schedule, a function from the step t = 0, 1, 2, ... (a number or an array
under `jax.jit`) to the rate eta_t, which every optimizer takes in place of a number.
"""

from itertools import pairwise

import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training.settings import (
    LearningRate,
    check_rate,
    check_steps,
    is_number,
    one_per_setting,
)


@one_per_setting
def constant(rate: float) -> optax.Schedule:
    """eta_t = rate.

    >>> constant(0.1)(1000)
    0.1
    """
    _check_number(rate, "rate")
    return optax.schedules.constant_schedule(rate)


@one_per_setting
def step(
    rate: float,
    factor: float = 0.1,
    *,
    every: int | None = None,
    boundaries: tuple[int, ...] | None = None,
) -> optax.Schedule:
    """Drops by a factor: eta_t = rate factor^k, where k drops have come until step t.

    Either k = floor(t / every), or k = the number of boundaries b with b <= t.

    Args:
      rate: until the first drop.
      factor: of each drop, in (0, 1]; Krizhevsky et al. 2012 (section 5) divide by 10.
      every: steps from one drop to the next.
      boundaries: the steps that are the first of their rate, increasing.

    Raises:
      CnnjaxError: `every` and `boundaries` are both given, or neither is, or a number cannot be.

    >>> schedule = step(0.8, 0.5, boundaries=(10, 20))
    >>> [float(schedule(t)) for t in (0, 9, 10, 19, 20)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """
    _check_number(rate, "rate")
    if not is_number(factor) or not 0 < factor <= 1:
        raise CnnjaxError(
            f"a drop by the factor {factor!r} cannot be; expected a number in (0, 1]; try 0.1"
        )
    if (every is None) == (boundaries is None):
        raise CnnjaxError(
            f"the drops are given as every={every} and boundaries={boundaries}; give one of them"
        )
    if every is not None:
        check_steps(every, "every")
        return lambda t: rate * factor ** (t // every)
    for boundary in boundaries:
        check_steps(boundary, "a boundary")
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise CnnjaxError(f"the boundaries {boundaries} do not increase; put them in order")
    return lambda t: rate * factor ** sum(t >= boundary for boundary in boundaries)


@one_per_setting
def cosine(rate: float, steps: int, floor: float = 0.0) -> optax.Schedule:
    """Half a cosine: eta_t = floor + (rate - floor) (1 + cos(pi t / steps)) / 2, then floor.

    Loshchilov & Hutter 2017 (SGDR), equation 5, without restarts.

    Args:
      rate: at step 0.
      steps: until `floor` is reached.
      floor: the lowest rate, from 0 to `rate`.

    Raises:
      CnnjaxError: a number cannot be.

    >>> [round(float(cosine(0.2, 10)(t)), 6) for t in (0, 5, 10, 11)]
    [0.2, 0.1, 0.0, 0.0]
    """
    _check_number(rate, "rate", positive=True)
    _check_number(floor, "floor")
    check_steps(steps)
    if floor > rate:
        raise CnnjaxError(f"floor={floor} lies above rate={rate}; expected at most the rate")
    return optax.schedules.cosine_decay_schedule(rate, steps, alpha=floor / rate)


@one_per_setting
def warmup(schedule: LearningRate, steps: int) -> optax.Schedule:
    """A linear start in front of any schedule: eta_t = s(0) t / steps, then s(t - steps).

    Goyal et al. 2017, section 2.2, who begin at a small rate; here the first step has the rate 0.

    Args:
      schedule: s, what follows; a number for a constant rate.
      steps: of the warm-up; 0 for none.

    Raises:
      CnnjaxError: a negative rate or number of steps.

    >>> [round(float(warmup(cosine(0.2, 10), 4)(t)), 6) for t in (0, 2, 4, 9, 14)]
    [0.0, 0.1, 0.2, 0.1, 0.0]
    """
    check_rate(schedule, "schedule")
    check_steps(steps, least=0)
    after = schedule if callable(schedule) else constant(schedule)
    if steps == 0:
        return after
    rise = optax.schedules.linear_schedule(0.0, after(0), steps)
    return optax.schedules.join_schedules([rise, after], [steps])


@one_per_setting
def one_cycle(
    rate: float,
    steps: int,
    *,
    shape: str = "linear",
    rise: float = 0.45,
    start_divisor: float = 10.0,
    end_divisor: float = 1000.0,
) -> optax.Schedule:
    """Up, down by the same way, and then far below where it began: the 1cycle policy.

    With low = rate / start_divisor and up = round(rise steps), eta_t goes

        from low to rate                  over the steps 0 ... up,
        from rate to low                  over the steps up ... 2 up,
        from low to low / end_divisor     over the steps 2 up ... steps, where it stays.

    Each way is a line, or half a cosine. Smith 2018 (arXiv 1803.09820), section 4.1: two lines of
    equal length, one cycle somewhat shorter than the training, a lower bound 10 or 20 times below
    the upper, and in the steps that remain several orders of magnitude less.

    Args:
      rate: the highest.
      steps: of the whole training.
      shape: "linear" or "cosine".
      rise: the share of the steps that the rate rises, in (0, 1/2).
      start_divisor: at least 1.
      end_divisor: at least 1.

    Raises:
      CnnjaxError: a number cannot be, or there are too few steps for the three ways.

    >>> [round(float(one_cycle(1.0, 20)(t)), 6) for t in (0, 9, 18, 20)]
    [0.1, 1.0, 0.1, 0.0001]
    """
    _check_number(rate, "rate", positive=True)
    check_steps(steps)
    if shape not in ("linear", "cosine"):
        raise CnnjaxError(f"there is no shape {shape!r}; expected 'linear' or 'cosine'")
    for name, divisor in (("start_divisor", start_divisor), ("end_divisor", end_divisor)):
        if not is_number(divisor) or divisor < 1:
            raise CnnjaxError(f"{name}={divisor!r} cannot be; expected a number of at least 1")
    up = round(rise * steps) if is_number(rise) and 0 < rise < 0.5 else 0
    if not 0 < up < 2 * up < steps:
        raise CnnjaxError(
            f"a cycle that rises for the share {rise!r} of {steps} steps leaves no step for one of "
            "its three ways; expected 0 < rise < 0.5 and at least a step for each; try 0.45 of 20"
        )
    return optax.schedules.piecewise_interpolate_schedule(
        shape,
        rate / start_divisor,
        {up: start_divisor, 2 * up: 1 / start_divisor, steps: 1 / end_divisor},
    )


def _check_number(rate: float, name: str, *, positive: bool = False) -> None:
    if callable(rate):
        raise CnnjaxError(f"{name} is a schedule; expected a number; schedules follow `warmup`")
    check_rate(rate, name, positive=positive)
