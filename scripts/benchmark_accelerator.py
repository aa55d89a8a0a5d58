"""Measure training on an accelerator: images a second, the share of its peak, stacked seeds.

Three things, on whatever device JAX finds first:

  * its peak: the fastest product of two square matrices of the compute dtype;
  * whole trainings of networks in that dtype (parameters, statistics and logits in float32), many
    steps in one compiled loop on a data set that lies on the device, plain and with augmentation in
    the same program; beside PyTorch (compiled, channels last, autocast) where it has the same
    device;
  * several seeds of the transferability study's base network, one after the other and stacked.

    python scripts/benchmark_accelerator.py --out docs/benchmarks/accelerator.json \
        --markdown docs/benchmarks.md

All programs of a part take turns, round after round. It runs on CPUs unchanged, where bfloat16 is
slow: --dtype float32 and small batches.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmark_accelerator_report import section
from benchmark_networks import CLASSES, LEARNING_RATE, MOMENTUM, some_variables
from benchmark_report import read_json, surroundings, write_json, write_section
from jax import lax

import cnnjax
from cnnjax.command import Allowed, at_least, check_numbers, main, unset
from cnnjax.data import augment, batch_indices
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.models.ledger import ledger
from cnnjax.models.network import check_takes
from cnnjax.training import (
    TrainState,
    classification,
    create_state,
    stack,
    train_stacked,
    train_steps,
)

DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}
STUDY_NETWORK = "alexnet_small"
RECIPE = augment.compose(augment.flip(), augment.shift(0.1))


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure training on an accelerator."""

    networks: tuple[str, ...] = ("resnet50", "resnet20", "resnet56")
    """Which of the registered ones."""
    batch_size: Annotated[int | None, unset("INT", "256 at 224 pixels, 1024 at 32")] = None
    """Images a step of the networks."""
    image_size: Annotated[int | None, unset("INT", "the paper's")] = None
    """Height and width of their images."""
    dtype: str = "bfloat16"
    """Of the computation: bfloat16 or float32."""
    steps: int = 20
    """Steps in one call."""
    repeats: int = 5
    """Rounds, after the first, which is not counted."""
    peak_size: int = 8192
    """Rows of the matrices whose product is the peak."""
    seeds: tuple[int, ...] = (1, 3, 9)
    """So many trainings at once, one after the other and stacked."""
    out: Path | None = None
    """Where to write what was measured, as JSON."""
    markdown: Path | None = None
    """A document whose section named as the file is written anew."""
    only_report: bool = False
    """Measure nothing: report what --out holds."""


Program = Callable[[], object]
"""Takes what it has to take, and is done when it returns."""


def in_turns(programs: Mapping[str, Program], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call of each program, the first round left out."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats + 1):
        for name, program in programs.items():
            began = time.perf_counter()
            program()
            seconds[name].append(time.perf_counter() - began)
    return {name: measured[1:] for name, measured in seconds.items()}


def peak(size: int, dtype: str, repeats: int, products: int = 16) -> float:
    """Floating-point operations a second of [n, n] [n, n]: 2 n^3 each."""
    matrix = jax.random.normal(jax.random.key(0), (size, size), DTYPES[dtype]) / size**0.5

    @jax.jit
    def multiply(x: jax.Array) -> jax.Array:
        return lax.fori_loop(0, products, lambda i, y: y @ matrix, x)

    run = {"peak": lambda: jax.block_until_ready(multiply(matrix))}
    return 2 * size**3 * products / min(in_turns(run, repeats)["peak"])


def shape_of(config: Config, name: str) -> tuple[int, int, int, int]:
    """[N, H, W, C] of a step."""
    height, width, channels = cnnjax.create(name).image
    if config.image_size is not None:
        height = width = config.image_size
    return config.batch_size or (256 if height > 64 else 1024), height, width, channels


def examples(shape: tuple[int, ...], batches: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images and labels, `batches` times as many as a step takes."""
    rng, count = np.random.default_rng(0), batches * shape[0]
    images = rng.integers(0, 256, (count, *shape[1:]), np.uint8)
    return images, rng.integers(0, CLASSES, count, np.int32)


def new_state(network: Network, shape: tuple[int, ...], seed: int) -> TrainState:
    """A state to begin with; the weights are the same for each seed."""
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    return create_state(some_variables(network, shape), optimizer, jax.random.key(seed))


def cnnjax_program(
    network: Network, shape: tuple[int, ...], steps: int, augmentation: object
) -> Program:
    """So many training steps in one call."""
    images, labels = map(jnp.asarray, examples(shape))
    indices = jnp.asarray(batch_indices(len(labels), shape[0], 0, 0, steps))
    data = images, labels, indices, jnp.int32(steps), {}
    state = [new_state(network, shape, seed=1)]
    settings = {"network": network, "task": classification, "augment": augmentation}
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)

    def run() -> None:
        state[0], _ = train_steps(state[0], *data, optimizer=optimizer, **settings)
        jax.block_until_ready(state)

    return run


def torch_program(name: str, shape: tuple[int, ...], config: Config) -> Program | None:
    """PyTorch's steps on the same kind of device; None where it has none."""
    if not find_spec("torch"):
        return None
    from torch_zoo import ZOO, compiled_steps

    if name not in ZOO:
        return None
    images, labels = examples(shape)
    device = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    rates, sizes = (LEARNING_RATE, MOMENTUM), (config.steps, shape[0])
    return compiled_steps(name, images, labels, CLASSES, *rates, *sizes, device, config.dtype)


def measure_network(config: Config, name: str, reached: float) -> list[dict[str, object]]:
    """A row for each of: plain, augmented, PyTorch."""
    shape = shape_of(config, name)
    network = cnnjax.create(name, num_classes=CLASSES, dtype=DTYPES[config.dtype])
    operations = 3 * 2 * ledger(network, shape[1:]).total("multiply_adds")
    programs = {
        "cnnjax": cnnjax_program(network, shape, config.steps, None),
        "cnnjax, flip and shift": cnnjax_program(network, shape, config.steps, RECIPE),
    }
    if theirs := torch_program(name, shape, config):
        programs["PyTorch, compiled"] = theirs
    rows = []
    for what, seconds in in_turns(programs, config.repeats).items():
        rates = [config.steps * shape[0] / each for each in seconds]
        low, median, high = statistics.quantiles(rates, n=4, method="inclusive")
        rows.append(
            {
                "network": name,
                "batch": list(shape),
                "what": what,
                "images_a_second": round(median, 1),
                "quartiles": [round(low, 1), round(high, 1)],
                "share_of_peak": round(median * operations / reached, 4),
            }
        )
    return rows


def measure_seeds(config: Config, count: int) -> dict[str, object]:
    """Seconds a step of so many trainings, one after the other and stacked."""
    network = cnnjax.create(STUDY_NETWORK, num_classes=CLASSES)
    shape = (128, *network.image)
    images, labels = map(jnp.asarray, examples(shape, batches=8))
    rows = [batch_indices(len(labels), shape[0], seed, 0, config.steps) for seed in range(count)]
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    settings = {"network": network, "task": classification, "optimizer": optimizer}
    alone = [new_state(network, shape, seed) for seed in range(count)]
    stacked = [stack([new_state(network, shape, seed) for seed in range(count)])]
    indices, steps = jnp.asarray(np.stack(rows)), jnp.int32(config.steps)

    def one_by_one() -> None:
        for seed in range(count):
            data = images, labels, indices[seed], steps, {}
            alone[seed], _ = train_steps(alone[seed], *data, **settings)
        jax.block_until_ready(alone)

    def at_once() -> None:
        stacked[0], _ = train_stacked(stacked[0], images, labels, indices, **settings)
        jax.block_until_ready(stacked)

    found = in_turns({"one_by_one": one_by_one, "stacked": at_once}, config.repeats)
    medians = {name: statistics.median(each) / config.steps for name, each in found.items()}
    return {
        "seeds": count,
        "milliseconds": {name: round(1e3 * value, 3) for name, value in medians.items()},
        "times_faster": round(medians["one_by_one"] / medians["stacked"], 2),
    }


def measured(config: Config) -> dict[str, object]:
    """The report."""
    report = surroundings(os.getloadavg()[0])
    report["device"] = jax.devices()[0].device_kind
    report |= {name: getattr(config, name) for name in ("dtype", "steps", "repeats", "peak_size")}
    report["study_network"] = STUDY_NETWORK
    report["peak"] = reached = peak(config.peak_size, config.dtype, config.repeats)
    report["networks"] = [
        row for name in config.networks for row in measure_network(config, name, reached)
    ]
    report["seeds"] = [measure_seeds(config, count) for count in config.seeds]
    return report


def check(config: Config) -> None:
    """Raises CnnjaxError where the command line asks for what cannot be measured."""
    one, two = at_least(1), at_least(2)
    check_numbers(config, batch_size=one, image_size=one, steps=one, repeats=two)
    check_numbers(config, peak_size=Allowed("at least 16", lambda n: n >= 16), seeds=one)
    if config.dtype not in DTYPES:
        raise CnnjaxError(f"--dtype is {config.dtype}; give {' or '.join(DTYPES)}")
    for name in config.networks:
        check_takes(cnnjax.create(name, num_classes=CLASSES), shape_of(config, name)[1:])


def run(config: Config) -> None:
    """Measure or read, then report."""
    check(config)
    if config.only_report:
        if config.out is None:
            raise CnnjaxError("--only-report needs --out FILE.json, a file that was written before")
        report = read_json(config.out)
    else:
        report = measured(config)
        if config.out is not None:
            write_json(config.out, report)
    print(section(report))
    if config.markdown is not None:
        name = "accelerator" if config.out is None else config.out.stem
        write_section(config.markdown, name, section(report))


if __name__ == "__main__":
    main(Config, run, __doc__)
