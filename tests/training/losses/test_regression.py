"""Losses of regression: the two meanings of L1 and L2, robustness, minima and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import losses

# Every loss that is least, and 0, where the prediction is the target.
DISTANCES = [
    losses.sum_squared_error,
    losses.mean_squared_error,
    losses.sum_absolute_error,
    losses.mean_absolute_error,
    losses.mean_absolute_percentage_error,
    losses.mean_squared_logarithmic_error,
    losses.huber,
    losses.log_cosh,
]
CONVEX = [loss for loss in DISTANCES if loss is not losses.mean_squared_logarithmic_error]
RANDOM = np.random.RandomState(2)
A, B, Y = (RANDOM.normal(2, 1.5, (64, 5)).astype(np.float32) for _ in range(3))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.sum_squared_error, 5.0),  # lecture 4: squared norm
        (losses.mean_squared_error, 2.5),  # lecture 5: divided by n
        (losses.sum_absolute_error, 3.0),
        (losses.mean_absolute_error, 1.5),
    ],
)
def test_the_lectures_differ_in_whether_they_sum_or_average(loss, expected):
    assert loss(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist() == [expected]


@pytest.mark.parametrize("loss", DISTANCES)
def test_a_loss_is_0_at_the_target_and_positive_elsewhere(loss):
    target = np.abs(Y)
    np.testing.assert_allclose(loss(target, target), 0, atol=2e-7)
    near, far = (np.asarray(loss(target + e, target)) for e in (0.5, 0.9))
    assert (near > 0).all()
    assert (far > near).all()


@pytest.mark.parametrize("loss", DISTANCES)
def test_the_gradient_vanishes_at_the_target(loss):
    target = np.abs(Y)
    gradient = jax.jit(jax.grad(lambda p: loss(p, target).sum()))(target)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("loss", CONVEX)
def test_the_losses_are_convex_in_the_prediction(loss):
    between = loss((A + B) / 2, Y)
    assert bool((between <= (loss(A, Y) + loss(B, Y)) / 2 * (1 + 1e-5) + 1e-5).all())


def gradient_of_error(loss, error):
    return float(
        jax.grad(lambda p: loss(p, np.zeros(1, np.float32)).sum())(np.array([error], np.float32))[0]
    )


@pytest.mark.parametrize("error", [-100.0, -0.5, 0.0, 0.5, 100.0])
def test_each_loss_pulls_with_its_own_force(error):
    assert gradient_of_error(losses.mean_squared_error, error) == pytest.approx(2 * error)
    assert gradient_of_error(losses.mean_absolute_error, error) == np.sign(error)
    assert gradient_of_error(losses.huber, error) == pytest.approx(np.clip(error, -1, 1))
    assert gradient_of_error(losses.log_cosh, error) == pytest.approx(np.tanh(error), abs=1e-6)


def test_huber_joins_square_and_absolute_value_at_delta():
    errors = jnp.array([0.0, 1.0, 2.0, 3.0, -5.0])
    expected = [0.0, 0.5, 2.0, 4.0, 8.0]
    assert losses.huber(errors, jnp.zeros(5), delta=2.0).tolist() == expected


def test_log_cosh_is_finite_far_away():
    far = losses.log_cosh(jnp.array([1e4, -1e4]), jnp.zeros(2))
    np.testing.assert_allclose(far, 1e4 - np.log(2), rtol=1e-6)


def descended(loss, data, steps=2000):
    """The constant that descends the mean loss of `data`, with a step that falls as 1 / t."""

    def step(t, c):
        gradient = jax.grad(lambda c: loss(jnp.full(data.shape, c), data).mean())(c)
        return c - 1.0 / (1 + 0.05 * t) * gradient

    return float(jax.jit(lambda c: jax.lax.fori_loop(0, steps, step, c))(0.0))


def test_an_outlier_moves_the_squares_best_constant_and_hardly_the_absolute_values():
    clean = jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    spoilt = clean.at[4].set(500.0)
    assert descended(losses.mean_squared_error, clean) == pytest.approx(3.0, abs=0.02)
    assert descended(losses.mean_squared_error, spoilt) == pytest.approx(102.0, abs=0.5)  # mean
    assert descended(losses.mean_absolute_error, clean) == pytest.approx(3.0, abs=0.02)
    assert descended(losses.mean_absolute_error, spoilt) == pytest.approx(3.0, abs=0.02)  # median


def test_the_percentage_is_of_the_target():
    loss = losses.mean_absolute_percentage_error(jnp.array([90.0, 11.0]), jnp.array([100.0, -10.0]))
    np.testing.assert_allclose(loss, [10.0, 210.0], rtol=1e-6)


def test_the_logarithmic_error_is_relative_and_takes_negatives_as_0():
    loss = losses.mean_squared_logarithmic_error(
        jnp.array([999.0, 9.0, -3.0]), jnp.array([99.0, 0.0, 0.0])
    )
    np.testing.assert_allclose(loss, [np.log(10) ** 2, np.log(10) ** 2, 0], rtol=1e-5)


def test_the_cosine_knows_directions_only():
    y = jnp.array([[3.0, 4.0]])
    for prediction, expected in [([6, 8], -1), ([-3, -4], 1), ([4, -3], 0), ([3, 0], -0.6)]:
        loss = losses.cosine_similarity(jnp.array([prediction], jnp.float32), y)
        assert loss[0] == pytest.approx(expected, abs=1e-6)


def test_the_cosine_of_nothing_is_0_with_a_finite_gradient():
    y = jnp.array([[3.0, 4.0]])
    measure = jax.jit(jax.value_and_grad(lambda p: losses.cosine_similarity(p, y).sum()))
    value, gradient = measure(jnp.zeros((1, 2)))
    assert value == 0
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize("loss", [*DISTANCES, losses.cosine_similarity])
def test_half_precision_predictions_give_what_their_float32_values_give(loss):
    half = jnp.asarray(A, jnp.bfloat16)
    assert loss(half, Y).dtype == jnp.float32
    assert jnp.array_equal(loss(half, Y), loss(half.astype(jnp.float32), Y))


@pytest.mark.parametrize("loss", DISTANCES)
def test_one_value_per_example_whatever_their_shape(loss):
    flat, shaped = loss(A, Y), loss(A.reshape(64, 5, 1), Y.reshape(64, 5, 1))
    np.testing.assert_allclose(flat, shaped, rtol=1e-6)
    assert loss(A[:, 0], Y[:, 0]).shape == (64,)
    assert jnp.array_equal(loss(A[:, :1], Y[:, 0]), loss(A[:, 0], Y[:, 0]))


@pytest.mark.parametrize("loss", [*DISTANCES, losses.cosine_similarity])
def test_shapes_that_do_not_match_are_refused_and_never_broadcast(loss):
    with pytest.raises(CnnjaxError, match=rf"{loss.__name__} got .*\(4, 2\).*\(4, 3\)"):
        loss(jnp.ones((4, 2)), jnp.ones((4, 3)))
    with pytest.raises(CnnjaxError, match="reshape one of them"):
        loss(jnp.ones(4), jnp.ones((4, 1)))


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_huber_without_a_square_part_is_refused(delta):
    with pytest.raises(CnnjaxError, match=f"delta of {delta} .* positive"):
        losses.huber(A, Y, delta=delta)
