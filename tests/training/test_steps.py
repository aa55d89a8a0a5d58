"""The training step: what moves, what does not, and by how much."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.training import (
    classification,
    create_state,
    merge,
    momentum_sgd,
    partition,
    scale_pixels,
    train_step,
    train_steps,
    trained_variables,
)

NET = cnnjax.create("mlp", hidden=(6, 5), num_classes=3)


@pytest.fixture
def variables(some_variables):
    return some_variables(NET, (4, 4, 1))


@pytest.fixture
def batch():
    images = jax.random.randint(jax.random.key(1), (8, 4, 4, 1), 0, 256).astype(jnp.uint8)
    return images, jnp.arange(8) % 3


def settings(optimizer):
    return {"network": NET, "task": classification, "optimizer": optimizer}


def test_a_step_of_plain_sgd_is_w_minus_eta_times_the_gradient_of_the_mean_loss(variables, batch):
    images, labels = batch

    def mean_loss(params):
        logits = NET.apply({"params": params}, images.astype(jnp.float32) / 127.5 - 1)
        return -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()

    optimizer = optax.sgd(0.5)
    state = create_state(variables, optimizer, jax.random.key(0))
    after, _ = train_step(state, batch, **settings(optimizer))
    gradient = jax.grad(mean_loss)(variables["params"])
    expected = jax.tree.map(lambda w, g: w - 0.5 * g, variables["params"], gradient)
    chex.assert_trees_all_close(after.params, expected, rtol=1e-5, atol=1e-6)
    assert after.step == 1


def test_a_step_measures_sums_over_the_batch_before_the_update(variables, batch):
    images, labels = batch
    optimizer = optax.sgd(0.5)
    state = create_state(variables, optimizer, jax.random.key(0))
    _, sums = train_step(state, batch, **settings(optimizer))
    logits = np.asarray(NET.apply(variables, scale_pixels(images)))
    assert sums["count"] == 8
    assert sums["accuracy"] == (logits.argmax(1) == np.asarray(labels)).sum()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert sums["loss"] == pytest.approx(-log_p[np.arange(8), labels].sum(), rel=1e-5)


def test_steps_in_one_loop_equal_steps_one_by_one(variables, batch):
    optimizer = momentum_sgd(0.1, 6, weight_decay=0.01)
    indices = jnp.array([[0, 1, 2], [3, 4, 5], [6, 7, 0], [1, 2, 3]], jnp.int32)
    state = create_state(variables, optimizer, jax.random.key(0))
    looped, log = train_steps(state, *batch, indices, jnp.int32(3), {}, **settings(optimizer))
    state = create_state(variables, optimizer, jax.random.key(0))
    for row in indices[:3]:
        state, sums = train_step(state, (batch[0][row], batch[1][row]), **settings(optimizer))
    chex.assert_trees_all_close(
        trained_variables(looped), trained_variables(state), rtol=1e-5, atol=1e-6
    )
    assert log["loss"][2] == pytest.approx(float(sums["loss"]), rel=1e-5)
    assert log["count"].tolist() == [3, 3, 3, 0]


def test_the_second_call_of_the_loop_compiles_nothing(variables, batch):
    optimizer = momentum_sgd(0.1, 7)
    indices = jnp.zeros((4, 3), jnp.int32)

    def call(count):
        state = create_state(variables, optimizer, jax.random.key(0))
        train_steps(state, *batch, indices, jnp.int32(count), {}, **settings(optimizer))

    call(1)
    compiled = train_steps._cache_size()
    call(4)
    assert train_steps._cache_size() == compiled


def test_a_frozen_stage_has_no_gradient_no_decay_and_no_optimizer_state(variables, batch):
    trainable, frozen = partition(variables, ("fc1", "fc2"))
    optimizer = momentum_sgd(0.1, 5, weight_decay=0.1)
    state = create_state(trainable, optimizer, jax.random.key(0))
    after, _ = train_step(state, batch, frozen=frozen, **settings(optimizer))
    assert set(after.params) == {"fc3"}
    shapes = {leaf.shape for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim}
    assert shapes == {leaf.shape for leaf in jax.tree.leaves(trainable)}


def test_training_behind_a_frozen_stage_is_training_with_its_gradient_left_out(variables, batch):
    trainable, frozen = partition(variables, ("fc1",))
    optimizer = optax.sgd(0.3)
    state = create_state(trainable, optimizer, jax.random.key(0))
    behind, _ = train_step(state, batch, frozen=frozen, **settings(optimizer))
    state = create_state(variables, optimizer, jax.random.key(0))
    whole, _ = train_step(state, batch, **settings(optimizer))
    upper = {stage: whole.params[stage] for stage in ("fc2", "fc3")}
    chex.assert_trees_all_close(behind.params, upper, rtol=1e-6)


def test_weight_decay_acts_on_kernels_and_not_on_biases(variables, batch):
    optimizer = momentum_sgd(0.1, 100, momentum=0.0, weight_decay=0.5)
    zero = jax.tree.map(jnp.zeros_like, variables["params"])
    ones = jax.tree.map(jnp.ones_like, variables["params"])
    updates, _ = optimizer.update(zero, optimizer.init(ones), ones)
    for stage in updates.values():
        chex.assert_trees_all_close(stage["kernel"], jnp.full_like(stage["kernel"], -0.05))
        assert (stage["bias"] == 0).all()


def test_momentum_sgd_follows_its_equation_through_warm_up_and_cosine():
    steps, warmup, eta, gamma, decay = 10, 4, 0.2, 0.9, 0.05
    optimizer = momentum_sgd(eta, steps, momentum=gamma, weight_decay=decay, warmup=warmup)
    w = {"kernel": jnp.array([[1.0, -2.0]])}
    state = optimizer.init(w)
    by_hand, velocity = np.array([[1.0, -2.0]]), np.zeros((1, 2))
    for t in range(steps):
        gradient = {"kernel": w["kernel"] ** 3}
        updates, state = optimizer.update(gradient, state, w)
        w = optax.apply_updates(w, updates)
        velocity = gamma * velocity + by_hand**3 + decay * by_hand
        done = (t - warmup) / (steps - warmup)
        rate = eta * t / warmup if t < warmup else eta * 0.5 * (1 + np.cos(np.pi * done))
        by_hand = by_hand - rate * velocity
    np.testing.assert_allclose(w["kernel"], by_hand, rtol=1e-5)


def test_partition_and_merge_are_inverse(variables):
    with_statistics = {**variables, "batch_stats": {"fc1": {"mean": jnp.ones(3)}}}
    trainable, frozen = partition(with_statistics, ("fc1",))
    assert set(trainable) == {"params"}
    assert set(frozen) == {"params", "batch_stats"}
    chex.assert_trees_all_equal(merge(trainable, frozen), with_statistics)


def test_freezing_an_unknown_stage_names_the_stages(variables):
    with pytest.raises(CnnjaxError, match=r"conv9.*fc1, fc2, fc3"):
        partition(variables, ("conv9",))


def test_masked_examples_do_not_count_even_if_they_are_not_numbers():
    logits = jnp.array([[0.0, 0.0], [jnp.nan, jnp.nan]])
    sums = classification.sums(logits, jnp.array([0, 1]), jnp.array([1.0, 0.0]))
    assert sums["count"] == 1
    assert sums["loss"] == pytest.approx(np.log(2))


def test_the_loss_is_stable_at_extreme_logits():
    logits = jnp.array([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]])
    losses = classification.loss(logits, jnp.array([0, 2]))
    assert losses.tolist() == [0.0, 2e4]


def shifted_down(key, images):
    """Each image moved down by 0 ... 3 rows, round the edge."""
    rows = jax.random.randint(key, images.shape[:1], 0, 4)
    return jax.vmap(lambda image, by: jnp.roll(image, by, axis=0))(images, rows)


def test_a_step_sees_the_augmented_images_and_draws_anew_in_every_step(variables, batch):
    given = []

    def spy(key, images):
        given.append(shifted_down(key, images))
        return given[-1]

    optimizer = optax.sgd(0.1)
    state = create_state(variables, optimizer, jax.random.key(0))
    for _ in range(2):
        before = trained_variables(state)
        state, sums = train_step(state, batch, **settings(optimizer), augment=spy)
        logits = NET.apply(before, scale_pixels(given[-1]))
        expected = classification.sums(logits, batch[1])["loss"]
        assert sums["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert (given[0] != batch[0]).any()
    assert (given[0] != given[1]).any()


def test_augmentation_does_not_change_what_dropout_draws(batch, some_variables):
    network = cnnjax.create("mlp", hidden=(6, 5), num_classes=3, dropout=0.5)
    optimizer = optax.sgd(0.1)
    same = settings(optimizer) | {"network": network}
    state = create_state(some_variables(network, (4, 4, 1)), optimizer, jax.random.key(0))
    plain, _ = train_step(state, batch, **same)
    augmented, _ = train_step(state, batch, **same, augment=lambda _, images: images)
    chex.assert_trees_all_equal(trained_variables(plain), trained_variables(augmented))
