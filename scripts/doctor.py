"""What there is to work with, and whether it works: paste it into a report of a fault.

    python scripts/doctor.py
    python scripts/doctor.py --json

Backend and devices, releases of what the project needs, variables that change how JAX works, the
caches with their sizes, which data sets and weights are there and where others belong, and a
training of some seconds. Your home directory is written as ~. The status is 1 if something that is
needed does not work; data sets and weights that are not there are no fault.
"""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
from doctor_checks import Finding, caches, data_sets, packages, tilde, training, weights
from rich.console import Console

from cnnjax.command import main
from cnnjax.studies.machine import machine

VARIABLES = ("CNNJAX_CACHE", "TFDS_DATA_DIR", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Config:
    json: bool = False
    """Print JSON instead of text."""


def run(config: Config) -> None:
    """Looks, and prints."""
    began = time.monotonic()
    chapters = {title: list(look()) for title, look in CHAPTERS.items()}
    broken = [f for findings in chapters.values() for f in findings if f.state == "broken"]
    if config.json:
        content = {t: [f._asdict() for f in findings] for t, findings in chapters.items()}
        print(json.dumps(content | {"broken": len(broken)}, indent=1))
    else:
        console = Console(width=None if sys.stdout.isatty() else 160)
        for title, findings in chapters.items():
            console.print(f"[bold]{title}[/bold]")
            for finding in findings:
                console.print(f"  {finding.name:<22} {finding.says}", **PLAIN)
        end = f"{len(broken)} broken: {', '.join(f.name for f in broken)}" if broken else "all well"
        console.print(f"{end} ({time.monotonic() - began:.1f} s)", **PLAIN)
    if broken:
        sys.exit(1)


PLAIN = {"highlight": False, "markup": False, "soft_wrap": True}


def system() -> Iterator[Finding]:
    """The machine and its Python."""
    yield Finding("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("Python", f"{platform.python_version()} ({platform.python_implementation()})")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Finding("free disk", f"{free:.1f} GiB here")


def devices() -> Iterator[Finding]:
    """What JAX computes on."""
    try:
        found = machine()
    except RuntimeError as error:  # a plugin that finds no device, or another's
        yield Finding("backend", tilde(" ".join(str(error).split())[:300]), "broken")
        return
    yield Finding("backend", jax.default_backend())
    yield Finding("devices", "{devices} x {device}, {cpu_cores} processor cores".format(**found))
    yield Finding("hosts", str(jax.process_count()))
    if limit := (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit"):
        yield Finding("memory of a device", f"{limit / 2**30:.1f} GiB for JAX")


def variables() -> Iterator[Finding]:
    """Of the environment, those that change what JAX or the project does."""
    names = [name for name in sorted(os.environ) if name in VARIABLES or name.startswith("JAX_")]
    for name in names:
        yield Finding(name, tilde(os.environ[name]))
    if not names:
        yield Finding("none", "of JAX_..., " + ", ".join(VARIABLES))


CHAPTERS = {
    "machine": system,
    "JAX": devices,
    "packages": packages,
    "environment": variables,
    "caches": caches,
    "data sets": data_sets,
    "weights": weights,
    "training": training,
}

if __name__ == "__main__":
    main(Config, run, __doc__)
