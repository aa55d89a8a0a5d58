"""Train a network on a data set, and keep what came out.

    python scripts/train.py --network lenet5 --dataset digits --image-size 28 --epochs 30 \\
        --learning-rate 0.05 --out runs/lenet5
    python scripts/train.py --network alexnet_small --dataset glyphs/latin --epochs 20 \\
        --optimizer adam --learning-rate 1e-3 --augment shift:0.1 rotate:10 --out runs/latin

In --out: metrics.jsonl (a line every few steps), checkpoint (while it trains), weights, and
result.json and confusion.csv with what the test images say, once, at the end. Stopped or killed,
the same command goes on where it was. Afterwards `python scripts/diagnose.py OUT` reads the curve.
"""

import csv
import io
import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from rich.console import Console
from train_arguments import check_augmentation, read_arguments, read_augmentation
from training_bar import TrainingBar

import cnnjax
from cnnjax import command
from cnnjax.command import unset
from cnnjax.data import Dataset, Splits, load, stratified_split
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network, check_takes
from cnnjax.studies.folders import claim_folder, write_text
from cnnjax.training import (
    Variables,
    chain,
    checkpoints,
    classification,
    create_optimizer,
    create_schedule,
    create_state,
    duration,
    fit,
    metrics,
    schedules,
    totals,
    trained_variables,
    weight_decay,
)
from cnnjax.training.fit import CHECKPOINT
from cnnjax.transfer import initialise


@dataclass(frozen=True)
class Config:
    dataset: str = "glyphs"
    """glyphs, glyphs/latin, digits, npz:PATH, folder:PATH, mnist, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "as they are")] = None
    """Bring the images to this side."""
    images_per_class: Annotated[int | None, unset("INT", "all")] = None
    """Train on so many images of each class only, drawn at random."""
    network: str = "alexnet_small"
    """A registered network, see scripts/ledger.py --list."""
    arguments: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The network's own, e.g. dropout=0.5 width=24."""
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
    weight_decay: float = 5e-4
    """Of kernels only: L2, apart from the gradient for adamw."""
    augment: Annotated[tuple[str, ...], unset("NAME[:NUMBER,...] ...", "none")] = ()
    """In this order, e.g. flip shift:0.1 rotate:15; see scripts/augment_gallery.py."""
    evaluations: int = 20
    """How often the validation images are looked at."""
    seed: int = 0
    """Of the weights, the order of the examples, dropout and augmentation."""
    out: Path = Path("runs/train")
    """Where everything goes."""


RESULT = "result.json"


def run(config: Config) -> None:
    """Trains what is not trained yet, then measures."""
    console = Console()
    if config.evaluations < 1:
        raise CnnjaxError(f"--evaluations is {config.evaluations}; give at least 1")
    data = with_validation(load(config.dataset, image_size=config.image_size))
    train = data.train
    if config.images_per_class is not None:
        train = train.per_class(config.images_per_class, config.seed)
    network = cnnjax.create(
        config.network, num_classes=train.num_classes, **read_arguments(config.arguments)
    )
    check_takes(network, train.images.shape[1:])
    epochs = 10.0 if config.steps is None and config.epochs is None else config.epochs
    steps = duration(len(train), config.batch_size, steps=config.steps, epochs=epochs)
    optimizer = make_optimizer(config, steps)
    augment = read_augmentation(config.augment)
    check_augmentation(augment, train.images.shape[1:])
    recipe = {name: value for name, value in asdict(config).items() if name != "out"}
    fingerprints = [train.fingerprint(), data.validation.fingerprint(), data.test.fingerprint()]
    claim_folder(config.out, "train", recipe | {"data": fingerprints})
    if (config.out / RESULT).exists():
        console.print(f"this training is finished: {config.out / RESULT}", highlight=False)
        return

    state = create_state(
        initialise(network, train.images.shape[1:], config.seed),
        optimizer,
        jax.random.key(config.seed),
    )
    began = time.monotonic()
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
            on_steps=bar.show,
            report=lambda message: console.print(f"note: {message}", markup=False),
        )
    variables = trained_variables(state)
    checkpoints.save(config.out / "weights", variables)
    found = measure(network, variables, data.test, config.out)
    result = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "training_images": len(train),
        "steps": steps,
        "seconds": round(time.monotonic() - began, 1),
        "validation": {k: v for k, v in lines[-1].items() if k.startswith("validation_")},
        "test_images": len(data.test),
        "test": found,
    }
    write_text(config.out / RESULT, json.dumps(result, indent=1) + "\n")
    shutil.rmtree(config.out / CHECKPOINT, ignore_errors=True)  # the weights stand for it
    for name, value in found.items():
        console.print(f"test {name.replace('_', ' ')}: {value:.4f}", highlight=False)
    console.print(f"{config.out / RESULT}", highlight=False, soft_wrap=True)


def with_validation(data: Splits) -> Splits:
    """The data with validation images: a tenth of the training images where there are none."""
    if data.validation is not None:
        return data
    train, validation = stratified_split(data.train, (0.9, 0.1), seed=0)
    return Splits(train, validation, data.test)


def on_device(dataset: Dataset) -> tuple[jax.Array, jax.Array]:
    """Images and labels."""
    return jnp.asarray(dataset.images), jnp.asarray(dataset.labels)


def make_optimizer(config: Config, steps: int) -> optax.GradientTransformation:
    """The optimizer with its schedule and weight decay."""
    rate, settings = learning_rate(config, steps), read_arguments(config.settings)
    if config.optimizer == "adamw":
        decay = {"weight_decay": config.weight_decay}
        return create_optimizer("adamw", rate, **(decay | settings))
    link = weight_decay(config.weight_decay)
    return chain(link, create_optimizer(config.optimizer, rate, **settings))


def learning_rate(config: Config, steps: int) -> optax.Schedule:
    """The schedule, with the warm-up in front of it, over `steps` in all."""
    if not 0 <= config.warmup < 1:
        raise CnnjaxError(f"--warmup is {config.warmup}; give a part of the training, e.g. 0.05")
    rising = round(config.warmup * steps)
    rest = steps - rising
    own = {
        "cosine": {"steps": rest},
        "one_cycle": {"steps": rest},
        "step": {"every": rest // 3 + 1},
    }
    following = create_schedule(
        config.schedule, config.learning_rate, **own.get(config.schedule, {})
    )
    return schedules.warmup(following, rising)


def measure(network: Network, variables: Variables, test: Dataset, out: Path) -> dict[str, float]:
    """What the test images say; the confusion matrix goes to confusion.csv."""
    task = classification.with_metrics(metrics.class_scores, metrics.confusion)
    few = max(1, 2**26 // test.num_classes**2)  # a matrix of every example is made on the way
    found = totals(network, task, variables, on_device(test), batch_size=min(256, few))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["predicted \\ actual", *test.classes])
    writer.writerows(
        [name, *row] for name, row in zip(test.classes, found["confusion"].tolist(), strict=True)
    )
    write_text(out / "confusion.csv", text.getvalue())
    return task.report(found)


if __name__ == "__main__":
    command.main(Config, run, __doc__)
