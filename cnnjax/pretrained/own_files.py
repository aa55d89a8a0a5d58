"""This project's own files: safetensors with every variable under its path, and a description of
the network, the preprocessing and the passport in the metadata."""

import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import save as serialised

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, Pixels, create
from cnnjax.pretrained.conversion import convert, export
from cnnjax.pretrained.families import sources_of
from cnnjax.pretrained.layouts import OURS
from cnnjax.pretrained.passports import Passport
from cnnjax.pretrained.preprocessing import Preprocessing
from cnnjax.pretrained.readers import OURS as KEY
from cnnjax.pretrained.readers import WeightsFile, damaged

NOT_ARGUMENTS = ("parent", "name", "dtype", "param_dtype", "remat", "num_classes", "pixels")


def save(
    path: Path,
    network: Network,
    variables: Mapping,
    passport: Passport,
    source: str = "cnnjax",
    image_shape: tuple[int, int, int] | None = None,
) -> None:
    """Writes weights as safetensors, whole or not at all.

    Args:
      path: ends in .safetensors.
      network: the one that the variables belong to.
      variables: {"params": {...}, "batch_stats": {...}}.
      passport: with the network's name, the preprocessing and the names of the classes.
      source: "cnnjax", this project's own form, which `load` gives back as it is; or another, such
        as "torchvision", whose names and layouts the file is to have. Of it, `load` knows what the
        source's own files are known by, not what the passport says.
      image_shape: (height, width, channels) of the images that it was trained on, which the shapes
        of dense layers follow; the paper's by default.

    Raises:
      CnnjaxError: another suffix, a source without names for the network, weights that are not the
        source's variant, or a place that cannot be written to.
    """
    if path.suffix != ".safetensors":
        raise CnnjaxError(f"{str(path)!r} is no name of a safetensors file; end it in .safetensors")
    if source == "cnnjax":
        arrays = export(variables, network, OURS)
        about = {KEY: _describe(network, passport, image_shape, _digest(arrays))}
    else:
        names = sources_of(passport.network).get(source)
        if names is None or names.layout != "torch":
            torch = [n for n, s in sources_of(passport.network).items() if s.layout == "torch"]
            raise CnnjaxError(
                f"there are no names of {source!r} for {passport.network!r} in a safetensors file; "
                f"expected one of {', '.join(['cnnjax', *torch])}"
            )
        _check_arguments(network, names.arguments, source)
        arrays, about = export(variables, network, names), {"format": "pt"}
    # Not by safetensors' own writer, whose files nobody but their owner may read.
    _write(path, serialised(arrays, metadata=about))


def _check_arguments(network: Network, expected: Mapping[str, object], source: str) -> None:
    for name, value in expected.items():
        if (found := getattr(network, name)) != value:
            raise CnnjaxError(
                f"the network has {name}={found!r}, and {source}'s has {value!r}; its weights mean "
                "something else there; write them as cnnjax"
            )


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of all arrays: safetensors itself would not notice another bit in them."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CnnjaxError(
            f"cannot write {path}: {error.strerror or error}; give another place"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _describe(
    network: Network,
    passport: Passport,
    image_shape: tuple[int, int, int] | None,
    digest: str,
) -> str:
    arguments = {
        field.name: getattr(network, field.name)
        for field in dataclasses.fields(network)
        if field.name not in NOT_ARGUMENTS and getattr(network, field.name) != field.default
    }
    about = {
        "version": 1,
        "digest": digest,
        "network": passport.network,
        "arguments": arguments,
        "num_classes": network.num_classes,
        "image": image_shape or network.image,
        "pixels": network.pixels and dataclasses.asdict(network.pixels),
        "passport": passport._replace(preprocessing=None, sha256=None)._asdict(),
        "preprocessing": dataclasses.asdict(passport.preprocessing) | {"pixels": None},
    }
    try:
        return json.dumps(about)
    except TypeError as error:
        raise CnnjaxError(
            f"the arguments of the network cannot be written: {error}; take plain values"
        ) from None


def from_ours(
    file: WeightsFile,
    network: str,
    path: Path,
    num_classes: int | None,
    arguments: Mapping[str, object],
) -> tuple[Network, dict, Passport]:
    """What one of our own files holds.

    Raises:
      CnnjaxError: another network, class count or argument than asked for, or a description or
        arrays that are not whole.
    """
    about = file.about
    if about.get("network") != network:
        raise CnnjaxError(
            f"{str(path)!r} holds weights of {about.get('network')!r}, not of {network!r}; name "
            "that network, or take another file"
        )
    try:
        if about["version"] != 1:
            raise ValueError(f"version {about['version']}")
        pixels = about["pixels"] and _pixels(about["pixels"])
        given = {k: _frozen(v) for k, v in about["arguments"].items()}
        image_shape = _image_shape(about.get("image"))
        grey = image_shape is not None and image_shape[2] == 1
        scaled = {"pixels": pixels, "channels": 1 if grey else 3}
        preprocessing = Preprocessing(**about["preprocessing"] | scaled)
        fields = about["passport"] | {"preprocessing": preprocessing, "sha256": None}
        passport = Passport(**fields)._replace(classes=tuple(map(str, fields["classes"])))
        classes = int(about["num_classes"])
        made = create(network, **{**given, **arguments}, num_classes=classes, pixels=pixels)
        stages = made.stages
    except CnnjaxError:
        raise
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, "file of cnnjax", error) from None
    arrays = dict(file.arrays)
    if about.get("digest") not in (None, _digest(arrays)):  # older files have none
        raise damaged(path, "file of cnnjax", ValueError("an array is not what was written"))
    if num_classes == 0 and classes:
        arrays = {n: a for n, a in arrays.items() if n.split("/")[0] != stages[-1]}
        made = made.clone(num_classes=0)
    elif num_classes is not None and num_classes != classes:
        raise CnnjaxError(
            f"{str(path)!r} has {classes} classes, not {num_classes}; load it with as many, or "
            "with num_classes=0 and give the network a new head"
        )
    try:
        return made, convert(arrays, made, OURS, str(path), image_shape), passport
    except CnnjaxError:
        raise
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise damaged(path, "file of cnnjax", error) from None  # arguments that cannot be


def _image_shape(about: object) -> tuple[int, int, int] | None:
    if about is None:
        return None
    height, width, channels = map(int, about)
    if not min(height, width, channels) >= 1 or max(height, width) > 2**16 or channels > 2**10:
        raise ValueError(f"images of {height} x {width} x {channels}")
    return height, width, channels


def _pixels(about: Mapping) -> Pixels:
    mean, std = (tuple(map(float, about[name])) for name in ("mean", "std"))
    return Pixels(mean, std, bool(about["bgr"]))


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
