"""Batch, mini-batch and stochastic gradient descent are one function with a batch size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.data import batch_indices
from cnnjax.training import classification, create_state, fit, schedules, sgd

N, CLASSES = 12, 3
NET = cnnjax.create("mlp", hidden=(), num_classes=CLASSES)  # softmax(W x + b)
IMAGES = np.random.RandomState(0).randn(N, 2, 2, 1).astype(np.float32)
LABELS = (np.arange(N) % CLASSES).astype(np.int32)
START = np.random.RandomState(1).randn(4, CLASSES).astype(np.float32)


def gradient(weights, bias, chosen):
    """Of L(w) = 1/n sum_i l(z_i, f_w(x_i)) over the chosen examples (lecture 1), by hand."""
    x, z = IMAGES.reshape(N, 4)[chosen].astype(np.float64), np.eye(CLASSES)[LABELS[chosen]]
    scores = np.exp(x @ weights + bias)
    wrong = (scores / scores.sum(1, keepdims=True) - z) / len(chosen)
    return x.T @ wrong, wrong.sum(0)


def descend(order, rate):
    """theta_{t+1} = theta_t - eta_t grad L(theta; x^(i:i+n); y^(i:i+n)) (lecture 4)."""
    weights, bias = START.astype(np.float64), np.zeros(CLASSES)
    for t, chosen in enumerate(order):
        g_weights, g_bias = gradient(weights, bias, chosen)
        weights, bias = weights - rate(t) * g_weights, bias - rate(t) * g_bias
    return weights, bias


def train(optimizer, batch_size, steps):
    zero = {"params": {"fc1": {"kernel": jnp.asarray(START), "bias": jnp.zeros(CLASSES)}}}
    state, _ = fit(
        create_state(zero, optimizer, jax.random.key(0)),
        (jnp.asarray(IMAGES), jnp.asarray(LABELS)),
        network=NET,
        task=classification,
        optimizer=optimizer,
        steps=steps,
        batch_size=batch_size,
        seed=7,
    )
    return state.params["fc1"]["kernel"], state.params["fc1"]["bias"]


@pytest.mark.parametrize("batch_size", [N, 4, 1], ids=["batch", "mini-batch", "stochastic"])
def test_fit_is_gradient_descent_on_batches_of_n_examples(batch_size):
    steps = 3 * N // batch_size  # three epochs
    order = batch_indices(N, batch_size, 7, 0, steps)
    for found, expected in zip(
        train(sgd(0.5), batch_size, steps), descend(order, lambda t: 0.5), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_batch_of_all_examples_is_the_full_gradient_in_whatever_order_they_come():
    everything = [np.arange(N)] * 5
    for found, expected in zip(
        train(sgd(0.5), N, 5), descend(everything, lambda t: 0.5), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_mini_batches_are_no_batch_gradient_descent():
    assert np.abs(train(sgd(0.5), N, 3)[0] - train(sgd(0.5), 4, 3)[0]).max() > 0.01


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (schedules.step(0.8, 0.5, every=2), lambda t: 0.8 * 0.5 ** (t // 2)),
        (schedules.cosine(0.8, 6), lambda t: 0.4 * (1 + np.cos(np.pi * t / 6))),
    ],
    ids=["step", "cosine"],
)
def test_the_new_weight_is_the_old_one_minus_eta_t_times_the_gradient(schedule, rate):
    # Lecture 1: w^{t+1} = w^t - eta_t dL/dw (w^t).
    expected = descend([np.arange(N)] * 6, rate)
    for found, by_hand in zip(train(sgd(schedule), N, 6), expected, strict=True):
        np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)
