"""Schedules at their borders, in and out of a jit, and their bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import momentum_sgd
from cnnjax.training.schedules import constant, cosine, one_cycle, step, warmup


def values(schedule, *steps):
    return [float(schedule(t)) for t in steps]


def close(expected):
    return pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_constant_rate_is_constant():
    assert values(constant(0.3), 0, 1, 10**9) == [0.3, 0.3, 0.3]


def test_a_step_falls_at_the_step_that_is_a_multiple_and_not_before():
    drop = step(0.8, 0.5, every=10)
    assert values(drop, 0, 9, 10, 19, 20, 29, 30) == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1]


def test_a_boundary_is_the_first_step_of_its_rate():
    drop = step(1.0, 0.1, boundaries=(3, 4, 100))
    assert values(drop, 0, 2, 3, 4, 99, 100) == close([1, 1, 0.1, 0.01, 0.01, 0.001])
    assert values(step(0.5, boundaries=()), 0, 5) == [0.5, 0.5]


def test_a_cosine_begins_at_the_rate_is_half_way_in_the_middle_and_stays_at_its_floor():
    assert values(cosine(0.2, 100), 0, 50, 100, 101, 10**6) == close([0.2, 0.1, 0, 0, 0])
    assert values(cosine(0.2, 100, floor=0.02), 0, 50, 100, 200) == close([0.2, 0.11, 0.02, 0.02])
    t = np.arange(101)
    by_hand = 0.05 + 0.15 * (1 + np.cos(np.pi * t / 100)) / 2
    assert values(cosine(0.2, 100, 0.05), *t.tolist()) == close(by_hand)


def test_a_warm_up_rises_on_a_line_and_hands_over_at_its_last_step():
    assert values(warmup(0.8, 4), 0, 1, 2, 3, 4, 5) == close([0, 0.2, 0.4, 0.6, 0.8, 0.8])
    drop = warmup(step(0.8, 0.5, every=10), 4)
    assert values(drop, 3, 4, 13, 14, 23, 24) == close([0.6, 0.8, 0.8, 0.4, 0.4, 0.2])


def test_no_warm_up_is_the_schedule_itself():
    assert warmup(cosine(0.2, 10), 0) is cosine(0.2, 10)


def test_warm_up_and_cosine_are_the_schedule_of_momentum_sgd():
    ours = optax.sgd(warmup(cosine(0.2, 6), 4), momentum=0.9)
    theirs, w = momentum_sgd(0.2, 10, warmup=4), jnp.ones((1, 1))
    states = [ours.init(w), theirs.init(w)]
    for _ in range(11):
        first, states[0] = ours.update(w, states[0], w)
        second, states[1] = theirs.update(w, states[1], w)
        assert first.item() == second.item()


def test_one_cycle_rises_falls_by_the_same_way_and_then_far_below():
    cycle = one_cycle(0.8, 100, rise=0.4, start_divisor=8, end_divisor=100)
    expected = [0.1, 0.45, 0.8, 0.45, 0.1, 0.0505, 0.001, 0.001]
    assert values(cycle, 0, 20, 40, 60, 80, 90, 100, 101) == close(expected)


def test_one_cycle_of_cosines_goes_through_the_same_corners_and_is_slow_there():
    cycle = one_cycle(0.8, 100, shape="cosine", rise=0.4, start_divisor=8, end_divisor=100)
    expected = [0.1, 0.45, 0.8, 0.45, 0.1, 0.0505, 0.001, 0.001]
    assert values(cycle, 0, 20, 40, 60, 80, 90, 100, 101) == close(expected)
    quarter = 0.1 + 0.7 * (1 - np.cos(np.pi / 4)) / 2
    assert values(cycle, 10, 70) == close([quarter, quarter])


def test_one_cycle_by_default_is_smiths():
    assert values(one_cycle(1.0, 1000), 0, 450, 900, 1000) == close([0.1, 1, 0.1, 1e-4])


@pytest.mark.parametrize(
    "schedule",
    [
        constant(0.3),
        step(0.8, 0.5, every=10),
        step(0.8, 0.5, boundaries=(10, 12)),
        cosine(0.2, 30, 0.01),
        warmup(cosine(0.2, 20), 10),
        one_cycle(0.8, 30),
        one_cycle(0.8, 30, shape="cosine"),
    ],
    ids=["constant", "every", "boundaries", "cosine", "warmup", "linear cycle", "cosine cycle"],
)
def test_a_schedule_is_the_same_under_jit_positive_and_never_above_its_peak(schedule):
    outside = values(schedule, *range(31))
    inside = jax.jit(lambda: jax.lax.map(lambda t: jnp.float32(schedule(t)), jnp.arange(31)))()
    np.testing.assert_allclose(inside, outside, rtol=1e-6, atol=1e-8)
    assert min(outside) >= -1e-9
    assert max(outside) <= 0.8 * (1 + 1e-6)


def test_the_same_setting_is_the_same_object_so_that_a_step_is_compiled_once():
    assert cosine(0.1, 10) is cosine(0.1, 10)
    assert warmup(cosine(0.1, 10), 5) is warmup(cosine(0.1, 10), 5)
    assert cosine(0.1, 10) is not cosine(0.1, 11)


BAD = {
    "a negative constant": (lambda: constant(-1), "rate=-1 is no rate"),
    "a negative rate": (lambda: step(-0.1, every=2), "rate=-0.1 is no rate"),
    "a schedule as rate": (lambda: cosine(cosine(0.1, 2), 2), "rate is a schedule; expected a"),
    "a factor above 1": (lambda: step(0.1, 10, every=2), r"factor 10 .* in \(0, 1\]; try 0.1"),
    "a factor of 0": (lambda: step(0.1, 0, every=2), r"factor 0 .* in \(0, 1\]; try 0.1"),
    "no drop": (lambda: step(0.1), "every=None and boundaries=None; give one"),
    "two drops": (lambda: step(0.1, every=1, boundaries=(1,)), "every=1 .* give one"),
    "every 0 steps": (lambda: step(0.1, every=0), "every=0 cannot be; .* at least 1"),
    "a boundary of 0": (lambda: step(0.1, boundaries=(0,)), "a boundary=0 cannot be"),
    "falling boundaries": (lambda: step(0.1, boundaries=(5, 5)), r"\(5, 5\) do not increase"),
    "a list": (
        lambda: step(0.1, boundaries=[5]),
        r"step was given a setting of type list; .*tuple\(\)",
    ),
    "no steps": (lambda: cosine(0.1, 0), "steps=0 cannot be; .* at least 1"),
    "half a step": (lambda: cosine(0.1, 1.5), "steps=1.5 cannot be; expected a whole number"),
    "a rate of 0": (lambda: cosine(0.0, 5), "rate=0.0 is no rate; expected a positive"),
    "a floor above": (lambda: cosine(0.1, 5, 0.2), "floor=0.2 lies above rate=0.1"),
    "a floor below": (lambda: cosine(0.1, 5, -0.2), "floor=-0.2 is no rate"),
    "a warm-up of -1": (lambda: warmup(0.1, -1), "steps=-1 cannot be; .* at least 0"),
    "a negative peak": (lambda: warmup(-0.1, 1), "schedule=-0.1 is no rate"),
    "a square cycle": (lambda: one_cycle(0.1, 9, shape="square"), "no shape 'square'; .* 'cosine'"),
    "a long rise": (lambda: one_cycle(0.1, 9, rise=0.5), "share 0.5 of 9 steps .* rise < 0.5"),
    "a short cycle": (lambda: one_cycle(0.1, 2), "share 0.45 of 2 steps leaves no step"),
    "a small divisor": (lambda: one_cycle(0.1, 9, end_divisor=0.5), "end_divisor=0.5 cannot be"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_a_schedule_is_one_clear_error(bad):
    make, message = BAD[bad]
    with pytest.raises(CnnjaxError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
