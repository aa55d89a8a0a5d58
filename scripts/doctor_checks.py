"""What scripts/doctor.py looks at inside the project."""

import importlib.metadata
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

import cnnjax
from cnnjax.data import load
from cnnjax.data.cache import cache_dir
from cnnjax.data.sources import TFDS_NAMES
from cnnjax.errors import CnnjaxError
from cnnjax.pretrained.downloads import place_of, weights_dir
from cnnjax.pretrained.passports import passports
from cnnjax.training import adam, classification, create_state, fit
from cnnjax.transfer import initialise

STEPS, BATCH = 60, 64
OPTIONAL = ("torch", "h5py", "tensorflow-cpu")
"""Of the extras, those that read or make something."""


class Finding(NamedTuple):
    """One line.

    Attributes:
      name: of what was looked at.
      says: what was found, and where something is missing, what to do.
      state: "well", "missing" (which is no fault), or "broken".
    """

    name: str
    says: str
    state: Literal["well", "missing", "broken"] = "well"


def packages() -> Iterator[Finding]:
    """What pyproject.toml names, and those of its extras that are there."""
    yield Finding("cnnjax", importlib.metadata.version("cnnjax"))
    for requirement in importlib.metadata.requires("cnnjax") or []:
        wanted, _, marker = requirement.partition(";")
        name = re.match(r"[\w.-]+", wanted)[0]
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not marker:
                yield Finding(name, f"is missing: pip install '{wanted.strip()}'", "broken")
            continue
        if not marker or name in OPTIONAL:
            yield Finding(name, found)
    for found in sorted(importlib.metadata.distributions(), key=lambda d: d.name):
        if found.name.startswith(("jaxlib", "jax-", "jax_", "libtpu")):
            yield Finding(found.name, found.version)


def caches() -> Iterator[Finding]:
    """What the project keeps, and whether it can."""
    try:
        root = cache_dir()
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except (OSError, RuntimeError) as error:
        says = f"{getattr(error, 'strerror', None) or error}; set CNNJAX_CACHE to a folder of yours"
        yield Finding("cache", f"cannot be written: {says}", "broken")
        return
    yield Finding("cache", tilde(root))
    yield Finding("decoded data sets", _size(root.glob("*.npz")))
    yield Finding("compiled programs", _size((root / "compiled").rglob("*")))
    yield Finding("downloaded weights", _size(weights_dir().rglob("*")))


def data_sets() -> Iterator[Finding]:
    """Which of those with a name can be loaded."""
    yield Finding("glyphs, digits", "embedded")
    from cnnjax.data.records import default_data_dir, find_prepared

    place = default_data_dir()
    for name in TFDS_NAMES:
        try:
            builder = find_prepared(name, place)
        except CnnjaxError as error:
            yield Finding(name, tilde(str(error)), "broken")
            continue
        if builder is None:
            says = f"not in {tilde(place)}: python scripts/prepare.py {name}"
            yield Finding(name, says, "missing")
        else:
            yield Finding(name, tilde(builder.data_path))
    yield Finding("your own", "npz:FILE.npz (x_train y_train ...), folder:PHOTOS (class folders)")


def weights() -> Iterator[Finding]:
    """Which published files are in the cache."""
    known = [p for p in passports() if p.url]
    there = [p for p in known if place_of(p).is_file()]
    for passport in there:
        yield Finding(passport.network, tilde(place_of(passport)))
    says = f"{len(there)} of {len(known)} published files are in {tilde(weights_dir())}"
    yield Finding("published", f"{says}; without a network: docs/weights.md")


def training() -> Iterator[Finding]:
    """Trains a small network on the embedded digits by the path that every training takes."""
    marks: list[float] = [time.monotonic()]
    try:
        data = load("digits", image_size=28).train
        network = cnnjax.create("lenet5", num_classes=data.num_classes)
        optimizer = adam(2e-3)
        variables = initialise(network, data.images.shape[1:], seed=0)
        _, lines = fit(
            create_state(variables, optimizer, jax.random.key(0)),
            (jnp.asarray(data.images), jnp.asarray(data.labels)),
            network=network,
            task=classification,
            optimizer=optimizer,
            steps=STEPS,
            batch_size=BATCH,
            seed=0,
            log_every=STEPS // 3,
            on_steps=lambda _: marks.append(time.monotonic()),
        )
    except Exception as error:  # whatever a driver, a compiler or a full memory raises
        says = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        yield Finding("lenet5 on digits", tilde(says), "broken")
        return
    first, last = lines[0]["loss"], lines[-1]["loss"]
    speed = (STEPS - 1) * BATCH / (marks[-1] - marks[1])
    yield Finding("data, compilation", f"{marks[1] - marks[0]:.1f} s")
    yield Finding("speed", f"{speed:,.0f} images/s of 28 x 28, lenet5, batches of {BATCH}")
    state = "well" if last < first else "broken"
    yield Finding("loss", f"{first:.2f} in the first steps, {last:.2f} in the last", state)


def tilde(path: Path | str) -> str:
    """A path, or a sentence with one, without the name of whose it is."""
    home = str(Path.home())
    return str(path).replace(home, "~") if len(home) > 1 else str(path)


def _size(paths: Iterator[Path]) -> str:
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 2**20:,.1f} MiB" if sizes else "none"
