"""Trains one of the options on all images but the test images, and keeps it."""

import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from cnnjax import pretrained
from cnnjax.advisor.options import Option
from cnnjax.advisor.protocol import Protocol
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.pretrained import Passport, Preprocessing
from cnnjax.studies.budget import show_duration
from cnnjax.studies.folders import claim_folder, write_text, write_whole
from cnnjax.studies.machine import machine
from cnnjax.transfer import new_head

MODEL, PROBE, RESULT = "weights.safetensors", "probe.safetensors", "result.json"


def train_option(protocol: Protocol, option: Option, out: Path, console: Console) -> None:
    """Trains an option as it was measured, measures it once on the test images, and keeps it.

    What is kept is a whole network, for `cnnjax.pretrained.load` and scripts/predict.py; or for a
    classifier on an earlier stage, its weights: logits = features kernel + bias, on the features
    that `cnnjax.transfer.pooled_features` gives of that stage.

    Args:
      protocol: of the measurement.
      option: to train.
      out: where; the same command goes on there.
      console: where to write.

    Raises:
      CnnjaxError: the place cannot be written, or the training diverges.
    """
    claim_folder(out, "advise-model", protocol.config | {"option": option.name})
    result = out / RESULT
    if result.exists():
        console.print(f"this training is finished: {result}", highlight=False, soft_wrap=True)
        return
    began = time.monotonic()
    if option.stage is not None:
        accuracy, kept = _probe(protocol, option.stage, out)
    else:
        accuracy, kept = _tune(protocol, option, out, console)
    content = {
        "option": option.name,
        "what": option.label,
        "network": protocol.terms.network,
        "weights": protocol.source,
        "classes": list(protocol.pool.classes),
        "training_images": len(protocol.pool),
        "test_images": len(protocol.test),
        "test_accuracy": round(accuracy, 6),
        "kept": kept,
        "seconds": round(time.monotonic() - began, 1),
        "machine": machine(),
    }
    write_text(result, json.dumps(content, indent=1) + "\n")
    console.print(
        f"{option.label}: {100 * accuracy:.1f} % of {len(protocol.test):,} test images, after "
        f"{show_duration(time.monotonic() - began)}",
        highlight=False,
    )
    for path in (out / kept, result):
        console.print(str(path), highlight=False, soft_wrap=True)


def _tune(protocol: Protocol, option: Option, out: Path, console: Console) -> tuple[float, str]:
    found, accuracy, _ = protocol.train(
        option,
        protocol.pool,
        protocol.test,
        out,
        report=lambda message: console.print(f"note: {message}", markup=False),
    )
    _save(protocol, found.network, found.variables, out)
    return accuracy, MODEL


def _probe(protocol: Protocol, stage: str, out: Path) -> tuple[float, str]:
    found = protocol.fit_probe(stage, protocol.pool, protocol.test)
    if found.head is not None:
        network, variables = new_head(
            protocol.network,
            protocol.variables,
            protocol.pool.num_classes,
            protocol.terms.seed,
            head=found.head,
            image_shape=protocol.image,
        )
        _save(protocol, network, variables, out)
        return found.accuracy, MODEL
    about = {
        "network": protocol.terms.network,
        "weights": protocol.source,
        "stage": stage,
        "image": json.dumps(protocol.image),
        "classes": json.dumps(protocol.pool.classes),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in found.linear._asdict().items()}
    from safetensors.numpy import save_file

    write_whole(out / PROBE, lambda path: save_file(arrays, path, metadata=about))
    return found.accuracy, PROBE


def _save(protocol: Protocol, network: Network, variables: dict, out: Path) -> None:
    height, width, _ = protocol.image
    preprocessing = Preprocessing(
        min(height, width), min(height, width), "bilinear", network.pixels
    )
    passport = Passport(
        protocol.terms.network,
        "cnnjax",
        f"{protocol.data_name}, from {protocol.source}",
        protocol.passport.licence,
        None,
        None,
        "",
        "",
        preprocessing,
        protocol.pool.classes,
    )
    try:
        pretrained.save(out / MODEL, network, variables, passport, image_shape=protocol.image)
    except UnicodeEncodeError:
        raise CnnjaxError(
            "the names of the classes are no Unicode, so that they cannot be kept; rename the "
            "class folders"
        ) from None
