"""The optimizers on functions one can draw: they arrive, and what lecture 4 says of SGD is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.training import OPTIMIZERS, create_optimizer, momentum, nesterov, schedules, sgd


def parabola(theta):
    return (theta**2 * jnp.array([1.0, 10.0])).sum() / 2


def rosenbrock(theta):
    x, y = theta
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def saddle(theta):
    x, y = theta
    return x**2 - y**2


def ripples(theta):
    """Waves in a bowl: the lowest place is 0, and a shallow one lies near 3.85."""
    return (0.05 * theta**2 - 0.15 * jnp.cos(3 * theta)).sum()


def walk(loss, optimizer, start, steps):
    """The places after every step, `[steps, ...]`."""

    def step(carry, _):
        theta, state = carry
        updates, state = optimizer.update(jax.grad(loss)(theta), state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    start = jnp.asarray(start)
    return np.asarray(jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[1])


# The highest rates, from which 20,000 steps of a cosine lead to 0: adaptive rules whose step does
# not shrink with the gradient (RMSProp, Adadelta) go round a minimum at a constant rate.
RATES = {
    "sgd": 1.5e-3,
    "momentum": 5e-4,
    "nesterov": 5e-4,
    "adagrad": 0.5,
    "rmsprop": 1e-3,
    "adam_simplified": 1e-2,
    "adam": 1e-2,
    "adamw": 1e-2,
    "nadam": 1e-2,
    "adamax": 1e-2,
    "adadelta": 1.0,
    "ftrl": 0.5,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_minimises_a_parabola_and_the_valley_of_rosenbrock(name):
    settings = {"weight_decay": 0.0} if name == "adamw" else {}
    optimizer = create_optimizer(name, schedules.cosine(RATES[name], 20_000), **settings)

    def both(theta):
        return parabola(theta["parabola"]) + rosenbrock(theta["rosenbrock"])

    # Every rule acts on each number alone, so that one walk is two.
    def step(_, carry):
        theta, state = carry
        updates, state = optimizer.update(jax.grad(both)(theta), state, theta)
        return optax.apply_updates(theta, updates), state

    start = {"parabola": jnp.array([1.0, 1.0]), "rosenbrock": jnp.array([-1.2, 1.0])}
    theta, _ = jax.lax.fori_loop(0, 20_000, step, (start, optimizer.init(start)))
    assert parabola(theta["parabola"]) < 1e-12
    assert rosenbrock(theta["rosenbrock"]) < 1e-5
    np.testing.assert_allclose(theta["rosenbrock"], [1, 1], atol=3e-3)


def test_momentum_leaves_a_saddle_and_plain_sgd_does_not_in_the_same_number_of_steps():
    # Lecture 4: "slow update at saddle points". A millionth beside the ridge, SGD's distance from
    # it grows by 1 + 2 eta a step, momentum's by the larger root of r² - (1.9 + 2 eta) r + 0.9.
    start, eta, steps = [1.0, 1e-6], 0.01, 200
    slow = np.abs(walk(saddle, sgd(eta), start, steps)[-1])
    np.testing.assert_allclose(slow, [0.98**steps, 1e-6 * 1.02**steps], rtol=1e-3)
    assert slow[1] < 1e-4
    for optimizer in (momentum(eta, 0.9), nesterov(eta, 0.9)):
        left = np.abs(walk(saddle, optimizer, start, steps)[:, 1]) > 1
        assert left.any()
    grown = walk(saddle, momentum(eta, 0.9), start, steps)[:, 1]
    root = (1.92 + np.sqrt(1.92**2 - 4 * 0.9)) / 2
    np.testing.assert_allclose(grown[100:] / grown[99:-1], root, rtol=1e-4)


def test_nothing_leaves_a_saddle_from_the_very_ridge():
    for optimizer in (sgd(0.01), momentum(0.01), nesterov(0.01)):
        places = walk(saddle, optimizer, [1.0, 0.0], 1000)
        assert (places[:, 1] == 0).all()
        assert abs(places[-1, 0]) < 1e-6


def test_momentum_rolls_out_of_a_shallow_minimum_where_plain_sgd_stays():
    # Lecture 4: "stuck at local minima".
    stuck = walk(ripples, sgd(0.05), [5.5], 2000)
    rolled = walk(ripples, momentum(0.05, 0.9), [5.5], 2000)
    assert abs(stuck[-1, 0] - 3.847) < 1e-3
    assert abs(jax.grad(ripples)(stuck[-1])[0]) < 1e-4
    assert abs(rolled[-1, 0]) < 1e-4
    assert ripples(rolled[-1]) < ripples(stuck[-1]) - 0.5


def test_momentum_dampens_the_oscillation_across_a_narrow_valley():
    # Lecture 4: momentum "helps accelerate SGD in the relevant direction and dampens oscillations".
    # Along the flat axis SGD takes eta x; momentum gathers up to 1 / (1 - gamma) as much. The
    # largest eta at which the steep axis (curvature 10) does not diverge is 2 / 10 for SGD, and
    # 2 (1 + gamma) / 10 with momentum.
    sgd_path = walk(parabola, sgd(0.21), [1.0, 1.0], 200)
    path = walk(parabola, momentum(0.21, 0.5), [1.0, 1.0], 200)
    assert abs(sgd_path[-1, 1]) > 1e6
    assert np.abs(path[-1]).max() < 1e-6
