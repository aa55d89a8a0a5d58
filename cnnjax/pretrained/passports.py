"""Where weights come from, what they expect and what they reach.

`passports.csv` has a line for each file of weights that is published for a network here: of
torchvision 0.28 (`torchvision.models.*_Weights`), of timm 1.0.31 (its default for each network;
accuracies from its results-imagenet.csv, at the size of that table) and of keras.applications
(Keras 3.15; accuracies and licences from its documentation, which names no licence for ResNetV2).
"""

import csv
import functools
from importlib.resources import files
from typing import NamedTuple

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models.pixels import CAFFE, TORCH
from cnnjax.pretrained.preprocessing import Preprocessing

PIXELS = {"tf": None, "torch": TORCH, "caffe": CAFFE}
"""Scales of pixels by the names that Keras has for them; "tf" is [-1, 1]."""


class Passport(NamedTuple):
    """What is known of a file of weights.

    Attributes:
      network: the name in `cnnjax.list_models()`.
      source: "torchvision", "timm", "keras", or "cnnjax" for our own files.
      weights: what the source calls them; "" for a file that is not published in the table.
      licence: of the weights as the source states it; "" where it is not known. Nearly all were
        trained on ImageNet, whose own terms are for research.
      top1: published top-1 accuracy in percent on ImageNet's 50,000 validation images; None where
        there is none.
      top5: likewise.
      url: where it is published.
      digest: what the source publishes to check the file by: "sha256:" and 64 or just the first
        digits, "md5:" and 32 digits, or "" where it publishes none.
      preprocessing: how pictures become images.
      classes: the names of the classes.
      sha256: of the very file that was loaded; None before.
    """

    network: str
    source: str
    weights: str
    licence: str
    top1: float | None
    top5: float | None
    url: str
    digest: str
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    sha256: str | None = None


@functools.cache
def passports() -> tuple[Passport, ...]:
    """All that are published; the first of a network and a source is the default."""
    text = files("cnnjax.pretrained").joinpath("passports.csv").read_text("utf-8")
    return tuple(_passport(row) for row in csv.DictReader(text.splitlines()))


def _passport(row: dict[str, str]) -> Passport:
    preprocessing = Preprocessing(
        int(row["resize"]), int(row["crop"]), row["interpolation"], PIXELS[row["pixels"]]
    )
    return Passport(
        row["network"],
        row["source"],
        row["weights"],
        row["licence"],
        float(row["top1"]) if row["top1"] else None,
        float(row["top5"]) if row["top5"] else None,
        row["url"],
        row["digest"],
        preprocessing,
        imagenet_classes(),
    )


def published(network: str, weights: str) -> Passport:
    """The passport of "torchvision", or of "torchvision/IMAGENET1K_V2".

    Raises:
      CnnjaxError: nothing of that name; the message lists what there is.
    """
    known = {f"{p.source}/{p.weights}": p for p in passports() if p.network == network}
    for name, passport in known.items():
        if weights in (name, passport.source):
            return passport
    if not known:
        raise CnnjaxError(
            f"no weights are published for {network!r}; networks with some are "
            f"{', '.join(sorted({p.network for p in passports()}))}; give the path of a file"
        )
    raise CnnjaxError(
        f"there are no weights {weights!r} for {network!r}; expected the path of a file, or one of "
        f"{', '.join(known)} (or the source alone){did_you_mean(weights, known)}"
    )


def default_preprocessing(network: str, source: str) -> Preprocessing | None:
    """That of the source's default weights; None where it publishes none for the network."""
    for passport in passports():
        if (passport.network, passport.source) == (network, source):
            return passport.preprocessing
    return None


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """ImageNet's 1,000 classes in their order (torchvision 0.28, `_IMAGENET_CATEGORIES`).

    >>> imagenet_classes()[:2], imagenet_classes()[-1]
    (('tench', 'goldfish'), 'toilet tissue')
    """
    text = files("cnnjax.pretrained").joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def class_names(number: int) -> tuple[str, ...]:
    """Names for a file that has none of its own: ImageNet's for 1,000 classes, and for 1,001 with
    "background" before them, as some of TensorFlow's have; else the numbers."""
    if number == 1000:
        return imagenet_classes()
    if number == 1001:
        return ("background", *imagenet_classes())
    return tuple(str(i) for i in range(number))
