"""Weights with the network they belong to and what pictures must become for it."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models import NETWORKS, Network, create
from cnnjax.pretrained.conversion import convert, shapes_of
from cnnjax.pretrained.downloads import check_sha256, fetch, hash_of, verify
from cnnjax.pretrained.families import sources_of
from cnnjax.pretrained.layouts import Names, entry_of
from cnnjax.pretrained.own_files import from_ours
from cnnjax.pretrained.passports import (
    Passport,
    class_names,
    default_preprocessing,
    passports,
    published,
)
from cnnjax.pretrained.preprocessing import Preprocessing
from cnnjax.pretrained.readers import SUFFIXES, WeightsFile, read


class Pretrained(NamedTuple):
    """Weights and all that belongs to them.

    Attributes:
      network: takes images in [-1, 1], as `training.scale_pixels` gives them, whatever its weights
        expect (`Network.pixels`); `num_classes` as in the file.
      variables: {"params": {stage: ...}, "batch_stats": {...}}.
      passport: where they come from, and the sha256 of the file.
      preprocessing: from picture files to uint8 images of the size they were trained for.
    """

    network: Network
    variables: dict
    passport: Passport
    preprocessing: Preprocessing


def load(
    network: str,
    weights: str | Path,
    *,
    num_classes: int | None = None,
    source: str | None = None,
    sha256: str | None = None,
    **arguments: object,
) -> Pretrained:
    """Loads weights of a network, strictly: every array is used, every variable filled.

    Args:
      network: one of `cnnjax.list_models()`.
      weights: the path of a file (`.safetensors`, `.npz`, `.h5`, `.weights.h5`, `.pth`, `.th`,
        `.pt`, see `pretrained.readers.read`); or what is published, "torchvision", "timm", "keras"
        or "torchvision/IMAGENET1K_V2", which is downloaded once into `weights_dir()` and checked.
      num_classes: the number that the file must have; 0 leaves its head out. As in the file by
        default: without a head where it has none.
      source: whose names a file follows, where several give the same and scale pixels differently.
        Found out by default: a published file by its hash, others by their names, torchvision's
        before timm's.
      sha256: what the file's must be.
      **arguments: of the network, e.g. `alpha=0.5`, `auxiliary=False`, `dtype=jnp.bfloat16`; its
        variant is that of the source.

    Raises:
      CnnjaxError: a file that is missing, damaged, has another hash, holds code, or belongs to
        another network or number of classes; a download that fails; an unknown name.
    """
    if network not in NETWORKS:
        create(network)  # says so
    passport = None if _is_path(weights) else published(network, str(weights))
    if passport is None:
        path = Path(weights).expanduser()
        file = read(path)
        if sha256 is not None:
            verify(path, f"sha256:{check_sha256(sha256)}")
    else:
        path = fetch(passport, sha256=sha256)
        file, source = read(path), passport.source
    found = hash_of(path)
    if file.layout == "cnnjax":
        made = from_ours(file, network, path, num_classes, arguments)
        return Pretrained(*made[:2], made[2]._replace(sha256=found), made[2].preprocessing)
    passport = passport or _by_hash(network, found)
    source = _source_of(network, file, source or (passport and passport.source), path)
    return _convert(network, file, source, passport, num_classes, arguments, path, found)


def _is_path(weights: str | Path) -> bool:
    """Whether it is meant as one: a name of something published has no suffix of a file."""
    # Path.is_file raises for a name that is too long or in a folder that may not be read.
    if isinstance(weights, Path) or os.path.isfile(os.path.expanduser(weights)):
        return True
    return weights.lower().endswith(SUFFIXES)


def _by_hash(network: str, sha256: str) -> Passport | None:
    for passport in passports():
        kind, _, digits = passport.digest.partition(":")
        if passport.network == network and kind == "sha256" and sha256.startswith(digits):
            return passport
    return None


def _source_of(network: str, file: WeightsFile, source: str | None, path: Path) -> str:
    known = {name: n for name, n in sources_of(network).items() if n.layout == file.layout}
    if source is not None:
        if source not in known:
            raise CnnjaxError(
                f"there are no names of {source!r} for {network!r} in a file as {str(path)!r} is; "
                f"expected one of {', '.join(known) or 'none'}{did_you_mean(source, known)}"
            )
        return source
    if not known:
        kinds = ", ".join(sources_of(network)) or "none but this project's own"
        raise CnnjaxError(
            f"{str(path)!r} has names as {file.layout} gives them, and of {network!r} only those "
            f"of {kinds} are known; take a file of such, or one that scripts/convert.py wrote"
        )

    def used(names: Names) -> int:
        entry = entry_of(names, create(network, **names.arguments))
        return len(file.arrays.keys() & {n for p in places for n in entry(*p).names})

    first = next(iter(known.values()))
    if len(known) == 1:
        return next(iter(known))
    places = _places(create(network, **first.arguments))
    return max(known, key=lambda name: used(known[name]))


def _places(network: Network) -> list[tuple[tuple[str, ...], str]]:
    return [
        (tuple(key.key for key in path[1:-1]), path[-1].key)
        for path, _ in jax.tree_util.tree_leaves_with_path(shapes_of(network))
    ]


def _convert(
    name: str,
    file: WeightsFile,
    source: str,
    passport: Passport | None,
    num_classes: int | None,
    arguments: Mapping[str, object],
    path: Path,
    sha256: str,
) -> Pretrained:
    names = sources_of(name)[source]
    arrays, given = dict(file.arrays), dict(names.arguments)
    if names.renamed:
        pattern, new = names.renamed
        arrays = {re.sub(pattern, new, key): array for key, array in arrays.items()}
    if names.auxiliary:
        heads = [key for key in arrays if re.search(names.auxiliary, key)]
        given["auxiliary"] = bool(arguments.get("auxiliary", True)) and bool(heads)
        arrays = arrays if given["auxiliary"] else {k: arrays[k] for k in arrays if k not in heads}
    clash = {k for k in names.arguments.keys() & arguments if arguments[k] != given[k]}
    if clash:
        raise CnnjaxError(
            f"the weights of {source} are for {', '.join(f'{k}={given[k]!r}' for k in clash)}; "
            "leave that argument out"
        )
    given = {**arguments, **given}
    arrays, classes = _head(create(name, **given), names, arrays, num_classes, path)
    preprocessing = passport.preprocessing if passport else default_preprocessing(name, source)
    pixels = names.pixels(arrays) if names.pixels else preprocessing.pixels
    preprocessing = dataclasses.replace(preprocessing, pixels=pixels)
    network = create(name, **given, num_classes=classes, pixels=pixels)
    variables = convert(arrays, network, names, str(path))
    if passport is None:
        none = Passport(name, source, "", "", None, None, "", "", preprocessing, ())
        passport = none._replace(classes=class_names(classes))
    passport = passport._replace(sha256=sha256, preprocessing=preprocessing)
    return Pretrained(network, variables, passport, preprocessing)


def _head(
    network: Network,
    names: Names,
    arrays: dict[str, np.ndarray],
    wanted: int | None,
    path: Path,
) -> tuple[dict[str, np.ndarray], int]:
    """The arrays that are to be used, and the number of classes."""
    entry = entry_of(names, network)
    stage = (network.stages[-1],)
    head = [n for leaf in ("kernel", "bias") for n in entry(stage, leaf).names if n in arrays]
    biases = [name for name in head if name in entry(stage, "bias").names]
    found = int(np.shape(arrays[biases[0]])[-1]) if biases and arrays[biases[0]].ndim else 0
    if wanted == 0:
        return {name: array for name, array in arrays.items() if name not in head}, 0
    if wanted is not None and wanted != found:
        has = f"{found} classes" if found else "no head"
        raise CnnjaxError(
            f"{str(path)!r} has {has}, not {wanted} classes; load it with as many, or with "
            "num_classes=0 and give the network a new head"
        )
    return arrays, found
