"""Train a network on a data set, and keep what came out.

    python scripts/train.py --network lenet5 --dataset digits --image-size 28 --epochs 30 \\
        --learning-rate 0.05 --out runs/lenet5
    python scripts/train.py --network alexnet_small --dataset glyphs/latin --epochs 20 \\
        --optimizer adam --learning-rate 1e-3 --augment shift:0.1 rotate:10 --out runs/latin

In --out: metrics.jsonl (a line every few steps), checkpoint (while it trains), weights,
weights.safetensors (for scripts/predict.py and scripts/advise.py), curve.png, and result.json and
confusion.csv with what the test images say, once, at the end. Stopped or killed, the same command
goes on where it was. Afterwards `python scripts/diagnose.py OUT` reads the curve. Pixels reach the
network as numbers from -1 to 1. docs/recipes.md has commands that end at published accuracies.
"""

import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import jax
from rich.console import Console
from train_arguments import check_augmentation, make_network, read_arguments, read_augmentation
from train_data import on_device, pace, read_data, reading
from train_optimizer import learning_rate, make_optimizer
from train_results import (
    draw_curve,
    is_finished,
    keep_weights,
    measure,
    write_result,
)
from training_bar import TrainingBar

from cnnjax import command
from cnnjax.command import at_least, check_numbers, unset
from cnnjax.studies.folders import claim_folder, sole_process
from cnnjax.studies.machine import machine
from cnnjax.training import (
    checkpoints,
    choose_devices,
    classification,
    create_state,
    duration,
    fit,
    trained_variables,
)
from cnnjax.training.fit import CHECKPOINT
from cnnjax.training.hosts import joined
from cnnjax.training.processes import Processes
from cnnjax.transfer import initialise


@dataclass(frozen=True)
class Config:
    dataset: str = "glyphs"
    """glyphs, glyphs/latin, digits, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    stream: Literal["auto", "yes", "no"] = "auto"
    """Read the images of folder:PATH and tfds:NAME as the training needs them, for data larger than
    the memory; auto: from 4 GB of images on."""
    workers: Annotated[int | None, unset("INT", "one a processor, at most 16")] = None
    """Threads that read and decode streamed images; they change nothing but the speed."""
    strict: bool = False
    """End at a streamed image that cannot be read; otherwise it is named and counted, and another
    stands in for it."""
    images_per_class: Annotated[int | None, unset("INT", "all")] = None
    """Train on so many images of each class only, drawn at random."""
    network: str = "alexnet_small"
    """A registered network, see scripts/ledger.py --list."""
    arguments: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The network's own, e.g. dropout=0.5 width=24."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the computation; parameters, statistics and logits are float32 in any case."""
    remat: bool = False
    """Compute the inside of each stage again in the backward pass: less memory, more time."""
    epochs: Annotated[float | None, unset("FLOAT", "10, unless --steps is given")] = None
    """Length of the training in epochs."""
    steps: Annotated[int | None, unset("INT", "--epochs counts")] = None
    """Length of the training in steps instead."""
    batch_size: int = 64
    """Images a step: 1 is stochastic, all of them batch gradient descent."""
    optimizer: str = "momentum"
    """sgd, momentum, nesterov, adagrad, rmsprop, adam_simplified, adam, adamw, nadam, adamax,
    adadelta, ftrl."""
    settings: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The optimizer's own, e.g. gamma=0.95."""
    learning_rate: float = 0.02
    """The highest."""
    schedule: str = "cosine"
    """constant, step, cosine, one_cycle: over the whole training."""
    warmup: float = 0.05
    """The part of the training over which the rate rises linearly, in front of the schedule."""
    drops: Annotated[tuple[float, ...], unset("FLOAT ...", "thirds of the schedule")] = ()
    """The parts of the training after which the rate of --schedule step falls to a tenth."""
    weight_decay: float = 5e-4
    """Of kernels only: L2, apart from the gradient for adamw."""
    augment: Annotated[tuple[str, ...], unset("NAME[:NUMBER,...] ...", "none")] = ()
    """In this order, e.g. flip shift:0.1 rotate:15; see scripts/augment_gallery.py."""
    evaluations: int = 20
    """How often the validation images are looked at."""
    seed: int = 0
    """Of the weights, the order of the examples, dropout and augmentation."""
    devices: Annotated[int | None, unset("INT", "all that divide the batch evenly")] = None
    """So many devices, of each process, share each step."""
    coordinator: Annotated[str | None, unset("HOST:PORT|auto", "this process is alone")] = None
    """Where process 0 listens, for a training by several processes, each started with this command:
    docs/multi_host.md. With auto, SLURM, Open MPI or Kubernetes say this and the next two."""
    processes: Annotated[int | None, unset("INT", "1, or as the cluster says")] = None
    """How many there are."""
    process: Annotated[int | None, unset("INT", "as the cluster says")] = None
    """Which of them this is, from 0."""
    checkpoint_seconds: float = 10.0
    """Time between two checkpoints, about."""
    keep_checkpoint: bool = False
    """Keep the last checkpoint, the state of the optimizer included, in OUT/checkpoint."""
    out: Path = Path("runs/train")
    """Where everything goes."""


RESULT = "result.json"
NOT_ALIKE = ("out", "coordinator", "processes", "process")
NO_MATTER = (
    *(*NOT_ALIKE, "devices", "checkpoint_seconds", "keep_checkpoint"),
    *("stream", "workers", "strict"),  # streamed data has fingerprints of its own
)
"""Flags that change no number; devices but to rounding. The first may differ between processes."""


def run(config: Config) -> None:
    """Trains what is not trained yet, then measures."""
    check_numbers(config, evaluations=at_least(1), checkpoint_seconds=at_least(0))
    with ExitStack() as held:
        here = joined(config.coordinator, config.processes, config.process)
        _run(config, held.enter_context(here), held)


def _run(config: Config, here: Processes, held: ExitStack) -> None:
    console = Console(quiet=not here.primary)

    def report(message: str) -> None:
        console.print(f"note: {message}", markup=False)

    here.agree({f: value for f, value in asdict(config).items() if f not in NOT_ALIKE})
    devices = choose_devices(config.batch_size, config.devices)
    data = read_data(
        config.dataset,
        config.image_size,
        how=config.stream,
        workers=config.workers,
        strict=config.strict,
        report=report,
    )
    train = data.train
    if config.images_per_class is not None:
        train = train.per_class(config.images_per_class, config.seed)
    image = train.image_shape
    network = make_network(
        config.network,
        config.arguments,
        num_classes=train.num_classes,
        image=image,
        dtype=config.dtype,
        remat=config.remat,
    )
    epochs = 10.0 if config.steps is None and config.epochs is None else config.epochs
    steps = duration(len(train), config.batch_size, steps=config.steps, epochs=epochs)
    rate = learning_rate(config.schedule, config.learning_rate, config.warmup, config.drops, steps)
    optimizer = make_optimizer(
        config.optimizer, rate, config.weight_decay, read_arguments(config.settings)
    )
    augment = read_augmentation(config.augment)
    check_augmentation(augment, image)
    recipe = {name: value for name, value in asdict(config).items() if name not in NO_MATTER}
    fingerprints = [train.fingerprint(), data.validation.fingerprint(), data.test.fingerprint()]
    here.agree({"data": fingerprints})
    if here.primary:
        claim_folder(config.out, "train", recipe | {"data": fingerprints})
        held.enter_context(sole_process(config.out))
    if here.tell(here.primary and is_finished(config.out / RESULT, report)):
        console.print(f"this training is finished: {config.out / RESULT}", highlight=False)
        return

    state = create_state(
        initialise(network, image, config.seed),
        optimizer,
        jax.random.key(config.seed),
    )
    resumed, began = (config.out / CHECKPOINT).exists(), time.monotonic()
    with TrainingBar(console, steps, config.batch_size) as bar:
        state, lines = fit(
            state,
            on_device(train),
            network=network,
            task=classification,
            optimizer=optimizer,
            steps=steps,
            batch_size=config.batch_size,
            seed=config.seed,
            augment=augment,
            validation=on_device(data.validation),
            evaluate_every=max(1, steps // config.evaluations),
            log_every=max(1, steps // (5 * config.evaluations)),
            directory=config.out,
            checkpoint_seconds=config.checkpoint_seconds,
            devices=devices,
            on_steps=lambda step: bar.show(step, pace(train)),
            report=report,
        )
    if not here.primary:
        return
    if config.keep_checkpoint:
        checkpoints.save(config.out / CHECKPOINT, state)
    variables = trained_variables(state)
    checkpoints.save(config.out / "weights", variables)
    keep_weights(network, variables, config.network, config.dataset, test=data.test, out=config.out)
    found = measure(network, variables, data.test, config.out)
    draw_curve(lines, config.network, found, config.out)
    result = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "training_images": len(train),
        "steps": steps,
        "seconds": None if resumed else round(time.monotonic() - began, 1),
        "machine": machine(),
        "validation": {k: v for k, v in lines[-1].items() if k.startswith("validation_")},
        "test_images": len(data.test),
        "test": found,
    } | reading(data._replace(train=train))
    write_result(config.out / RESULT, result)
    if not config.keep_checkpoint:
        shutil.rmtree(config.out / CHECKPOINT, ignore_errors=True)  # the weights stand for it
    for name, value in found.items():
        console.print(f"test {name.replace('_', ' ')}: {value:.4f}", highlight=False)
    console.print(f"{config.out / RESULT}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
