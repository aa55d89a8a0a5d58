"""Stored activations: what agrees, and which stage is the first that does not."""

import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models.pixels import TORCH
from cnnjax.pretrained import Passport, Preprocessing, Pretrained
from cnnjax.pretrained.references import compare, images_of, read_reference, record, write_reference

PREPROCESSING = Preprocessing(8, 8)


def loaded(network, variables):
    passport = Passport("mlp", "cnnjax", "", "", None, None, "", "", PREPROCESSING, ("a", "b", "c"))
    return Pretrained(network, variables, passport, PREPROCESSING)


@pytest.fixture(scope="module")
def weights(some_variables):
    network = cnnjax.create("mlp", num_classes=3, hidden=(9, 8, 7), pixels=TORCH)
    return loaded(network, some_variables(network, (8, 6, 3)))


@pytest.fixture
def path(weights, tmp_path):
    path = tmp_path / "reference.npz"
    write_reference(path, record(weights, (2, 8, 6, 3)))
    return path


def test_weights_agree_with_what_they_gave_themselves(weights, path):
    differences = compare(weights, read_reference(path))
    assert [d.stage for d in differences] == [*weights.network.stages, "logits"]
    assert max(d.relative for d in differences) < 1e-6
    # Pixels are scaled for no reference: it holds what the layers do.
    bare = weights._replace(network=weights.network.clone(pixels=None))
    assert compare(bare, read_reference(path)) == differences


def test_the_first_stage_whose_weights_changed_is_the_first_that_differs(weights, path):
    params = dict(weights.variables["params"])
    changed = weights.network.stages[1]
    layer = params[changed]
    params[changed] = layer | {"bias": jnp.asarray(layer["bias"]).at[0].add(5.0)}
    differences = compare(loaded(weights.network, {"params": params}), read_reference(path))
    assert next(d.stage for d in differences if d.relative > 1e-4) == changed
    assert differences[0].relative < 1e-6


def test_what_is_not_finite_differs(weights, path):
    params = dict(weights.variables["params"])
    first = weights.network.stages[0]
    params[first] = params[first] | {"bias": params[first]["bias"] * np.nan}
    differences = compare(loaded(weights.network, {"params": params}), read_reference(path))
    assert {d.relative for d in differences} == {float("inf")}


def test_outputs_of_another_shape_differ(weights, path):
    reference = read_reference(path)
    reference.shapes[weights.network.stages[0]] = (2, 99)
    assert compare(weights, reference)[0].relative == float("inf")


def test_the_images_are_the_same_for_everyone():
    assert images_of((1, 2, 2, 3)).reshape(-1)[:2].tolist() == images_of((2,)).tolist()


def test_a_reference_of_another_network_is_told(weights, path):
    reference = read_reference(path)
    strange = {name.replace("hidden", "other"): array for name, array in reference.arrays.items()}
    renamed = {f"x{name}": shape for name, shape in reference.shapes.items()}
    with pytest.raises(CnnjaxError, match="the reference knows no stage of mlp"):
        compare(weights, reference._replace(arrays=strange, shapes=renamed))


def test_damaged_references_are_one_line(path):
    for suffix in (".json", ".npz"):
        file = path.with_suffix(suffix)
        whole = file.read_bytes()
        for content in (None, b"{", whole[: len(whole) // 2]):
            file.unlink() if content is None else file.write_bytes(content)
            with pytest.raises(CnnjaxError, match=r"cannot read the reference .* with --record"):
                read_reference(path)
            file.write_bytes(whole)


def test_what_cannot_be_written_is_told(weights, tmp_path):
    with pytest.raises(CnnjaxError, match="cannot write"):
        write_reference(tmp_path / "no" / "r.npz", record(weights, (1, 8, 6, 3)))
    assert list(tmp_path.iterdir()) == []
