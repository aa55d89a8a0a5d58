"""Dropout: the paper's form and the inverted one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import Dense, dropout

KEY = jax.random.key(0)
N = 100_000


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_numbers_are_zeroed_at_the_rate_and_the_others_divided_by_what_is_kept(rate):
    y = np.asarray(dropout(jnp.full((N,), 3.0), rate, KEY))
    np.testing.assert_allclose(np.unique(y), [0.0, 3.0 / (1 - rate)], rtol=1e-6)
    # Four standard errors of the share of N zeros, and of their mean.
    assert (y == 0).mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / N))
    assert y.mean() == pytest.approx(3.0, abs=4 * 3.0 * np.sqrt(rate / (1 - rate) / N))


def test_every_number_is_drawn_by_itself():
    kept = np.asarray(dropout(jnp.ones((200, 10, 50)), 0.5, KEY)) > 0
    for axis in range(3):  # neighbours agree half of the time
        a, b = (kept.take(range(i, kept.shape[axis] - 1 + i), axis) for i in (0, 1))
        assert (a == b).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(a.size))


def test_the_draw_is_a_function_of_the_key():
    x = jnp.ones(64)
    np.testing.assert_array_equal(dropout(x, 0.5, KEY), dropout(x, 0.5, KEY))
    assert (dropout(x, 0.5, KEY) != dropout(x, 0.5, jax.random.key(1))).any()


def test_a_rate_of_0_changes_nothing():
    x = jax.random.normal(KEY, (5, 4))
    np.testing.assert_array_equal(dropout(x, 0.0, KEY), x)


def test_what_was_dropped_gets_no_gradient_and_the_rest_that_of_its_scale():
    x = jax.random.normal(KEY, (100,))
    gradient = jax.grad(lambda x: dropout(x, 0.75, KEY).sum())(x)
    np.testing.assert_array_equal(gradient, jnp.where(dropout(x, 0.75, KEY) == 0, 0.0, 4.0))


def test_an_infinite_number_that_is_dropped_leaves_nothing_behind():
    y = dropout(jnp.full((50,), jnp.inf), 0.5, KEY)
    assert set(np.unique(y)) == {0.0, np.inf}


def test_the_dtype_is_kept():
    assert dropout(jnp.ones(8, jnp.bfloat16), 0.5, KEY).dtype == jnp.bfloat16


def paper_training(x, w, p, key):
    """Srivastava et al. 2014, section 4: r ~ Bernoulli(p), y = (r x) w, without any scaling."""
    return (jax.random.bernoulli(key, p, x.shape) * x) @ w


def test_multiplying_the_weights_by_p_is_exact_for_a_linear_unit():
    """The paper's test time, W_test = p W, is the mean of its training over all 2^n networks."""
    x, w = jax.random.normal(KEY, (6,)), jax.random.normal(jax.random.key(1), (6, 3))
    masks = np.array(np.meshgrid(*[[0.0, 1.0]] * 6)).reshape(6, -1).T  # every thinned network
    for p in (0.5, 0.8):
        chances = p ** masks.sum(1) * (1 - p) ** (6 - masks.sum(1))
        mean = (chances[:, None] * ((masks * np.asarray(x)) @ np.asarray(w))).sum(0)
        np.testing.assert_allclose(x @ (p * w), mean, rtol=1e-4, atol=1e-6)


def test_the_paper_s_form_and_the_inverted_one_agree_in_expectation():
    """Its training with w and its test with p w are p times this one's, draw by draw."""
    x, w, p = jax.random.normal(KEY, (6,)), jax.random.normal(jax.random.key(1), (6, 3)), 0.8
    keys = jax.random.split(jax.random.key(2), 20_000)
    ours = jax.vmap(lambda k: dropout(x, 1 - p, k) @ w)(keys)
    paper = jax.vmap(lambda k: paper_training(x, w, p, k))(keys)
    np.testing.assert_allclose(ours * p, paper, rtol=1e-3, atol=1e-5)
    error = 5 * np.asarray(ours).std(0) / np.sqrt(len(keys))
    assert (np.abs(ours.mean(0) - x @ w) < error).all()  # nothing to do at test time
    assert (np.abs(paper.mean(0) - x @ (p * w)) < p * error).all()


def test_the_rate_means_what_it_means_in_keras():
    import keras

    ones = np.ones((N,), np.float32)
    theirs = np.asarray(keras.layers.Dropout(0.2, seed=1)(ones, training=True))
    ours = np.asarray(dropout(jnp.asarray(ones), 0.2, KEY))
    np.testing.assert_allclose(np.unique(theirs), np.unique(ours), rtol=1e-6)  # 0 and 1 / 0.8
    assert (theirs == 0).mean() == pytest.approx((ours == 0).mean(), abs=0.01)


def test_a_dense_layer_draws_as_it_did_when_the_committed_results_were_made():
    layer = Dense(3, dropout=0.25)
    x = 1.0 + jnp.arange(64.0).reshape(8, 8)
    variables = {"params": {"kernel": jnp.eye(8)[:, :3], "bias": jnp.zeros(3)}}
    y = layer.apply(variables, x, train=True, rngs={"dropout": KEY})
    # Recorded with what Dense itself drew before `dropout` was a function.
    assert np.flatnonzero(np.asarray(y) == 0).tolist() == [3, 5, 8, 9, 12, 15, 18, 19, 23]


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, float("nan")])
def test_a_rate_that_keeps_nothing_or_is_no_probability_is_refused(rate):
    with pytest.raises(CnnjaxError, match=r"dropout is .*; give a probability in \[0, 1\)"):
        dropout(jnp.ones(3), rate, KEY)
