"""What initialisers are for (lecture 2): the variance that a deep network passes on."""

import jax
import jax.numpy as jnp
import pytest

from cnnjax.layers import gaussian, glorot_truncated, glorot_uniform, he_truncated, relu, tanh

LAYERS, WIDTH = 10, 512
INPUTS = jax.random.normal(jax.random.key(0), (128, WIDTH))


def linear(x):
    return x


def through(activation, initializer):
    """The mean squares of x_0 ... x_L and of the gradients that come back to them."""
    keys = jax.random.split(jax.random.key(1), LAYERS)
    kernels = [initializer(key, (WIDTH, WIDTH), jnp.float32) for key in keys]
    x, forwards, pulls = INPUTS, [1.0], []
    for kernel in kernels:
        x, pull = jax.vjp(lambda x, kernel=kernel: activation(x @ kernel), x)
        pulls.append(pull)
        forwards.append(float(jnp.square(x).mean()))
    gradient, backwards = jax.random.normal(jax.random.key(2), x.shape), [1.0]
    for pull in reversed(pulls):
        (gradient,) = pull(gradient)
        backwards.append(float(jnp.square(gradient).mean()))
    return forwards, backwards


# With n units the mean square of a layer is off by a factor 1 ± sqrt(k / n), k at most 5 (ReLU;
# He et al. 2015), so that ten layers stay within exp(± 3 sqrt(10 · 5 / 512)) = 0.39 ... 2.55.


@pytest.mark.parametrize(
    ("activation", "initializer"),
    [(linear, glorot_truncated), (linear, glorot_uniform), (relu, he_truncated)],
)
def test_variance_is_passed_on_forwards_and_backwards(activation, initializer):
    forwards, backwards = through(activation, initializer)
    # Behind a ReLU it is the mean square that stays: half the variance in front, which is 2.
    assert all(0.39 < square < 2.55 for square in (*forwards, *backwards))


def test_tanh_with_xavier_shrinks_what_is_passed_on_slowly_and_does_not_lose_it():
    forwards, backwards = through(tanh, glorot_truncated)
    assert 0.02 < forwards[-1] < forwards[1] < 1
    assert backwards[-1] > 0.02


@pytest.mark.parametrize("activation", [linear, tanh, relu])
def test_with_a_deviation_of_a_hundredth_it_vanishes(activation):
    forwards, backwards = through(activation, gaussian(0.01))
    assert forwards[-1] < 1e-10
    assert backwards[-1] < 1e-10


@pytest.mark.parametrize("activation", [linear, relu])
def test_with_a_deviation_of_one_it_explodes(activation):
    forwards, backwards = through(activation, gaussian(1.0))
    assert forwards[-1] > 1e20
    assert backwards[-1] > 1e20


def test_with_a_deviation_of_one_tanh_saturates_at_once():
    forwards, _ = through(tanh, gaussian(1.0))
    assert forwards[1] > 0.9


def test_xavier_behind_relu_loses_half_at_every_layer():
    forwards, _ = through(relu, glorot_truncated)
    assert forwards[-1] == pytest.approx(2.0**-LAYERS, rel=0.7)
