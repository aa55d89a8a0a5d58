"""Forward and training step of any registered network, beside what others make of it.

`stock` is the same network with the operations of lax and flax in place of the layers of cnnjax,
`keras` that of keras.applications on the JAX backend, `torch` that of PyTorch, each where there is
one. All take turns, round after round.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from stock_layers import stock_layers

import cnnjax
from cnnjax.models import Network
from cnnjax.training import TrainState, classification, create_state, train_step

CLASSES, LEARNING_RATE, MOMENTUM = 10, 0.01, 0.9
PAUSE = 0.02  # seconds between two measurements, for the thread pools to fall asleep
MODES = ("forward", "step")
LOOP = "step in a loop"  # several steps in one call, as `fit` takes them


class Program(NamedTuple):
    """What is timed, and what is known of it beforehand."""

    run: Callable[[], object]
    compile_seconds: float | None = None
    temporary_bytes: int | None = None
    steps: int = 1


def batch(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Random images [N, H, W, C] and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal(shape, dtype=np.float32)
    return images, rng.integers(0, CLASSES, shape[0], dtype=np.int32)


def some_variables(network: Network, shape: tuple[int, ...]) -> dict:
    """Variables whose activations neither vanish nor overflow. NumPy draws them: compiling the
    network's own initialisation takes as long as compiling its step."""
    rng = np.random.default_rng(0)
    images = jax.ShapeDtypeStruct((1, *shape[1:]), jnp.float32)

    def fill(path: tuple, a: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key == "kernel":
            values = rng.normal(0.0, np.sqrt(2.0 / np.prod(a.shape[:-1])), a.shape)
        else:
            values = np.full(a.shape, path[-1].key in ("scale", "var"))
        return jnp.asarray(values, a.dtype)

    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    return jax.tree_util.tree_map_with_path(fill, shapes)


def compiled(
    function: Callable, carried: object, *arguments: object, carries: bool, steps: int = 1
) -> Program:
    """A program that passes `carried` on from call to call, if it returns it first."""
    start = time.perf_counter()
    donated = (0,) if carries else ()
    program = jax.jit(function, donate_argnums=donated).lower(carried, *arguments).compile()
    seconds, kept = time.perf_counter() - start, [carried]

    def run() -> None:
        results = program(kept[0], *arguments)
        if carries:
            kept[0], results = results
        jax.block_until_ready(results)

    return Program(run, seconds, program.memory_analysis().temp_size_in_bytes, steps)


def cnnjax_programs(
    name: str, shape: tuple[int, ...], scan_steps: int, stock: bool
) -> dict[str, Program]:
    """The programs of a registered network, by mode."""
    network, (images, labels) = cnnjax.create(name, num_classes=CLASSES), batch(shape)
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    variables = some_variables(network, shape)
    state = create_state(some_variables(network, shape), optimizer, jax.random.key(1))
    settings = {"network": network, "task": classification, "optimizer": optimizer}

    def step(state: TrainState, images: jax.Array, labels: jax.Array) -> tuple:
        return train_step(state, (images, labels), **settings)

    def loop(state: TrainState, images: jax.Array, labels: jax.Array) -> tuple:
        return jax.lax.scan(lambda s, _: step(s, images, labels), state, None, scan_steps)

    images, labels = jnp.asarray(images), jnp.asarray(labels)
    with stock_layers() if stock else nullcontext():
        programs = {
            "forward": compiled(network.apply, variables, images, carries=False),
            "step": compiled(step, state, images, labels, carries=True),
        }
        if not stock:  # whose convolutions are many times slower inside loops
            state = create_state(some_variables(network, shape), optimizer, jax.random.key(1))
            data = state, images, labels
            programs[LOOP] = compiled(loop, *data, carries=True, steps=scan_steps)
    return programs


def keras_programs(name: str, shape: tuple[int, ...]) -> dict[str, Program]:
    """Those of the network of keras.applications, in Keras' stateless form."""
    from keras_networks import keras_functions

    images, labels = batch(shape)
    optimizer = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    forward, step, variables, carried = keras_functions(name, shape[1:], CLASSES, optimizer)
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    return {
        "forward": compiled(forward, variables, images, carries=False),
        "step": compiled(step, carried, images, labels, carries=True),
    }


def torch_programs(name: str, shape: tuple[int, ...]) -> dict[str, Program]:
    """Those of the network of `torch_zoo`."""
    from torch_zoo import torch_functions

    functions = torch_functions(name, *batch(shape), CLASSES, LEARNING_RATE, MOMENTUM)
    return {mode: Program(run) for mode, run in zip(MODES, functions, strict=True)}


def implementations(
    name: str, scan_steps: int
) -> dict[str, Callable[[str, tuple[int, ...]], dict[str, Program]]]:
    """Who has a network of this name here."""
    makers = {
        "cnnjax": partial(cnnjax_programs, scan_steps=scan_steps, stock=False),
        "stock": partial(cnnjax_programs, scan_steps=scan_steps, stock=True),
    }
    if find_spec("keras"):
        from keras_networks import APPLICATIONS

        if name in APPLICATIONS:
            makers["keras"] = keras_programs
    if find_spec("torch"):
        from torch_zoo import ZOO

        if name in ZOO:
            makers["torch"] = torch_programs
    return makers


def measure(
    name: str, batch_size: int, image_size: int | None, repeats: int, scan_steps: int
) -> list[dict[str, object]]:
    """One row for each implementation and mode of a network."""
    height, width, channels = cnnjax.create(name).image
    if image_size is not None:
        height = width = image_size
    shape = (batch_size, height, width, channels)
    programs = {
        (implementation, mode): program
        for implementation, make in implementations(name, scan_steps).items()
        for mode, program in make(name, shape).items()
    }
    seconds: dict[tuple[str, str], list[float]] = {kind: [] for kind in programs}
    for _ in range(repeats + 1):
        for kind, program in programs.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            program.run()
            seconds[kind].append((time.perf_counter() - start) / program.steps)
    rows = []
    for (implementation, mode), program in programs.items():
        own = seconds[implementation, mode][1:]
        ours = seconds["cnnjax", "step" if mode == LOOP else mode][1:]
        low, median, high = statistics.quantiles(own, n=4, method="inclusive")
        ratio = statistics.median(a / b for a, b in zip(own, ours, strict=True))
        seconds_to_compile, temporary = program.compile_seconds, program.temporary_bytes
        rows.append(
            {
                "network": name,
                "image": [height, width, channels],
                "implementation": implementation,
                "mode": mode,
                "milliseconds": round(1e3 * median, 2),
                "quartiles": [round(1e3 * low, 2), round(1e3 * high, 2)],
                "times_cnnjax": round(ratio, 3),
                "images_a_second": round(batch_size / median, 1),
                "compile_seconds": seconds_to_compile and round(seconds_to_compile, 1),
                "temporary_mib": temporary and round(temporary / 2**20, 1),
            }
        )
    return rows
