"""The walks on surfaces, against the formulas of the rules and the surfaces."""

import numpy as np
import pytest
from optimizers_surfaces import (
    RATES,
    SURFACES,
    TARGET,
    arrival,
    moments,
    perform_surface,
    tuned,
    tuning_starts,
    walk,
)

from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Tools

STEPS = 200


def perform(surface, rule, rate, start=(-1.0, 0.3), seed=0):
    config = {"kind": "one rate", "surface": surface, "rule": rule, "rate": rate}
    config |= {"start": start, "seed": seed, "steps": STEPS}
    return perform_surface(Run("x", config), Tools(None, None, lambda step: None, print))


def test_the_surfaces_are_those_of_the_docstring():
    height = {name: float(s.loss(np.array([0.5, -2.0]))) for name, s in SURFACES.items()}
    assert height == pytest.approx(
        {
            "valley": (0.25 + 40) / 2,
            "ravine": (0.25 + 400) / 2,
            "saddle": 0.125 - 2 + 4,
            "rosenbrock": 0.25 + 100 * 2.25**2,
        }
    )
    for surface in SURFACES.values():
        for place in surface.minima:
            assert float(surface.loss(np.array(place, float))) == surface.lowest


def test_plain_descent_in_the_ravine_shrinks_each_axis_by_1_minus_eta_times_its_curvature():
    places, losses = walk("sgd", "ravine", [(-1.0, 0.3), (0.8, -0.5)], [0.001, 0.015], STEPS)
    assert places.shape == (STEPS + 1, 2, 2, 2)
    t = np.arange(STEPS + 1)
    for i, rate in enumerate((0.001, 0.015)):
        for j, start in enumerate(((-1.0, 0.3), (0.8, -0.5))):
            own = [x * (1 - rate * c) ** t for x, c in zip(start, (1, 100), strict=True)]
            np.testing.assert_allclose(places[:, i, j].T, own, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        losses, places[..., 0] ** 2 / 2 + 50 * places[..., 1] ** 2, rtol=1e-5
    )


def test_momentum_on_the_saddle_follows_its_recursion():
    places, _ = walk("momentum", "saddle", [(0.7, 1e-3)], [0.1], STEPS)
    theta, v = np.array([0.7, 1e-3]), np.zeros(2)
    for found in places[:31, 0, 0]:
        np.testing.assert_allclose(found, theta, rtol=1e-3, atol=1e-6)
        v = 0.9 * v + 0.1 * np.array([theta[0], theta[1] ** 3 - theta[1]])
        theta = theta - v


def test_a_walk_does_not_depend_on_what_walks_beside_it():
    alone, _ = walk("momentum", "rosenbrock", [(0.5, 1.5)], [1e-3], STEPS)
    beside, _ = walk("momentum", "rosenbrock", [(1.8, -1.0), (0.5, 1.5)], [1.0, 1e-3], STEPS)
    assert not np.isfinite(beside[:, 0]).all()  # far too high a rate
    np.testing.assert_array_equal(beside[:, 1, 1], alone[:, 0, 0])


@pytest.mark.parametrize("slope", [0.1, 10.0])
def test_on_an_even_slope_the_simplified_adam_begins_with_3_16_rates_and_adagrad_fades(slope):
    def lengths(rule):
        return np.diff(walk(rule, "slope", [(0.0, 0.0)], [1.0], STEPS, slope)[0][:, 0, 0, 0])

    assert lengths("adam_simplified")[0] == pytest.approx(0.1 / 0.001**0.5, rel=1e-3)
    np.testing.assert_allclose(lengths("adagrad"), 1 / np.sqrt(np.arange(1, STEPS + 1)), rtol=2e-4)


def test_to_arrive_is_to_stay():
    height = np.array(
        [
            [1.0, 1.0, 1.0, 1.0],
            [TARGET / 2, 0.5, np.nan, TARGET / 2],
            [0.5, TARGET / 2, np.nan, TARGET / 2],
            [TARGET / 2, TARGET / 2, np.nan, TARGET / 2],
        ]
    )
    assert arrival(height - 0.25, -0.25).tolist() == [3, 2, 4, 1]


def test_the_rate_is_tuned_from_starts_that_are_not_reported():
    for name, surface in SURFACES.items():
        starts = tuning_starts(name)
        assert len(starts) == len(set(starts)) == 8
        assert not set(starts) & set(surface.starts)
        assert tuning_starts(name) == starts
    assert all(1e-4 <= t2 <= 1e-2 for _, t2 in tuning_starts("saddle"))


def test_the_best_rate_of_plain_descent_in_the_valley_is_near_2_over_the_curvatures_sum():
    assert tuned("sgd", "valley", STEPS) == min(RATES, key=lambda rate: abs(rate - 2 / 11))


def test_nesterov_overshoots_less_along_the_ravine_and_momentum_swings_longer_than_sgd():
    found = {rule: perform("ravine", rule, 0.01).row for rule in ("momentum", "nesterov")}
    assert 0 < found["nesterov"]["overshoot"] < found["momentum"]["overshoot"]
    swings = [perform("ravine", rule, 0.018).row["swing"] for rule in ("sgd", "momentum")]
    t = np.arange(1, 101)
    assert swings[0] == pytest.approx(100 * np.mean(0.8**t), rel=1e-3)
    assert swings[1] > swings[0]


def test_a_walk_that_leaves_all_bounds_has_a_row_and_never_arrives():
    row = perform("ravine", "sgd", 1.0).row
    assert row["arrival"] == STEPS + 1
    assert row["swing"] is None


def test_leaving_the_saddle_is_the_first_step_beyond_one_half():
    row = perform("saddle", "sgd", 0.1, start=(0.7, 1e-3)).row
    t2, steps = 1e-3, 0
    while t2 <= 0.5:
        t2, steps = t2 - 0.1 * (t2**3 - t2), steps + 1
    assert row["departure"] == steps
    assert perform("saddle", "sgd", 1e-4, start=(0.7, 1e-3)).row["departure"] == STEPS + 1


def test_the_moments_drawn_are_few_begin_with_all_and_end_with_the_last():
    for last in (3, 20, 57, 3000):
        shown = moments(last)
        assert shown[0] == 0
        assert shown[-1] == last
        assert shown[: min(last, 20) + 1] == list(range(min(last, 20) + 1))
        assert len(shown) <= 45
