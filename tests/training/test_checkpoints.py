"""Checkpoints: whole or not at all, and never cast, reshaped or half-read."""

import logging
import os
import shutil
import signal
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import checkpoints
from cnnjax.training.manifest import write_manifest

TMP = ".orbax-checkpoint-tmp"  # what Orbax adds to a name while it writes
TREE = {
    "params": {"conv": {"kernel": jnp.arange(6.0).reshape(2, 3)}},
    "half": jnp.ones(3, jnp.bfloat16),
    "step": jnp.int32(7),
    "key": jax.random.key(4),
    "empty": {},
}


def changed(**values):
    return {**TREE, **values}


def test_what_lies_beside_the_arrays_comes_back_and_is_watched_over(tmp_path):
    path = tmp_path / "c"
    checkpoints.save(path, TREE)
    assert checkpoints.read_beside(path) is None
    checkpoints.save(path, TREE, {"next_index": 7})
    assert checkpoints.read_beside(path) == {"next_index": 7}
    chex.assert_trees_all_equal(checkpoints.restore(path, TREE), TREE)
    (path / "beside.json").write_text('{"next_index": 8}')
    for read in (checkpoints.read_beside, lambda path: checkpoints.restore(path, TREE)):
        with pytest.raises(CnnjaxError, match=r"damaged: beside\.json is missing"):
            read(path)


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


def test_a_refusal_leaves_the_logs_as_they_were(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    before = sys.unraisablehook, [(list(one.filters), one.level) for one in loggers]
    with pytest.raises(CnnjaxError):
        checkpoints.restore(tmp_path / "c", changed(step=jnp.float32(7)))
    assert before == (sys.unraisablehook, [(list(one.filters), one.level) for one in loggers])


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


@pytest.mark.parametrize("age", ["new", "old"])
def test_a_kill_between_the_two_renames_of_a_checkpoint_loses_none(tmp_path, age):
    checkpoints.save(tmp_path / "c", TREE)
    (tmp_path / "c").rename(tmp_path / f".c.{age}.0123")
    (tmp_path / f".c.new.4567{TMP}").mkdir()  # half-written
    checkpoints.settle(tmp_path / "c")
    assert os.listdir(tmp_path) == ["c"]
    assert checkpoints.restore(tmp_path / "c", TREE)["step"] == 7


def test_of_two_whole_checkpoints_beside_none_the_new_one_is_taken(tmp_path):
    for age, step in (("old", 7), ("new", 8)):
        checkpoints.save(tmp_path / "c", changed(step=jnp.int32(step)))
        (tmp_path / "c").rename(tmp_path / f".c.{age}.0123")
    checkpoints.settle(tmp_path / "c")
    assert os.listdir(tmp_path) == ["c"]
    assert checkpoints.restore(tmp_path / "c", TREE)["step"] == 8


def test_half_a_checkpoint_takes_no_place(tmp_path):
    checkpoints.save(tmp_path / "c", TREE)
    (tmp_path / "c").rename(tmp_path / ".c.new.0123")
    (tmp_path / ".c.new.0123" / "manifest.json").unlink()
    checkpoints.settle(tmp_path / "c")
    checkpoints.settle(tmp_path / "nowhere" / "c")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("manifest", ["[]", "3", '"a"', "[" * 10_000, "\0", "{"])
def test_a_manifest_that_is_no_manifest_is_told(tmp_path, manifest):
    checkpoints.save(tmp_path / "c", TREE)
    (tmp_path / "c" / "manifest.json").write_text(manifest)
    with pytest.raises(CnnjaxError, match="its manifest cannot be read"):
        checkpoints.restore(tmp_path / "c", TREE)


@pytest.mark.parametrize("form", ['{"tree_metadata": 5}', '{"tree_metadata": {"version": 99}}'])
def test_a_checkpoint_of_a_form_that_is_not_known_is_told(tmp_path, caplog, form):
    checkpoints.save(tmp_path / "c", TREE)
    (tmp_path / "c" / "_METADATA").write_text(form)
    write_manifest(tmp_path / "c")
    for read in (checkpoints.read, lambda path: checkpoints.restore(path, TREE)):
        with pytest.raises(CnnjaxError, match="of a form that cannot be read here") as error:
            read(tmp_path / "c")
        assert "\n" not in str(error.value)
        assert caplog.records == []


def test_a_full_disk_is_one_line_before_anything_is_written(tmp_path, monkeypatch, capfd):
    checkpoints.save(tmp_path / "c", TREE)
    full = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr("cnnjax.training.checkpoints.shutil.disk_usage", lambda path: full)
    with pytest.raises(CnnjaxError, match="No space left on device; free space"):
        checkpoints.save(tmp_path / "c", changed(step=jnp.int32(8)))
    assert os.listdir(tmp_path) == ["c"]
    assert checkpoints.restore(tmp_path / "c", TREE)["step"] == 7
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [0, 40, 200, 1000])  # bytes, of which some files have more
def test_a_disk_that_fills_meanwhile_is_one_line(tmp_path, size):
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from cnnjax import CnnjaxError
        from cnnjax.training.checkpoints import save
        tree = {f"layer{i}": np.random.default_rng(i).normal(size=(30, 9)) for i in range(8)}
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        try:
            save(Path(sys.argv[1]), tree)
        except CnnjaxError as error:
            sys.exit(f"error: {error}")
    """
    command = [sys.executable, "-c", code, tmp_path / "c", str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot write the checkpoint ")
    assert "File too large" in line
    assert not (tmp_path / "c").exists()
    checkpoints.settle(tmp_path / "c")  # Orbax may write on for a moment
    assert not list(tmp_path.iterdir())


def test_a_process_killed_between_the_two_renames_leaves_the_new_checkpoint(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from cnnjax.training import checkpoints\n"
        "path = Path(sys.argv[1])\n"
        "checkpoints.save(path, {'step': np.int32(7)})\n"
        "def kill(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[1]) == str(path):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(kill)\n"
        "checkpoints.save(path, {'step': np.int32(8)})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "c"], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "c").exists()
    checkpoints.settle(tmp_path / "c")
    assert checkpoints.read(tmp_path / "c")["step"] == 8
    assert os.listdir(tmp_path) == ["c"]
