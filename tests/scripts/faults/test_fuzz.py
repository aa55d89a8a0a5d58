"""Mutated files, odd folders and odd flags: read, or refused in one line, and nothing else."""

import random
from pathlib import Path

import numpy as np
import pytest
from faults import fuzz, mutations
from faults.files import Kind, Payload
from faults.fuzz import KINDS, OTHERS, try_files, try_others
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import CnnjaxError

FEW, MANY = 12, 2000


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_mutated_file_is_read_or_refused_in_one_line(tmp_path, kind):
    if "Keras" in kind.name:
        pytest.importorskip("h5py")
    if "PyTorch" in kind.name:
        pytest.importorskip("torch")
    row = try_files(kind, FEW, 1, tmp_path)
    assert row["broken"] == []
    assert row["read"] + row["refused"] == row["tried"] > 0


def test_odd_names_of_folders_and_files_are_read_or_refused_in_one_line(tmp_path):
    assert try_others("names of folders and files", 4 * FEW, 1, tmp_path)["broken"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(kind.name for kind in KINDS), *OTHERS])
def test_many_mutated_inputs_in_little_memory(tmp_path, name):
    assert fuzz.try_apart(name, MANY, 7, tmp_path)["broken"] == []


@settings(max_examples=150, derandomize=True, deadline=None)
@given(content=st.binary(max_size=200), seed=st.integers(0, 2**32))
def test_any_bytes_can_be_mutated_and_the_same_seed_gives_the_same(content, seed):
    one, other = (mutations.mutated(content, random.Random(seed)) for _ in range(2))
    assert one == other


def reads(action):
    return Kind("a kind", "file", lambda folder, canary: [b"content"], action)


def raising(error):
    def read(path):
        raise error

    return read


def test_what_a_reader_must_not_do_is_counted_and_its_input_kept(tmp_path):
    harmless = try_files(reads(Path.read_bytes), 5, 0, tmp_path / "a")
    assert (harmless["read"], harmless["broken"]) == (5, [])
    refused = try_files(reads(raising(CnnjaxError("no"))), 5, 0, tmp_path / "b")
    assert (refused["refused"], refused["broken"]) == (5, [])
    for number, error in enumerate((KeyError("x"), MemoryError(), CnnjaxError("two\nlines"))):
        assert len(try_files(reads(raising(error)), 5, 0, tmp_path / str(number))["broken"]) == 5
    assert len([*(tmp_path / "0" / "kept").iterdir()]) == 5


def test_code_that_is_executed_is_noticed(tmp_path):
    def bases(folder, canary):
        path = folder / "base.npz"
        np.savez(path, a=np.array([Payload(canary)], object))
        return [path.read_bytes()]

    def careless(path):
        return np.load(path, allow_pickle=True)["a"]

    same = lambda content, rng, others: content  # noqa: E731
    row = try_files(Kind("x", "w.npz", bases, careless, (same,)), 1, 0, tmp_path)
    assert row["broken"] == ["code in a file was executed"]


def test_a_reader_that_hangs_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 1)

    def hang(path):
        while True:
            pass

    row = try_files(reads(hang), 1, 0, tmp_path)
    assert "TimeoutError" in row["broken"][0]
