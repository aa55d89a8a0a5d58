"""The surfaces of the study of update rules, walks on them, and the runs that are walks."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optimizers_rules import first_cells

from cnnjax.data.randomness import stream
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Outcome, Tools
from cnnjax.training import create_optimizer, rate_in_state

RATES = tuple(round(10 ** (k / 4), 7) for k in range(-16, 2))
"""The same for every rule: 18 from 1e-4 to 1.78, the size of the surfaces, in steps of 1.78."""

TUNING_STARTS = 8

TARGET = 1e-3
"""The part of the height above the lowest place that is left where a walk has arrived."""


Place = tuple[float, float]


class Surface(NamedTuple):
    """L(t1, t2), to be walked down.

    Attributes:
      formula: as printed.
      loss: of theta `[..., 2]`.
      lowest: min L.
      starts: (t1, t2) of each repetition; the first is the one that is drawn.
      window: what is drawn: (least t1, most t1, least t2, most t2).
      minima: the lowest places.
    """

    formula: str
    loss: Callable[[jax.Array], jax.Array]
    lowest: float
    starts: tuple[Place, ...]
    window: tuple[float, float, float, float]
    minima: tuple[Place, ...]


def quadratic(curvature: float) -> Callable[[jax.Array], jax.Array]:
    """(t1² + curvature t2²) / 2, the lecture's ravine."""
    return lambda t: (t[..., 0] ** 2 + curvature * t[..., 1] ** 2) / 2


def saddle(t: jax.Array) -> jax.Array:
    """t1² / 2 - t2² / 2 + t2⁴ / 4: a saddle at 0 between two lowest places."""
    return t[..., 0] ** 2 / 2 - t[..., 1] ** 2 / 2 + t[..., 1] ** 4 / 4


def rosenbrock(t: jax.Array) -> jax.Array:
    """(1 - t1)² + 100 (t2 - t1²)² (Rosenbrock 1960)."""
    return (1 - t[..., 0]) ** 2 + 100 * (t[..., 1] - t[..., 0] ** 2) ** 2


_BESIDE = ((-1.0, 0.3), (0.8, -0.5), (1.4, 0.2), (-0.6, -0.4), (0.5, 0.6))
SURFACES = {
    "valley": Surface(
        "(t1² + 10 t2²) / 2", quadratic(10), 0.0, _BESIDE, (-1.2, 1.2, -1, 1), ((0, 0),)
    ),
    "ravine": Surface(
        "(t1² + 100 t2²) / 2", quadratic(100), 0.0, _BESIDE, (-1.2, 1.0, -0.4, 0.4), ((0, 0),)
    ),
    "saddle": Surface(
        "t1²/2 − t2²/2 + t2⁴/4",
        saddle,
        -0.25,
        ((0.7, 1e-3), (-1.3, 1e-2), (1.6, -1e-4), (-0.9, 3e-3), (1.2, -1e-3)),
        (-0.8, 1.0, -0.4, 1.6),
        ((0, 1), (0, -1)),
    ),
    "rosenbrock": Surface(
        "(1 − t1)² + 100 (t2 − t1²)²",
        rosenbrock,
        0.0,
        ((-1.2, 1.0), (0.0, 2.0), (1.8, -1.0), (-0.7, -0.5), (0.5, 1.5)),
        (-1.7, 1.5, -0.6, 2.2),
        ((1, 1),),
    ),
}
DRAWN = ("ravine", "saddle", "rosenbrock")
SLOPES = (1.0, 0.1, 10.0)
"""L = -s t1: the gradient is the same everywhere; these are its sizes."""


def walk(
    rule: str,
    surface: str,
    starts: Sequence[Place],
    rates: Sequence[float],
    steps: int,
    slope: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Walks from each of up to 8 starts at each of up to 18 rates.

    AdamW has no weight decay here, and is Adam.

    Args:
      rule: one of `cnnjax.training.OPTIMIZERS`.
      surface: one of `SURFACES`, or "slope".
      starts: (t1, t2) each.
      rates: learning rates.
      steps: of every walk.
      slope: of "slope".

    Returns:
      theta `[steps + 1, rates, starts, 2]`, the start included, and the loss there
      `[steps + 1, rates, starts]`; not a number where a walk has left all bounds.
    """
    # One program for any number of them: the last is repeated.
    padded = [*starts, *[starts[-1]] * (TUNING_STARTS - len(starts))]
    places, losses = _walker(rule, steps)(
        [*SURFACES, "slope"].index(surface),
        jnp.asarray(padded, jnp.float32),
        jnp.asarray([*rates, *[rates[-1]] * (len(RATES) - len(rates))], jnp.float32),
        jnp.float32(slope),
    )
    kept = np.s_[:, : len(rates), : len(starts)]
    return np.asarray(places)[kept], np.asarray(losses)[kept]


@cache
def _walker(rule: str, steps: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The program of one rule for all surfaces: every rule acts on each number alone."""
    settings = {"weight_decay": 0.0} if rule == "adamw" else {}
    optimizer = rate_in_state(create_optimizer(rule, 1.0, **settings))

    def run(
        surface: jax.Array, starts: jax.Array, rates: jax.Array, slope: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        functions = [s.loss for s in SURFACES.values()] + [lambda t: -slope * t[..., 0]]

        def loss(theta: jax.Array) -> jax.Array:
            return jax.lax.switch(surface, functions, theta)

        def step(
            carry: tuple[jax.Array, optax.OptState], _: None
        ) -> tuple[tuple[jax.Array, optax.OptState], jax.Array]:
            theta, state = carry
            gradients = jax.grad(lambda t: loss(t).sum())(theta)
            updates, state = optimizer.update(gradients, state, theta)
            theta = theta + updates
            return (theta, state), theta

        theta = jnp.tile(starts, (len(rates), 1, 1))
        state = optimizer.init(theta)._replace(rate=rates[:, None, None])
        places = jax.lax.scan(step, (theta, state), length=steps)[1]
        places = jnp.concatenate([theta[None], places])
        return places, loss(places)

    return jax.jit(run)


def tuning_starts(surface: str) -> list[Place]:
    """Where the walks begin that choose the rate: evenly drawn from the window of the surface; on
    the saddle t2 is 1e-4 to 1e-2 off the ridge, its logarithm evenly drawn."""
    random = stream(0, [*SURFACES].index(surface))
    least1, most1, least2, most2 = SURFACES[surface].window
    first = random.uniform(least1, most1, TUNING_STARTS)
    if surface == "saddle":
        second = 10 ** random.uniform(-4, -2, TUNING_STARTS)
    else:
        second = random.uniform(least2, most2, TUNING_STARTS)
    return [(round(a, 4), round(b, 6)) for a, b in zip(first, second, strict=True)]


@cache
def tuned(rule: str, surface: str, steps: int) -> float:
    """The rate of `RATES` that arrives in the fewest steps, meant over `tuning_starts`; of equal
    ones the lowest."""
    _, losses = walk(rule, surface, tuning_starts(surface), RATES, steps)
    means = arrival(losses, SURFACES[surface].lowest).mean(axis=1)
    return RATES[int(np.argmin(means))]


def arrival(losses: np.ndarray, lowest: float) -> np.ndarray:
    """The step from which on a walk stays within `TARGET` of its height.

    [steps + 1, ...] -> [...], steps + 1 where it never does; `lowest` is the least possible loss.
    """
    height = losses - lowest
    with np.errstate(invalid="ignore"):
        above = ~(height <= TARGET * height[0])  # not a number counts as above
    return len(losses) - np.argmax(above[::-1], axis=0)


def perform_slope(run: Run, tools: Tools) -> Outcome:
    """Steps on a constant slope at rate 1, and so in rates: the first, the last, and some of them
    for the figure."""
    slope, steps = run.config["slope"], run.config["steps"]
    places, _ = walk(run.config["rule"], "slope", [(0.0, 0.0)], [1.0], steps, slope)
    tools.on_steps(steps)
    lengths = np.diff(places[:, 0, 0, 0].astype(np.float64))
    row = first_cells(run, f"slope {slope:g}", 1.0, 1)
    row |= {"first_step": _short(lengths[0]), "last_step": _short(lengths[-1])}
    shown = moments(steps)[1:] if run.config["seed"] == 0 else ()
    return Outcome(row, curve=[{"step": t, "step_length": _short(lengths[t - 1])} for t in shown])


def perform_surface(run: Run, tools: Tools) -> Outcome:
    """A walk, at the tuned rate or at a given one, and its trajectory where it is the one drawn."""
    config = run.config
    name, start, rate = config["surface"], config["start"], config["rate"]
    steps = config["steps"]
    tried = len(RATES) if rate is None else 1
    rate = tuned(config["rule"], name, steps) if rate is None else rate
    places, losses = walk(config["rule"], name, [start], [rate], steps)
    tools.on_steps(steps)
    path, loss = places[:, 0, 0].astype(np.float64), losses[:, 0, 0]
    arrived = int(arrival(loss, SURFACES[name].lowest))
    row = first_cells(run, name, rate, tried) | {"arrival": arrived}
    if name == "saddle":
        row["departure"] = int(np.argmax([*(np.abs(path[:, 1]) > 0.5), True]))
    if name == "ravine":
        with np.errstate(over="ignore", invalid="ignore"):
            row["overshoot"] = _percent(np.max(-path[:, 0] / start[0]))
            row["swing"] = _percent(np.mean(np.abs(path[1:101, 1] / start[1])))
    drawn = tried > 1 and config["seed"] == 0 and name in DRAWN
    curve = [
        {"step": t, "t1": _short(path[t, 0]), "t2": _short(path[t, 1]), "loss": _short(loss[t])}
        for t in (moments(min(arrived, steps)) if drawn else ())
    ]
    return Outcome(row, curve=curve)


def moments(last: int) -> list[int]:
    """0, each of the first steps, and then ever fewer up to `last`: at most 45.

    >>> moments(30)[-3:]
    [26, 28, 30]
    """
    later = np.geomspace(20, max(last, 20), 24).round().astype(int).tolist()
    return sorted(t for t in {*range(21), *later} if t <= last)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _percent(part: float) -> float | None:
    return _short(100 * float(part)) if np.isfinite(part) else None
