import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnjax.data import Dataset, Splits, cache_dir
from cnnjax.data.cache import cached


def splits(value=0, validation=False, groups=("latin", "")):
    part = Dataset(
        np.full((5, 3, 4, 1), value, np.uint8),
        np.array([0, 1, 1, 0, 1], np.int32),
        ("a", "Ж"),
        groups,
    )
    return Splits(part, part if validation else None, part)


class Maker:
    """Makes a data set and counts how often."""

    def __init__(self, made):
        self.made, self.calls = made, 0

    def __call__(self):
        self.calls += 1
        return self.made


def same(a, b):
    return [p and (p.fingerprint(), p.groups) for p in a] == [
        p and (p.fingerprint(), p.groups) for p in b
    ]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("groups", [("latin", "greek"), ()])
def test_the_second_time_it_comes_from_the_cache(validation, groups):
    make = Maker(splits(7, validation, groups))
    assert same(cached("name", "key", make), make.made)
    assert same(cached("name", "key", make), make.made)
    assert make.calls == 1


def test_another_name_or_key_is_made_anew_and_a_name_keeps_one_file(empty_cache):
    first, second, third = Maker(splits(1)), Maker(splits(2)), Maker(splits(3))
    cached("name", "key", first)
    assert same(cached("name", "other key", second), second.made)
    assert same(cached("other name", "key", third), third.made)
    assert len(list(empty_cache.iterdir())) == 2
    assert same(cached("name", "key", first), first.made)
    assert first.calls == 2


def test_names_that_read_alike_have_files_of_their_own():
    first, second = Maker(splits(1)), Maker(splits(2))
    cached("folder a/b", "key", first)
    assert same(cached("folder a-b", "key", second), second.made)


def test_damage_anywhere_is_noticed_or_changes_nothing(empty_cache):
    make = Maker(splits(7))
    cached("name", "key", make)
    (path,) = empty_cache.iterdir()
    whole = path.read_bytes()
    damages = [whole[:length] for length in range(0, len(whole), 101)]
    damages += [
        whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
        for place in range(0, len(whole), 17)
    ]
    for damage in damages:
        path.write_bytes(damage)
        assert same(cached("name", "key", make), make.made)
    assert make.calls > len(damages) // 2
    assert list(empty_cache.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "file" / "cache"))
    make = Maker(splits(7))
    for _ in range(2):
        assert same(cached("name", "key", make), make.made)
    assert make.calls == 2


def test_a_disk_that_fills_up_leaves_nothing_behind(empty_cache, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    make = Maker(splits(7))
    assert same(cached("name", "key", make), make.made)
    assert list(empty_cache.iterdir()) == []


def test_an_error_while_making_is_passed_on_and_nothing_is_written(empty_cache):
    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached("name", "key", fails)
    assert not empty_cache.exists()


def test_without_a_home_directory_nothing_is_cached(monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CNNJAX_CACHE")
    monkeypatch.setattr(Path, "expanduser", homeless)
    make = Maker(splits(7))
    assert same(cached("name", "key", make), make.made)
    assert make.calls == 1


def test_the_cache_is_where_the_variable_says_or_in_the_home(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("CNNJAX_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "cnnjax"


def test_processes_that_write_at_once_do_not_disturb_each_other(empty_cache):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_cache import Maker, cached, same, splits;"
        "make = Maker(splits(9));"
        "assert all(same(cached('name', str(i % 2), make), make.made) for i in range(60))"
    )
    here = str(Path(__file__).parent)
    processes = [
        subprocess.Popen([sys.executable, "-c", program, here], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert len(list(empty_cache.iterdir())) == 1
