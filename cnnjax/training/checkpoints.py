"""Checkpoints of any tree of arrays: written whole or not at all, and checked when they are read.

Orbax writes and reads the arrays; beside them lies a manifest with the SHA-256 of every file. A
checkpoint appears under its name by one rename, after everything in it is on disk. One that takes
the place of an older one does so by two, as a directory cannot be replaced in one step; `settle`
mends what a process leaves that is killed between them. Of several processes one alone reads and
writes them, which has all of every array (`cnnjax.training.hosts`).
"""

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cnnjax.errors import CnnjaxError
from cnnjax.training.checkpointer import one_checkpointer
from cnnjax.training.manifest import check_whole, flush, write_manifest

_AGES = ("new", "old")
_BESIDES = 2**20  # bytes on disk, at most, beside the arrays
_BESIDE = "beside.json"


def save(path: Path, tree: object, beside: Mapping[str, object] | None = None) -> None:
    """Writes `tree` as the checkpoint `path`, a directory; an older one there is replaced.

    Args:
      path: of the checkpoint.
      tree: of arrays.
      beside: what else belongs to it, for JSON; `read_beside` gives it.

    Raises:
      CnnjaxError: the place cannot be written.
    """
    path = path.absolute()
    new, old = (path.with_name(f".{path.name}.{age}.{uuid.uuid4().hex}") for age in _AGES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path.parent, tree)
        with one_checkpointer() as checkpointer:
            checkpointer.save(new, _storable(tree))
        if beside is not None:
            (new / _BESIDE).write_text(json.dumps(beside))
        write_manifest(new)
        flush(new)
        if path.exists():
            path.rename(old)
        new.rename(path)
    except Exception as error:  # Orbax passes on a full disk as errors of many kinds
        if old.exists() and not path.exists():
            old.rename(path)
        raise CnnjaxError(
            f"cannot write the checkpoint {path}: {_reason(error)}; "
            "free space or choose a place that can be written"
        ) from None
    finally:
        for left in (*_beginning_with(new), old):  # Orbax adds to the name while it writes
            shutil.rmtree(left, ignore_errors=True)


def settle(path: Path) -> None:
    """Mends what a process has left that was killed while it saved the checkpoint `path`.

    Between the two renames there is none of that name, but a whole one beside it, new or old: it
    takes its place. Whatever else is left is removed. To be called by the only process at work
    there, before it looks for the checkpoint.
    """
    path = path.absolute()
    for age in _AGES:
        for left in _beginning_with(path.with_name(f".{path.name}.{age}.")):
            with suppress(CnnjaxError, OSError):
                if not path.exists():
                    check_whole(left)
                    left.rename(path)
    for left in _beginning_with(path.with_name(f".{path.name}.")):
        shutil.rmtree(left, ignore_errors=True)


def _beginning_with(path: Path) -> list[Path]:
    if not path.parent.is_dir():
        return []
    return [entry for entry in path.parent.iterdir() if entry.name.startswith(path.name)]


def restore(path: Path, like: object) -> object:
    """Reads the checkpoint `path` into the structure, shapes, types and shardings of `like`.

    Args:
      path: what `save` was given.
      like: a tree of arrays or of `jax.ShapeDtypeStruct`.

    Raises:
      CnnjaxError: there is none, a file of it is missing or changed, or it holds another tree
        than `like` (Orbax alone would cast types silently).
    """
    path = path.absolute()
    check_whole(path)
    target = jax.tree.map(_describe, _storable(like))
    try:
        with one_checkpointer() as checkpointer:
            stored = _stored(checkpointer, path)
            _check_same(path, stored, target)
            restored = checkpointer.restore(path, target)
    except CnnjaxError:
        raise
    except Exception as error:  # whatever Orbax makes of a format that it does not know
        raise _unknown(path, error) from None
    return _usable(restored, like)


def _stored(checkpointer: ocp.StandardCheckpointer, path: Path) -> object:
    """The shapes and types in a checkpoint."""
    found = checkpointer.metadata(path).item_metadata
    if found is None:
        raise ValueError("its description is not known")
    return found.tree


def read(path: Path) -> dict[str, np.ndarray]:
    """What lies in the checkpoint `path`: {name of a leaf, e.g. "params.conv1.kernel": array}.

    Random keys are their raw words.

    Raises:
      CnnjaxError: there is none, or a file of it is missing or changed.
    """
    path = path.absolute()
    check_whole(path)
    try:
        with one_checkpointer() as checkpointer:
            leaves = jax.tree_util.tree_leaves_with_path(checkpointer.restore(path))
    except Exception as error:
        raise _unknown(path, error) from None
    return {".".join(map(_name, keys)): np.asarray(leaf) for keys, leaf in leaves}


def read_beside(path: Path) -> dict[str, object] | None:
    """What lies beside the arrays of the checkpoint `path`, None where nothing does.

    Raises:
      CnnjaxError: there is no checkpoint, or a file of it is missing or changed.
    """
    check_whole(path)
    file = path / _BESIDE
    return json.loads(file.read_text()) if file.exists() else None


def _check_room(directory: Path, tree: object) -> None:
    """Where the disk is full already, Orbax would find out in several threads."""
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(_storable(tree))) + _BESIDES
    if shutil.disk_usage(directory).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _reason(error: Exception) -> str:
    """What an error says, in one line; of what TensorStore says, what the system said to it."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    if system := re.search(r"\[os_error_code='(\d+)'\]", said):
        said = os.strerror(int(system[1]))
    return said[:160] or type(error).__name__


def _unknown(path: Path, error: Exception) -> CnnjaxError:
    return CnnjaxError(
        f"the checkpoint {path} is whole, but of a form that cannot be read here "
        f"({_reason(error)}); read it with the version of the program that wrote it, or delete it "
        "and run again"
    )


def _is_key(leaf: object) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(tree: object) -> object:
    """Random keys as their raw words; everything else as it is, or, where there are several
    processes, copied from the devices: Orbax takes no arrays of one process there."""

    def raw(leaf: object) -> object:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        words = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        return words if jax.process_count() == 1 else np.asarray(words)

    return jax.tree.map(raw, tree)


def _usable(tree: object, like: object) -> object:
    def wrap(leaf: jax.Array, model: object) -> jax.Array:
        if not getattr(model, "committed", False):
            # Orbax ties what it restores to its devices; left so, every function that has been
            # compiled for untied arrays would be compiled again.
            leaf = jnp.asarray(np.asarray(leaf))
        return jax.random.wrap_key_data(leaf) if _is_key(model) else leaf

    return jax.tree.map(wrap, tree, like)


def _describe(leaf: object) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_same(path: Path, stored: object, target: object) -> None:
    def flat(tree: object) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {
            ".".join(_name(entry) for entry in keys): (tuple(leaf.shape), np.dtype(leaf.dtype))
            for keys, leaf in leaves
        }

    have, want = flat(stored), flat(target)
    if differing := sorted(k for k in have.keys() | want if have.get(k) != want.get(k)):
        name = differing[0]

        def show(what: tuple[tuple[int, ...], np.dtype] | None) -> str:
            return "nothing" if what is None else f"{what[1]}{list(what[0])}"

        raise CnnjaxError(
            f"the checkpoint {path} holds another network: {name} is {show(have.get(name))} "
            f"there and {show(want.get(name))} here ({len(differing)} differ in all); "
            "use the settings it was made with"
        )


def _name(entry: object) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)
