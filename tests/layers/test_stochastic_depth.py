"""Stochastic depth: a branch of a residual block is there for an example, or is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import stochastic_depth

KEY = jax.random.key(0)
N = 20_000


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_whole_examples_are_dropped_at_the_rate_and_the_others_divided_by_what_is_kept(rate):
    y = np.asarray(stochastic_depth(jnp.full((N, 2, 1, 3), 3.0), rate, KEY)).reshape(N, -1)
    assert (y == y[:, :1]).all()  # an example as a whole
    np.testing.assert_allclose(np.unique(y), [0.0, 3.0 / (1 - rate)], rtol=1e-6)
    # Four standard errors of the share of N zeros: the mean over draws is the branch itself.
    assert (y[:, 0] == 0).mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / N))


def test_the_draw_is_a_function_of_the_key():
    x = jnp.ones((64, 2))
    np.testing.assert_array_equal(stochastic_depth(x, 0.5, KEY), stochastic_depth(x, 0.5, KEY))
    other = stochastic_depth(x, 0.5, jax.random.key(1))
    assert (stochastic_depth(x, 0.5, KEY) != other).any()


def test_a_rate_of_0_changes_nothing():
    x = jax.random.normal(KEY, (5, 4))
    np.testing.assert_array_equal(stochastic_depth(x, 0.0, KEY), x)


def test_what_was_dropped_gets_no_gradient_and_leaves_nothing_behind():
    x = jax.random.normal(KEY, (50, 2))
    gradient = jax.grad(lambda x: stochastic_depth(x, 0.75, KEY).sum())(x)
    dropped = stochastic_depth(x, 0.75, KEY) == 0
    np.testing.assert_array_equal(gradient, jnp.where(dropped, 0.0, 4.0))
    y = stochastic_depth(jnp.full((50, 1), jnp.inf), 0.5, KEY)
    assert set(np.unique(y)) == {0.0, np.inf}


def test_the_dtype_is_kept():
    assert stochastic_depth(jnp.ones((8, 1), jnp.bfloat16), 0.5, KEY).dtype == jnp.bfloat16


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_a_rate_that_keeps_nothing_or_is_no_probability_is_refused(rate):
    with pytest.raises(CnnjaxError, match=r"is .*; give a probability in \[0, 1\)"):
        stochastic_depth(jnp.ones((3, 1)), rate, KEY)
