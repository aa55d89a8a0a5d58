"""Say what is in pictures, with the weights of a network.

    python scripts/predict.py cat.jpg dog.png --network mobilenet_v2 --weights FILE.npz
    python scripts/predict.py photos --network resnet50 --weights torchvision --json
    python scripts/predict.py photos --network mobilenet_v2 --weights FILE.npz --labels labels.csv

A picture is made as the weights expect it: its shorter side scaled, the middle square cut out. With
--labels, how many are right, with the interval of 95 % (Wilson).
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from train_arguments import read_arguments

from cnnjax import pretrained
from cnnjax.command import main, unset
from cnnjax.data.folders import SUFFIXES
from cnnjax.errors import CnnjaxError
from cnnjax.pretrained import Pretrained
from cnnjax.training import scale_pixels

BATCH = 32


@dataclass(frozen=True)
class Config:
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Picture files, or folders of them."""
    network: str
    """The network, see scripts/ledger.py --list."""
    weights: str
    """A file (.safetensors, .npz, .h5, .pth ...), or torchvision, timm, keras: what they publish is
    downloaded once."""
    arguments: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The network's own, e.g. alpha=0.5."""
    source: Annotated[str | None, unset("NAME", "found out")] = None
    """Whose names a file follows, e.g. timm, where several give the same and prepare pictures
    differently: torchvision's are tried before timm's."""
    sha256: Annotated[str | None, unset("DIGITS", "as published")] = None
    """What the weights' file must have."""
    top: int = 5
    """How many classes to name."""
    labels: Annotated[Path | None, unset("CSV", "none")] = None
    """The true classes of the pictures: columns file and class_index."""
    json: bool = False
    """Print JSON instead of a table."""


def run(config: Config) -> None:
    """Predicts and prints."""
    paths = picture_files(config.images)
    truths = None if config.labels is None else read_labels(config.labels, paths)
    if config.top < 1:
        raise CnnjaxError(f"--top is {config.top}; give at least 1")
    arguments = read_arguments(config.arguments)
    loaded = pretrained.load(
        config.network, config.weights, source=config.source, sha256=config.sha256, **arguments
    )
    classes = loaded.passport.classes
    if not loaded.network.num_classes:
        raise CnnjaxError(f"{config.weights} has no head, so that it names no classes; give one")
    if truths is not None and max(truths) >= len(classes):
        raise CnnjaxError(
            f"{config.labels} has the class {max(truths)}, and the weights know 0 to "
            f"{len(classes) - 1}; mend the file"
        )
    p = probabilities(loaded, paths)
    order = np.argsort(-p, axis=1, kind="stable")[:, : config.top]
    found = [
        {
            "image": str(path),
            "classes": [
                {"index": int(i), "name": classes[i], "probability": float(row[i])} for i in best
            ],
        }
        for path, row, best in zip(paths, p, order, strict=True)
    ]
    scores = None if truths is None else score(p, np.array(truths))
    if config.json:
        print(json.dumps({"predictions": found} | (scores or {}), indent=1))
    elif scores is None:
        _console().print(as_table(found))
    else:
        for name, value in scores.items():
            low, high = value["interval"]
            print(
                f"{name:<6} {100 * value['share']:.1f} %  ({value['right']} of {value['of']}, "
                f"95 %: {100 * low:.1f} to {100 * high:.1f})"
            )


def picture_files(given: tuple[Path, ...]) -> list[Path]:
    """The files, and those in the folders, sorted.

    Raises:
      CnnjaxError: none at all, or one that is not there.
    """
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES]
            if not inside:
                raise CnnjaxError(
                    f"{str(path)!r} holds no picture; expected files "
                    f"{' '.join('*' + suffix for suffix in SUFFIXES)}"
                )
            paths += inside
        elif path.is_file():
            paths.append(path)
        else:
            raise CnnjaxError(f"there is no picture {str(path)!r}; check the path")
    if not paths:
        raise CnnjaxError("no picture is named; name files or folders")
    return paths


def read_labels(path: Path, pictures: list[Path]) -> list[int]:
    """The class of each picture, by the name of its file.

    Raises:
      CnnjaxError: a file that cannot be read, lacks a column or a picture, or has a class that is
        no whole number from 0.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        known = {row["file"]: int(row["class_index"]) for row in rows}
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CnnjaxError(
            f"cannot read the labels in {str(path)!r} ({type(error).__name__}: {error}); expected "
            "CSV with the columns file and class_index, a whole number"
        ) from None
    missing = [picture.name for picture in pictures if known.get(picture.name, -1) < 0]
    if missing:
        raise CnnjaxError(
            f"{str(path)!r} has no class for {len(missing)} of {len(pictures)} pictures, such as "
            f"{missing[0]!r}; add them, or name other pictures"
        )
    return [known[picture.name] for picture in pictures]


def probabilities(loaded: Pretrained, paths: list[Path]) -> np.ndarray:
    """float32 `[N, num_classes]`."""

    @jax.jit
    def predict(variables: dict, images: jax.Array) -> jax.Array:
        return jax.nn.softmax(loaded.network.apply(variables, scale_pixels(images)))

    size, found = min(BATCH, len(paths)), []
    for first in range(0, len(paths), size):
        images = loaded.preprocessing.pictures(paths[first : first + size])
        # The last batch is filled up, so that one program is compiled for all.
        filled = np.resize(images, (size, *images.shape[1:]))
        found.append(np.asarray(predict(loaded.variables, jnp.asarray(filled)))[: len(images)])
    return np.concatenate(found)


def score(p: np.ndarray, truths: np.ndarray) -> dict[str, dict]:
    """Top-1 and, where there are more than 5 classes, top-5 accuracy."""
    from scipy.stats import binomtest

    # A class is ahead of the true one if its number is higher, or the same and it comes first.
    order = np.argsort(-p, axis=1, kind="stable")
    rank = (order == truths[:, None]).argmax(1)
    found = {}
    for k in (1, 5):
        if k < p.shape[1]:
            right = int((rank < k).sum())
            interval = binomtest(right, len(p)).proportion_ci(method="wilson")
            found[f"top{k}"] = {
                "share": right / len(p),
                "right": right,
                "of": len(p),
                "interval": [float(interval.low), float(interval.high)],
            }
    return found


def as_table(found: list[dict]) -> Table:
    """A row for each class of each picture."""
    table = Table("picture", "class", "probability")
    for prediction in found:
        for rank, row in enumerate(prediction["classes"]):
            picture = "" if rank else prediction["image"]
            table.add_row(picture, row["name"], f"{100 * row['probability']:.1f} %")
    return table


def _console() -> Console:
    # A file or a pipe has no width to fit: every row stays on one line.
    return Console() if sys.stdout.isatty() else Console(width=220)


if __name__ == "__main__":
    main(Config, run, __doc__)
