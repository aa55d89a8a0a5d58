"""Measure augmentation: images a second of each, and what it adds to a training step.

Batches of uint8 images in memory. The lecture's recipe (rotation by 15 degrees, shift by 0.1, flip)
is also measured in Keras' ImageDataGenerator where Keras is installed, image after image as it
works, and inside a training step of a small network, which is what it must not hold up. All take
turns, round after round, so that whatever else the machine does meets all alike.

    python scripts/benchmark_augment.py --out docs/benchmarks/augment.json \\
        --markdown docs/benchmarks.md
"""

import dataclasses
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmark_report import read_json, surroundings, where, write_json, write_section

import cnnjax
from cnnjax.command import main
from cnnjax.data import augment as a
from cnnjax.data.augment import Augmentation
from cnnjax.errors import CnnjaxError
from cnnjax.training import classification, create_state, train_step

SHAPES = ((32, 32, 3), (28, 28, 1))
NETWORK, CLASSES = "alexnet_small", 10
RECIPE = a.compose(a.rotate(15), a.shift(0.1), a.flip())
SINGLE = {
    "flip": a.flip(),
    "random crop, 4 pixels padded": None,  # its size is that of the images
    "shift 0.1": a.shift(0.1),
    "rotate 15": a.rotate(15),
    "lens distortion 0.2": a.lens_distortion(0.2),
    "elastic 34, 4": a.elastic(34, 4),
    "brightness 0.3": a.brightness(0.3),
    "contrast 0.3": a.contrast(0.3),
    "saturation 0.3": a.saturation(0.3),
    "hue 0.1": a.hue(0.1),
    "color cast 20": a.color_cast(20),
    "Gaussian noise 10": a.gaussian_noise(10),
    "cutout 8": a.cutout(8),
}
NAMES = {
    "recipe": "rotate 15, shift 0.1, flip",
    "keras": "the same in Keras' ImageDataGenerator",
    "plain": f"training step of {NETWORK}",
    "augmented": f"training step of {NETWORK} with rotate 15, shift 0.1, flip",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure augmentation, alone and in the training step."""

    batch_size: int = 128
    """Images at a time."""
    repeats: int = 20
    """Rounds, after two that are not counted."""
    out: Path | None = None
    """Where to write what was measured, as JSON."""
    markdown: Path | None = None
    """A document whose table of augmentations is written anew from --out."""
    only_report: bool = False
    """Measure nothing: report what --out holds."""


def augmentations(shape: tuple[int, int, int]) -> dict[str, Augmentation]:
    """Those that images of this shape can take."""
    found = SINGLE | {"random crop, 4 pixels padded": a.random_crop(shape[:2], 4)}
    if shape[2] != 3:
        del found["saturation 0.3"], found["hue 0.1"]
    return found | {"recipe": RECIPE}


def keras_recipe(images: np.ndarray) -> Callable[[], object]:
    """The recipe in Keras' generator, whose images are float32."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    options = {"width_shift_range": 0.1, "height_shift_range": 0.1, "horizontal_flip": True}
    generator = ImageDataGenerator(rotation_range=15, **options)
    flow = generator.flow(images.astype(np.float32), batch_size=len(images), shuffle=False)
    return lambda: next(flow)


def training_step(images: jax.Array, augmentation: Augmentation | None) -> Callable[[], object]:
    """A step on these images, augmented in the same program."""
    net = cnnjax.create(NETWORK, num_classes=CLASSES)
    optimizer = optax.sgd(0.01, momentum=0.9)
    labels = jnp.asarray(np.random.default_rng(1).integers(0, CLASSES, len(images), np.int32))
    variables = jax.jit(net.init)(jax.random.key(0), images[:1].astype(jnp.float32))
    step = partial(train_step, network=net, task=classification, optimizer=optimizer)
    step = jax.jit(partial(step, augment=augmentation), donate_argnums=0)
    state = [create_state(variables, optimizer, jax.random.key(1))]

    def run() -> None:
        state[0], metrics = step(state[0], (images, labels))
        jax.block_until_ready(metrics)

    return run


def alone(augmentation: Augmentation, images: jax.Array) -> Callable[[], object]:
    """The augmentation of a batch that lies on the device."""
    key = jax.random.key(2)
    return lambda: jax.block_until_ready(augmentation(key, images))


def measure(config: Config, shape: tuple[int, int, int]) -> list[dict[str, object]]:
    """A row for each augmentation and step on images of one shape."""
    images = np.random.default_rng(0).integers(0, 256, (config.batch_size, *shape), np.uint8)
    on_device = jnp.asarray(images)
    runs = {name: alone(one, on_device) for name, one in augmentations(shape).items()}
    if find_spec("keras"):
        runs["keras"] = keras_recipe(images)
    runs["plain"] = training_step(on_device, None)
    runs["augmented"] = training_step(on_device, RECIPE)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # SciPy's, of a name that Keras uses
        for _ in range(config.repeats + 2):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    plain = seconds["plain"][2:]
    rows = []
    for name, measured in seconds.items():
        own = measured[2:]
        low, median, high = (1e3 * q for q in statistics.quantiles(own, n=4, method="inclusive"))
        ratio = statistics.median(x / y for x, y in zip(own, plain, strict=True))
        rows.append(
            {
                "images": list(shape),
                "what": NAMES.get(name, name),
                "milliseconds": round(median, 3),
                "quartiles": [round(low, 3), round(high, 3)],
                "images_per_second": round(config.batch_size / median * 1e3),
                "of_a_step": round(ratio, 4),
            }
        )
    return rows


def section(report: dict) -> str:
    """The table and its conditions, as Markdown."""
    lines = [
        "| images | what | ms | quartiles | images/s | of a plain step |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in report["augmentations"]:
        low, high = row["quartiles"]
        lines.append(
            f"| {' x '.join(map(str, row['images']))} | {row['what']} | {row['milliseconds']:.2f} "
            f"| {low:.2f} to {high:.2f} | {row['images_per_second']:,} | {row['of_a_step']:.1%} |"
        )
    conditions = (
        f"Milliseconds a batch of {report['batch_size']} uint8 images: medians and quartiles over "
        f"{report['repeats']} rounds in which all take turns in one process; of a plain step: the "
        f"median ratio to the training step without augmentation of the same round. "
        f"{where(report)}"
    )
    return "\n".join(lines) + "\n\n" + conditions


def run(config: Config) -> None:
    """Measure or read, then report."""
    if config.only_report:
        if config.out is None:
            raise CnnjaxError("--only-report needs --out FILE.json, a file that was written before")
        report = read_json(config.out)
    else:
        if config.batch_size < 1 or config.repeats < 2:
            raise CnnjaxError("give --batch-size of at least 1 and --repeats of at least 2")
        report = surroundings(os.getloadavg()[0])
        report |= {"batch_size": config.batch_size, "repeats": config.repeats}
        report["augmentations"] = [row for shape in SHAPES for row in measure(config, shape)]
        if config.out is not None:
            write_json(config.out, report)
    print(section(report))
    if config.markdown is not None:
        write_section(config.markdown, "augment", section(report))


if __name__ == "__main__":
    main(Config, run, __doc__)
