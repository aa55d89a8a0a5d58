"""The arrays in a file of weights, by the names that its writer gave them."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open

from cnnjax.errors import CnnjaxError
from cnnjax.pretrained.keras_files import read_keras, recounted

SUFFIXES = (".safetensors", ".npz", ".h5", ".hdf5", ".pth", ".th", ".pt", ".bin")
OURS = "cnnjax"
"""The key in a safetensors file's metadata under which our own files describe themselves."""


class WeightsFile(NamedTuple):
    """What a file holds.

    Attributes:
      layout: "torch" (names with dots), "keras" ("layer/weight") or "cnnjax" ("params/stage/...").
      arrays: by name.
      about: what our own files say of themselves; empty for others.
    """

    layout: str
    arrays: dict[str, np.ndarray]
    about: dict


def read(path: Path) -> WeightsFile:
    """Reads a file of weights, by its suffix; nothing in it is ever executed.

    - `.safetensors`: torch's names, or our own.
    - `.npz`: names "layer/weight" are Keras', others torch's; no array of Python objects is read.
    - `.h5`, `.weights.h5`: Keras'. Needs h5py.
    - `.pth`, `.th`, `.pt`, `.bin`: torch's. Needs torch, which reads nothing but tensors and
      plain containers (`weights_only=True`).

    Raises:
      CnnjaxError: no such file, of another kind, truncated or damaged, with anything but arrays in
        it, or the library that reads it is not installed.
    """
    if not path.is_file():
        raise CnnjaxError(
            f"there is no file {str(path)!r}; expected one of weights ({', '.join(SUFFIXES)}); "
            "check the path"
        )
    match path.suffix.lower():
        case ".safetensors":
            return _safetensors(path)
        case ".npz":
            return _archive(path)
        case ".h5" | ".hdf5":
            return WeightsFile("keras", read_keras(path), {})
        case ".pth" | ".th" | ".pt" | ".bin":
            return WeightsFile("torch", _torch(path), {})
    raise CnnjaxError(
        f"{str(path)!r} is of no kind that is known by its name; expected one of "
        f"{', '.join(SUFFIXES)}; name the file after what it is"
    )


def _safetensors(path: Path) -> WeightsFile:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = (file.metadata() or {}).get(OURS)
    except Exception as error:  # its own, and whatever a type that NumPy lacks leads to
        raise damaged(path, "safetensors file", error) from None
    if about is None:
        return WeightsFile("torch", _unwrapped(arrays), {})
    try:
        described = json.loads(about)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "safetensors file", error) from None
    if not isinstance(described, dict):
        raise damaged(path, "safetensors file", ValueError("its description is no object"))
    return WeightsFile("cnnjax", arrays, described)


def _archive(path: Path) -> WeightsFile:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if odd := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{odd[0]} is no array")
    except Exception as error:  # whatever the zip reader raises over damaged bytes
        if str(error).startswith("Object arrays"):
            raise CnnjaxError(
                f"{str(path)!r} holds an array of Python objects, which is not safe to read; "
                "expected arrays of numbers; save them as plain arrays"
            ) from None
        raise damaged(path, "npz archive", error) from None
    if all("/" in name for name in arrays):
        return WeightsFile("keras", recounted(arrays), {})
    return WeightsFile("torch", _unwrapped(arrays), {})


def _torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise CnnjaxError(
            f"{str(path)!r} is a file of PyTorch, and torch is not installed; pip install torch, "
            "or take the weights as .safetensors"
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # the opcode that names a function or a class
            raise CnnjaxError(
                f"{str(path)!r} holds Python code or objects beside its tensors, and nothing of it "
                "was run; expected a state dict of tensors; have its author save "
                "model.state_dict(), or take the weights as .safetensors"
            ) from None
        raise damaged(path, "PyTorch file", error) from None
    except Exception as error:  # whatever the readers of zip, tar and tensors raise
        raise damaged(path, "PyTorch file", error) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in found.items()
    ):
        raise CnnjaxError(
            f"{str(path)!r} holds no state dict of tensors; expected one, or a checkpoint with one "
            "under 'state_dict'; save model.state_dict()"
        )
    arrays = {}
    for name, tensor in found.items():
        try:
            if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
                raise TypeError("it has more elements than are in the file")
            # NumPy has no bfloat16 of torch's; float32 holds each of its numbers exactly.
            tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
            arrays[name] = tensor.detach().numpy()
        except (TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:80]
            raise CnnjaxError(
                f"{name} in {str(path)!r} is no plain tensor ({reason}); expected dense "
                "tensors of numbers; have its author save those"
            ) from None
    return _unwrapped(arrays)


def _unwrapped(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the "module." that wrappers for several devices put in front of every name."""
    if arrays and all(name.startswith("module.") for name in arrays):
        return {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def damaged(path: Path, kind: str, error: Exception) -> CnnjaxError:
    """The error of a file that is not whole."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return CnnjaxError(
        f"{str(path)!r} is no whole {kind} (truncated, damaged or of another kind: {reason}); get "
        "it again"
    )
