"""The store of features: each image once, nothing stale, and never more than the limit."""

import os

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models.pixels import Pixels
from cnnjax.transfer import FeatureStore, prefix_features
from cnnjax.transfer.feature_keys import describe, stage_hash, stage_keys
from cnnjax.transfer.feature_store import _gather, _records
from cnnjax.transfer.shelves import Block, DiskShelf, MemoryShelf


@pytest.fixture
def count(monkeypatch):
    """How many images each pass through the network has had."""
    passes = []

    def counted(network, variables, images, stop):
        passes.append(len(images))
        return prefix_features(network, variables, images, stop)

    monkeypatch.setattr("cnnjax.transfer.feature_store.prefix_features", counted)
    return passes


@pytest.fixture(params=["memory", "disk"])
def place(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "features"


def test_each_image_is_computed_once_in_whatever_data_set_it_comes(
    network, pretrained, sets, place, count
):
    train, store = sets[0], FeatureStore(place)
    expected = np.asarray(prefix_features(network, pretrained, train.images, "fc1"))
    for rows in (np.arange(10), np.array([7, 3, 3, 0]), np.arange(5, 15)):
        found = store.features(network, pretrained, train.take(rows).images, "fc1")
        np.testing.assert_allclose(found, expected[rows], rtol=1e-5, atol=1e-6)
    assert count == [10, 5]


def test_features_on_disk_serve_the_next_process(network, pretrained, sets, tmp_path, count):
    images = sets[0].images
    first = FeatureStore(tmp_path).features(network, pretrained, images, "fc2")
    store = FeatureStore(tmp_path)
    chex.assert_trees_all_equal(store.features(network, pretrained, images, "fc2"), first)
    assert len(count) == 1
    assert store.size == sum(file.stat().st_size for file in tmp_path.glob("*.npy"))
    assert f"MiB of features in {tmp_path}" in str(store)


def test_vectors_of_many_stages_take_one_pass(network, pretrained, sets, monkeypatch):
    store, images = FeatureStore(), sets[1].images
    both = store.pooled(network, pretrained, images, ["fc2", "fc1"])
    monkeypatch.setattr("cnnjax.transfer.feature_store.pooled_features", None)
    for stage in ("fc1", "fc2"):
        again = store.pooled(network, pretrained, images[::-1], [stage])[stage]
        np.testing.assert_array_equal(again, both[stage][::-1])


def test_whatever_changes_a_feature_changes_its_key(network, pretrained, sets):
    images = sets[0].images

    def key(network=network, variables=pretrained, images=images, stage="fc2"):
        return stage_keys(network, variables, images, "fc2")[stage]

    def changed(stage):
        copy = jax.tree.map(np.array, pretrained)
        copy["batch_stats"][stage]["norm"]["mean"][0] += 1e-3
        return copy

    others = [
        key(variables=changed("fc1")),
        key(variables=changed("fc2")),
        key(network=network.clone(activation=jax.nn.relu6)),
        key(network=network.clone(pixels=Pixels((0.0,), (1.0,)))),
        key(images=images[:, :5]),
        key(images=images.astype(np.float32)),
        key(stage="fc1"),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key(network=network.clone(num_classes=9)) == key(), "the head does not matter"
    before = stage_keys(network, pretrained, images, "fc2")["fc1"]
    assert stage_keys(network, changed("fc2"), images, "fc2")["fc1"] == before


def test_functions_are_told_apart_by_what_they_do():
    def scaled(factor):
        return lambda x: factor * x

    assert describe(scaled(2)) == describe(scaled(2))
    assert describe(scaled(2)) != describe(scaled(3))
    assert describe(lambda x: x + 1) != describe(lambda x: x - 1)
    assert describe(object()) != describe(object())


def test_a_descriptions_words_are_the_same_for_equal_networks():
    for name in cnnjax.list_models():
        assert describe(cnnjax.create(name)) == describe(cnnjax.create(name)), name


def test_arrays_of_other_types_have_other_hashes():
    zeros = {"params": {"a": {"w": np.zeros(4, np.float32)}}}
    assert stage_hash(zeros, "a") != stage_hash(jax.tree.map(np.int32, zeros), "a")


def test_a_damaged_file_is_computed_anew(network, pretrained, sets, tmp_path, count):
    images, said = sets[0].images, []
    first = FeatureStore(tmp_path).features(network, pretrained, images, "fc1")
    (file,) = tmp_path.glob("*.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again = FeatureStore(tmp_path, report=said.append).features(network, pretrained, images, "fc1")
    chex.assert_trees_all_equal(again, first)
    assert len(count) == 2
    assert "is damaged" in said[0]
    assert FeatureStore(tmp_path, report=said.append).size > 0


def records(seed, rows=10):
    rng = np.random.RandomState(seed)
    return _records([rng.bytes(32) for _ in range(rows)], rng.rand(rows, 8).astype(np.float32))


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_there_is_never_more_than_the_limit_and_the_longest_unused_goes_first(tmp_path, kind):
    limit = 2_000 if kind == "memory" else 2_500  # room for three blocks, and not for four
    shelf = MemoryShelf(limit) if kind == "memory" else DiskShelf(tmp_path, limit, print)
    keys = [f"{i}" * 64 for i in range(4)]
    for i, key in enumerate(keys[:3]):
        shelf.put(key, records(i))
        assert shelf.size <= limit
        for age, path in enumerate(sorted(tmp_path.glob("*.npy"), reverse=True)):
            os.utime(path, ns=(10**18 - age, 10**18 - age))  # a clock that is fine enough
    assert shelf.blocks(keys[0])  # used just now
    shelf.put(keys[3], records(3, rows=5))
    assert shelf.size <= limit
    assert [bool(shelf.blocks(key)) for key in keys] == [True, False, True, True]


def test_what_is_larger_than_the_limit_is_not_kept(network, pretrained, sets, tmp_path):
    said = []
    store = FeatureStore(tmp_path, limit=100, report=said.append)
    found = store.features(network, pretrained, sets[0].images, "fc1")
    assert found.shape == (45, 6)
    assert store.size == 0
    assert "are not kept" in said[0]


def test_what_a_killed_process_left_is_cleared_and_other_files_are_not(tmp_path):
    left, foreign = tmp_path / f".{'0' * 32}.tmp", tmp_path / "notes.npy"
    left.write_bytes(b"half")
    foreign.write_bytes(b"mine")
    shelf = DiskShelf(tmp_path, 10_000, print)
    shelf.put("0" * 64, records(0))
    assert not left.exists()
    assert foreign.read_bytes() == b"mine"
    assert shelf.size < 10_000 + 1


def test_a_folder_that_cannot_be_written_only_costs_time(network, pretrained, sets, tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    store = FeatureStore(tmp_path / "file" / "features", report=said.append)
    assert store.features(network, pretrained, sets[1].images, "fc1").shape == (24, 6)
    assert "cannot be kept" in said[0]


def test_a_place_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CnnjaxError, match="which is a file"):
        FeatureStore(tmp_path / "file")


def test_a_negative_limit_is_an_error():
    with pytest.raises(CnnjaxError, match="-1 bytes"):
        FeatureStore(limit=-1)


def test_tuples_and_half_precision_come_back_as_they_were(tmp_path):
    ids = [bytes([i]) * 32 for i in range(3)]
    pair = (jnp.arange(6.0).reshape(3, 2), jnp.arange(3.0, dtype=jnp.bfloat16))
    shelf = DiskShelf(tmp_path, 10_000, print)
    shelf.put("a" * 64, _records(ids, pair))
    (block,) = shelf.blocks("a" * 64)
    found = _gather({image: (block, row) for image, row in block.rows.items()}, ids[::-1])
    assert found[1].dtype == ml_dtypes.bfloat16
    chex.assert_trees_all_equal(found, jax.tree.map(lambda a: np.asarray(a)[::-1], pair))
    assert isinstance(block, Block)
