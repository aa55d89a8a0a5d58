"""Trainings behind frozen stages, side by side in one program, give the numbers of each alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.data import Dataset, batch_indices
from cnnjax.training import DivergedError, classification, momentum_sgd
from cnnjax.transfer import (
    initialise,
    join,
    train_behind_prefix,
    train_stacked_behind_prefix,
)

STEPS, BATCH, SEEDS = 6, 8, (3, 4, 3)
WHICH = (1, 0, 0)
SETTINGS = {
    "task": classification,
    "optimizer": momentum_sgd(0.1, STEPS, momentum=0.9, weight_decay=1e-3, warmup=0),
    "steps": STEPS,
    "batch_size": BATCH,
}


@pytest.fixture(scope="module")
def pairs(sets):
    """(train, test) twice, the second with other labels and fewer images to test on; and of more
    classes than the network has, which no member takes."""
    train, test = (Dataset(part.images, 2 - part.labels, part.classes) for part in sets)
    other = Dataset(sets[1].images, np.arange(24, dtype=np.int32) % 8, tuple("abcdefgh"))
    return [sets, (train, test.take(np.arange(19))), (other, other)]


@pytest.fixture(scope="module")
def starts(network, pretrained):
    shape = (6, 6, 1)
    return [pretrained, initialise(network, shape, seed=5), initialise(network, shape, seed=6)]


def together(network, starts, frozen, pairs, **more):
    train, test = (join(parts) for parts in zip(*pairs, strict=True))
    return train_stacked_behind_prefix(
        network, starts, frozen, train, test, WHICH, seeds=SEEDS, **SETTINGS, **more
    )


@pytest.mark.parametrize(
    ("frozen", "more"),
    [
        (1, {}),
        pytest.param(0, {}, marks=pytest.mark.slow),
        pytest.param(1, {"cache_limit": 0}, marks=pytest.mark.slow),
    ],
    ids=["on features", "nothing frozen", "frozen stages in every step"],
)
def test_each_member_comes_out_as_if_it_had_been_trained_alone(
    network, starts, pairs, frozen, more
):
    found = together(network, starts, frozen, pairs, **more)
    for i, (start, which, seed) in enumerate(zip(starts, WHICH, SEEDS, strict=True)):
        alone = train_behind_prefix(
            network, start, frozen, *pairs[which], seed=seed, **SETTINGS, **more
        )
        mine = jax.tree.map(lambda a, i=i: a[i], found.variables)
        assert jax.tree.structure(mine) == jax.tree.structure(alone.variables)
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(alone.variables), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=2e-5)
        assert found.test[i] == pytest.approx(alone.test, rel=1e-4)
    assert len({test["loss"] for test in found.test}) == 3  # no member is another's copy


def test_a_member_that_diverges_is_named(network, starts, pairs):
    broken = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), starts[1])
    with pytest.raises(DivergedError, match=r"the loss of training 2 of 3 .* at step 1; training"):
        together(network, [starts[0], broken, starts[2]], 1, pairs)


def test_images_of_different_sizes_are_not_joined(sets):
    small = Dataset(sets[0].images[:, :3], sets[0].labels, sets[0].classes)
    with pytest.raises(CnnjaxError, match="2 data sets of 2 shapes of images cannot be joined"):
        join([sets[0], small])
    with pytest.raises(CnnjaxError, match="0 data sets of 0 shapes"):
        join([])


def test_joined_data_sets_are_taken_each_in_its_own_order(sets):
    joined = join([sets[0], sets[1]])  # 45 and 24 images
    batches = joined.batches((1, 0, 0), BATCH, (7, 7, 8), 10)
    own = batch_indices(24, BATCH, 7, 0, 10), batch_indices(45, BATCH, 7, 0, 10)
    np.testing.assert_array_equal(batches[:2], [45 + own[0], own[1]])
    assert (batches[1] != batches[2]).any()
    indices, mask = joined.every_example((1, 0), 20)
    assert indices.shape == mask.shape == (2, 3, 20)
    for rows, weights, expected in zip(indices, mask, (range(45, 69), range(45)), strict=True):
        np.testing.assert_array_equal(rows[weights == 1], expected)
        assert {*rows[weights == 0].tolist()} == {expected[0]}


def test_labels_beyond_the_outputs_are_refused(network, starts, pairs):
    with pytest.raises(CnnjaxError, match="labels run from 0 to 7 but the network has 5 outputs"):
        together(network, starts, 0, pairs[::-1])
