"""Checkpoints: whole or not at all, and never cast, reshaped or half-read."""

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import checkpoints

TREE = {
    "params": {"conv": {"kernel": jnp.arange(6.0).reshape(2, 3)}},
    "half": jnp.ones(3, jnp.bfloat16),
    "step": jnp.int32(7),
    "key": jax.random.key(4),
    "empty": {},
}


def changed(**values):
    return {**TREE, **values}


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    restored = checkpoints.restore(tmp_path / "c", TREE)
    assert jnp.array_equal(restored["half"], TREE["half"])
    assert jax.random.uniform(restored["key"]) == jax.random.uniform(TREE["key"])
    chex.assert_trees_all_equal(restored["params"], TREE["params"])
    assert jax.tree.map(lambda a: a.dtype, restored) == jax.tree.map(lambda a: a.dtype, TREE)


def test_shapes_alone_are_enough_to_restore(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    shapes = jax.eval_shape(lambda: TREE)
    restored = checkpoints.restore(tmp_path / "c", shapes)
    chex.assert_trees_all_equal(restored["params"], TREE["params"])


def test_restored_arrays_do_not_cause_a_second_compilation(tmp_path):
    checkpoints.save(tmp_path / "c", {"w": jnp.ones(3)})
    double = jax.jit(lambda tree: tree["w"] * 2)
    double({"w": jnp.ones(3)})
    double(checkpoints.restore(tmp_path / "c", {"w": jax.ShapeDtypeStruct((3,), jnp.float32)}))
    assert double._cache_size() == 1


def test_a_later_checkpoint_takes_the_place_of_the_earlier(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    checkpoints.save(tmp_path / "c", changed(step=jnp.int32(8)))
    assert checkpoints.restore(tmp_path / "c", TREE)["step"] == 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("like", "name"),
    [
        (changed(half=jnp.ones(3, jnp.float32)), "half"),
        (changed(params={"conv": {"kernel": jnp.ones((3, 2))}}), "params.conv.kernel"),
        (changed(params={"conv": {}}), "params.conv.kernel"),
        (changed(more=jnp.ones(1)), "more"),
    ],
    ids=["another type", "another shape", "less", "more"],
)
def test_another_tree_is_refused_and_the_difference_named(tmp_path, like, name):
    checkpoints.save(tmp_path / "c", TREE)
    with pytest.raises(CnnjaxError, match=f"holds another network: {name}"):
        checkpoints.restore(tmp_path / "c", like)


def test_every_file_of_a_checkpoint_is_guarded(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    files = [p for p in (tmp_path / "c").rglob("*") if p.is_file()]
    assert len(files) > 3
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"x")
        with pytest.raises(CnnjaxError, match=r"damaged|incomplete"):
            checkpoints.restore(tmp_path / "c", TREE)
        file.write_bytes(content)
    checkpoints.restore(tmp_path / "c", TREE)


def test_a_missing_checkpoint_is_a_clear_error(tmp_path):
    with pytest.raises(CnnjaxError, match="no checkpoint"):
        checkpoints.restore(tmp_path / "c", TREE)


def test_a_place_that_cannot_be_written_is_a_clear_error_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CnnjaxError, match="cannot write"):
        checkpoints.save(tmp_path / "file" / "c", TREE)
    assert os.listdir(tmp_path) == ["file"]


def test_numpy_arrays_are_saved_too(tmp_path):
    checkpoints.save(tmp_path / "c", {"w": np.arange(3, dtype=np.float32)})
    like = {"w": jax.ShapeDtypeStruct((3,), jnp.float32)}
    assert checkpoints.restore(tmp_path / "c", like)["w"].tolist() == [0, 1, 2]
