"""What determines a feature, as hashes: no two different ones have one name."""

import dataclasses
import functools
import hashlib
import json
import types
import uuid
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

import cnnjax
from cnnjax.models import Network
from cnnjax.training import Variables


def stage_keys(
    network: Network, variables: Variables, images: np.ndarray | jax.Array, stop: str
) -> dict[str, str]:
    """{stage: SHA-256 of what its output depends on besides the image itself}, up to `stop`.

    That is the code of the package, JAX and the kind of device; the network's settings, `pixels`
    among them, but not its head; the type and size of the images; the names of the stages run so
    far and all their variables.
    """
    settings = describe(network.clone(num_classes=0))
    form = f"{_code()} {settings} {np.dtype(images.dtype).name} {tuple(images.shape[1:])}"
    digest, keys = hashlib.sha256(form.encode()), {}
    for stage in network.slice(stop=stop):
        digest.update(stage_hash(variables, stage).encode())
        keys[stage] = digest.hexdigest()
    return keys


def image_ids(images: np.ndarray | jax.Array) -> list[bytes]:
    """The SHA-256 of the pixels of each image."""
    return [hashlib.sha256(np.ascontiguousarray(image)).digest() for image in np.asarray(images)]


def stage_hash(variables: Variables, stage: str) -> str:
    """The SHA-256 of all arrays of a stage, their names, types and shapes."""
    digest = hashlib.sha256(stage.encode())
    own = {c: group[stage] for c, group in sorted(variables.items()) if stage in group}
    for path, leaf in jax.tree_util.tree_leaves_with_path(own):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).data if array.ndim else array.tobytes())
    return digest.hexdigest()


def describe(value: object) -> str:
    """A setting in words that are the same in every process, and different for what differs.

    Functions are told apart by their code and what they refer to. What cannot be described gets
    words that are never used again.

    >>> describe((1, 2.0, None)), describe(np.dtype("float32"))
    ('(1, 2.0, None)', "dtype('float32')")
    """
    match value:
        case str() | bytes() | bool() | int() | float() | None | np.dtype():
            return repr(value)
        case tuple() | list():
            return f"({', '.join(map(describe, value))})"
        case Mapping():
            return f"{{{', '.join(f'{describe(k)}: {describe(v)}' for k, v in value.items())}}}"
        case functools.partial():
            return f"partial{describe((value.func, value.args, value.keywords))}"
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case types.FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = (value.__defaults__, value.__kwdefaults__, cells)
            code = f"{value.__module__}.{value.__qualname__} {_describe_code(value.__code__)}"
            return f"{code} {describe(parts)}"
        case _ if dataclasses.is_dataclass(value):
            own = {
                field.name: getattr(value, field.name)
                for field in dataclasses.fields(value)
                if field.name not in ("parent", "name")
            }
            return f"{describe(type(value))}{describe(own)}"
    name = getattr(value, "__qualname__", None)  # built-in and jitted functions
    if name is not None and "<" not in name and getattr(value, "__module__", None):
        return f"{value.__module__}.{name}"
    return uuid.uuid4().hex


def _describe_code(code: types.CodeType) -> str:
    constants = [
        _describe_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts
    ]
    return hashlib.sha256(
        json.dumps([code.co_code.hex(), code.co_names, constants]).encode()
    ).hexdigest()


@functools.cache
def _code() -> str:
    """What computes features: this package, JAX and the kind of device."""
    digest, root = hashlib.sha256(), Path(cnnjax.__file__).parent
    files = [file for room in ("layers", "models") for file in (root / room).rglob("*.py")]
    files += [root / "training" / "steps.py", root / "transfer" / "features.py"]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return f"{digest.hexdigest()} {jax.__version__} {jax.default_backend()}"
