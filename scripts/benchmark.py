"""Measure the training step: cnnjax, the same network in stock Flax, and PyTorch if installed.

All of them take turns in one process, round after round, so that whatever else the machine does
meets all alike; medians over the rounds, and ratios within each round, are reported. One step is
forward, backward and the SGD update with momentum on a batch of random images in memory; "scan" is
the same step inside one compiled lax.scan.

    python scripts/benchmark.py --out docs/benchmarks/steps.json --markdown docs/benchmarks.md

Of any other registered network the forward pass and the step are measured, beside stock layers,
keras.applications on the JAX backend and PyTorch where they are installed and have it:

    python scripts/benchmark.py --networks mobilenet efficientnet_b0 --image-size 64 \
        --batch-size 32 --repeats 5 --out docs/benchmarks/networks64.json \
        --markdown docs/benchmarks.md

The section of the document is called as the file: "steps", "networks64".
"""

import ctypes
import dataclasses
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmark_networks import CLASSES, LEARNING_RATE, MOMENTUM, PAUSE
from benchmark_networks import measure as measure_network
from benchmark_report import (
    print_table,
    read_json,
    section,
    surroundings,
    write_json,
    write_section,
)
from jax import lax
from stock_networks import STOCK

import cnnjax
from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.models.network import check_takes
from cnnjax.training import classification, create_state, train_step

IMAGES = {"alexnet_small": (28, 28, 1), "lenet5": (32, 32, 1)}  # [H, W, C]


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure the training step of cnnjax against stock Flax and PyTorch."""

    networks: tuple[str, ...] = tuple(IMAGES)
    """Which: alexnet_small and lenet5 with scans and memory, or any registered ones."""
    image_size: int | None = None
    """Height and width of the images; the paper's by default. With it, any are measured alike."""
    batch_size: int = 128
    """Images a step."""
    repeats: int = 20
    """Rounds, after the first, which are not counted."""
    scan_steps: int = 16
    """Steps in one call, where `fit` takes as many as fill two seconds."""
    out: Path | None = None
    """Where to write what was measured, as JSON."""
    markdown: Path | None = None
    """A document whose section of the name of --out is written anew."""
    only_report: bool = False
    """Measure nothing: report what --out holds."""


def network(implementation: str, name: str) -> Network:
    """The network as cnnjax or with stock layers."""
    make = STOCK[name] if implementation == "stock" else partial(cnnjax.create, name)
    return make(num_classes=CLASSES)


def batch(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((size, *IMAGES[name]), dtype=np.float32)
    return images, rng.integers(0, CLASSES, size, dtype=np.int32)


def jax_step(
    implementation: str, name: str, mode: str, batch_size: int, scan_steps: int
) -> tuple[Callable[[], object], int]:
    """(a function that takes the steps, the bytes that XLA reserves for intermediate results)."""
    net = network(implementation, name)
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    images, labels = (jnp.asarray(a) for a in batch(name, batch_size))
    variables = jax.jit(net.init)(jax.random.key(0), images[:1])
    state = create_state(variables, optimizer, jax.random.key(1))
    step = partial(train_step, network=net, task=classification, optimizer=optimizer)
    if mode == "scan":
        one = step
        step = lambda state, data: lax.scan(  # noqa: E731
            lambda state, _: one(state, data), state, None, length=scan_steps
        )
    compiled = jax.jit(step, donate_argnums=0).lower(state, (images, labels)).compile()
    carried = [state]

    def run() -> None:
        carried[0], metrics = compiled(carried[0], (images, labels))
        jax.block_until_ready(metrics)

    return run, compiled.memory_analysis().temp_size_in_bytes


def torch_only_step(name: str, batch_size: int) -> Callable[[], object]:
    """PyTorch's step."""
    from torch_networks import torch_step

    return torch_step(network("cnnjax", name), *batch(name, batch_size), LEARNING_RATE, MOMENTUM)


def prepare(
    implementation: str, name: str, mode: str, batch_size: int, scan_steps: int
) -> tuple[Callable[[], object], int | None]:
    """(a function that takes the steps, bytes of intermediate results where XLA tells them)."""
    if implementation == "torch":
        return torch_only_step(name, batch_size), None
    return jax_step(implementation, name, mode, batch_size, scan_steps)


def added_memory(*task: str | int) -> int | None:
    """The bytes by which the steps raise the memory of a process, at their highest. Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    run, _ = prepare(*task)
    ctypes.CDLL(None).malloc_trim(0)  # what compiling has left behind would hide what steps take
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    for _ in range(3):
        run()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """A size in bytes that Linux keeps of this process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s*(\d+) kB", status)[1])


def in_a_process_of_its_own(*task: str | int) -> int | None:
    """`added_memory` of the task, in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(added_memory, *task).result()


def mib(size: int | None) -> float | None:
    """Bytes in MiB."""
    return None if size is None else round(size / 2**20, 1)


def measure(config: Config, name: str) -> list[dict[str, object]]:
    """One row for each implementation and mode of a network."""
    kinds = [("cnnjax", "single"), ("cnnjax", "scan"), ("stock", "single"), ("stock", "scan")]
    if find_spec("torch"):
        kinds.append(("torch", "single"))
    tasks = {kind: (kind[0], name, kind[1], config.batch_size, config.scan_steps) for kind in kinds}
    added = {kind: in_a_process_of_its_own(*task) for kind, task in tasks.items()}
    prepared = {kind: prepare(*task) for kind, task in tasks.items()}
    seconds: dict[tuple[str, str], list[float]] = {kind: [] for kind in kinds}
    for _ in range(config.repeats + 2):
        for kind, (run, _) in prepared.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run()
            steps = config.scan_steps if kind[1] == "scan" else 1
            seconds[kind].append((time.perf_counter() - start) / steps)
    base = seconds["stock", "single"][2:]
    rows = []
    for kind, (_, temporary) in prepared.items():
        own = seconds[kind][2:]
        low, median, high = (1e3 * q for q in statistics.quantiles(own, n=4, method="inclusive"))
        ratio = statistics.median(a / b for a, b in zip(own, base, strict=True))
        rows.append(
            {
                "network": name,
                "implementation": kind[0],
                "mode": kind[1],
                "milliseconds": round(median, 2),
                "quartiles": [round(low, 2), round(high, 2)],
                "times_stock": round(ratio, 3),
                "temporary_mib": mib(temporary),
                "added_mib": mib(added[kind]),
            }
        )
    return rows


def run(config: Config) -> None:
    """Measure or read, then report."""
    if config.only_report:
        if config.out is None:
            raise CnnjaxError("--only-report needs --out FILE.json, a file that was written before")
        report = read_json(config.out)
    else:
        jax.config.update("jax_enable_compilation_cache", False)  # what compiling takes is measured
        report = measured(config)
        if config.out is not None:
            write_json(config.out, report)
    print_table(report)
    if config.markdown is not None:
        name = "steps" if config.out is None else config.out.stem
        write_section(config.markdown, name, section(report))


def measured(config: Config) -> dict[str, object]:
    """The report of the networks that are asked for."""
    check(config)
    load = os.getloadavg()[0]
    fields = ("batch_size", "repeats", "scan_steps")
    report = surroundings(load) | {field: getattr(config, field) for field in fields}
    if config.image_size is None and config.networks[0] in IMAGES:
        report["images"] = {name: IMAGES[name] for name in config.networks}
        report["steps"] = [row for name in config.networks for row in measure(config, name)]
    else:
        sizes = (config.batch_size, config.image_size, config.repeats, config.scan_steps)
        report["networks"] = [
            row for name in config.networks for row in measure_network(name, *sizes)
        ]
    return report


def check(config: Config) -> None:
    """Raises CnnjaxError where the command line asks for what is not measured."""
    for name in config.networks:
        image = cnnjax.create(name).image
        if config.image_size is not None:
            image = (config.image_size, config.image_size, image[2])
        check_takes(cnnjax.create(name, num_classes=CLASSES), image)
    others = len([name for name in config.networks if name not in IMAGES])
    mixed = config.image_size is None and others not in (0, len(config.networks))
    if mixed or not config.networks:
        raise CnnjaxError(
            f"--networks is {' '.join(config.networks) or 'empty'}; {' and '.join(IMAGES)} have "
            "images of their own; give --image-size, or the others in a command of their own"
        )
    if min(config.batch_size, config.scan_steps) < 1 or config.repeats < 2:
        raise CnnjaxError("give --batch-size and --scan-steps of at least 1, --repeats of 2")


if __name__ == "__main__":
    main(Config, run, __doc__)
