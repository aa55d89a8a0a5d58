"""The files and flags that scripts/faults/fuzz.py mutates, and what reads them."""

import io
import json
import pickle
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from faults.mutations import in_description, in_png, in_safetensors, in_zip, mutated

Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
      name: in words.
      file: what it is called.
      bases: (folder, canary) -> whole files, and some with code in them that makes the canary.
      read: what reads it.
      mutations: how it is harmed.
      share: of the inputs asked for, where reading is slow.
    """

    name: str
    file: str
    bases: Callable[[Path, Path], list[bytes]]
    read: Callable[[Path], object]
    mutations: tuple[Mutation, ...] = (mutated,)
    share: float = 1.0


class Payload:
    """A pickle of this makes a file where it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable, tuple[str, bytes]]:
        return _write, (str(self.canary), b"")


def _write(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)


def _some() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(0)
    return {
        "conv1.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "conv1.bias": np.zeros(4, np.float32),
        "fc.weight": rng.normal(size=(5, 4)).astype(np.float16),
    }


def _saved(path: Path, save: Callable[[Path], object]) -> bytes:
    save(path)
    return path.read_bytes()


def _safetensors(folder: Path, canary: Path) -> list[bytes]:
    from safetensors.numpy import save

    return [save(_some()), save(_some(), metadata={"format": "pt"})]


def _own(folder: Path, canary: Path) -> list[bytes]:
    import jax
    import jax.numpy as jnp

    import cnnjax
    from cnnjax import pretrained
    from cnnjax.pretrained import Passport, Preprocessing

    network = cnnjax.create("mlp", num_classes=2, hidden=(7, 5))
    passport = Passport(
        *("mlp", "cnnjax", "two", "MIT", None, None, "", ""), Preprocessing(8, 8), ("cat", "dog")
    )
    variables = network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    path = folder / "base.safetensors"
    pretrained.save(path, network, variables, passport, image_shape=(8, 8, 3))
    return [path.read_bytes()]


def _npz(folder: Path, canary: Path) -> list[bytes]:
    path = folder / "base.npz"
    keras = {name.replace(".", "/"): array for name, array in _some().items()}
    return [
        _saved(path, lambda p: np.savez(p, **_some())),
        _saved(path, lambda p: np.savez_compressed(p, **keras)),
        _saved(path, lambda p: np.savez(p, a=np.array([Payload(canary)], object))),
    ]


def _keras(folder: Path, canary: Path) -> list[bytes]:
    import h5py

    def by_name(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"conv", b"dense"]
            for layer in ("conv", "dense"):
                group = file.create_group(layer)
                group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
                group.create_dataset("kernel:0", data=np.ones((3, 4), np.float32), chunks=(1, 4))
                group["bias:0"] = np.zeros(4, np.float32)

    def by_class(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for number, place in enumerate(("conv2d", "dense")):
                group = file.create_group(f"layers/{place}/vars")
                group.attrs["name"] = f"{place}_{number}"
                group.create_dataset("0", data=np.ones((8, 8)), compression="gzip")
                group["1"] = np.zeros(8, np.float32)

    path = folder / "base.h5"
    return [_saved(path, by_name), _saved(path, by_class)]


def _torch(folder: Path, canary: Path) -> list[bytes]:
    import torch

    path, tensors = folder / "base.pth", {n: torch.tensor(a) for n, a in _some().items()}
    evil = {"state_dict": tensors, "extra": Payload(canary)}
    found = [
        _saved(path, partial(torch.save, x, _use_new_zipfile_serialization=new))
        for x in (tensors, evil)
        for new in (True, False)
    ]
    return [*found, pickle.dumps(evil, protocol=2)]


def _read_weights(path: Path) -> object:
    from cnnjax.pretrained.readers import read

    return read(path)


def _load_own(path: Path) -> object:
    from cnnjax import pretrained

    return pretrained.load("mlp", path)


def _archive(folder: Path, canary: Path) -> list[bytes]:
    rng, path = np.random.RandomState(0), folder / "base.npz"
    arrays = {"images": rng.randint(0, 256, (40, 6, 6)).astype(np.uint8)}
    arrays["labels"] = np.arange(40) % 4
    parts = {"x_train": arrays["images"] / 255.0, "y_train": arrays["labels"]}
    parts |= {"x_test": arrays["images"] / 255.0, "y_test": arrays["labels"]}
    names = np.array(["a", "b", "c", "d"])
    return [
        _saved(path, lambda p: np.savez(p, **arrays, classes=names)),
        _saved(path, lambda p: np.savez_compressed(p, **parts)),
        _saved(path, lambda p: np.savez(p, **arrays, classes=np.array([Payload(canary)], object))),
    ]


def _read_archive(path: Path) -> object:
    from cnnjax.data.archives import read_archive

    return read_archive(path)


def _pictures(form: str, modes: Sequence[str]) -> Callable[[Path, Path], list[bytes]]:
    def bases(folder: Path, canary: Path) -> list[bytes]:
        noise = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)
        found = []
        for mode in modes:
            image, written = Image.fromarray(noise).convert(mode), io.BytesIO()
            more = {"save_all": True, "append_images": [image] * 2} if form == "GIF" else {}
            image.save(written, form, **more)
            found.append(written.getvalue())
        return found

    return bases


def _decode(path: Path) -> object:
    from cnnjax.data.pictures import Picture, decode_parts

    Image.MAX_IMAGE_PIXELS = 2**21  # of Pillow's 2^26: the same refusal, in less time
    return decode_parts({"train": [Picture(path.name, path)]}, None)


def _by_zip(name: str, file: str, bases: Callable, read: Callable, share: float = 1.0) -> Kind:
    return Kind(name, file, bases, read, (mutated, in_zip), share)


FILES = (
    Kind("weights: safetensors", "w.safetensors", _safetensors, _read_weights,
         (mutated, in_safetensors)),
    Kind("weights: our own", "w.safetensors", _own, _load_own,
         (mutated, in_safetensors, in_description)),
    _by_zip("weights: npz", "w.npz", _npz, _read_weights),
    Kind("weights: Keras' h5", "w.h5", _keras, _read_weights),
    Kind("weights: PyTorch's pth", "w.pth", _torch, _read_weights, (mutated, mutated, in_zip)),
    _by_zip("data: npz", "d.npz", _archive, _read_archive),
    Kind("data: PNG", "i.png", _pictures("PNG", ("RGB", "RGBA", "L", "P", "1", "I;16")), _decode,
         (mutated, in_png)),
    Kind("data: JPEG", "i.jpg", _pictures("JPEG", ("RGB", "L", "CMYK")), _decode),
    Kind("data: GIF", "i.gif", _pictures("GIF", ("P", "L")), _decode),
    Kind("data: WebP", "i.webp", _pictures("WEBP", ("RGB", "RGBA")), _decode),
    Kind("data: BMP", "i.bmp", _pictures("BMP", ("RGB", "L", "P")), _decode),
)  # fmt: skip
"""Weights and data; those of studies are in scripts/faults/folders.py."""


def json_of(value: object) -> bytes:
    """As the project writes it."""
    return json.dumps(value, indent=1).encode()
