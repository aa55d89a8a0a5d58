"""What scripts/train.py leaves behind at the end: test figures, confusion matrix, curve picture."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from diagnosis_figure import draw_run, save_png
from train_data import on_device

from cnnjax import pretrained
from cnnjax.data import Dataset, StreamedDataset
from cnnjax.models import Network
from cnnjax.pretrained import Passport, Preprocessing
from cnnjax.studies.figures import data_title
from cnnjax.studies.folders import write_text
from cnnjax.studies.plans import digest
from cnnjax.training import Variables, classification, metrics, totals
from cnnjax.training.lines import Line


def measure(
    network: Network, variables: Variables, test: Dataset | StreamedDataset, out: Path
) -> dict[str, float]:
    """What the test images say; the confusion matrix goes to confusion.csv.

    Raises:
      CnnjaxError: that cannot be written.
    """
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


def keep_weights(
    network: Network,
    variables: Variables,
    name: str,
    dataset: str,
    *,
    test: Dataset | StreamedDataset,
    out: Path,
) -> None:
    """Writes the weights to weights.safetensors, which `cnnjax.pretrained.load` reads.

    Args:
      network: the composition.
      variables: of all its stages.
      name: of the network.
      dataset: the name of what it was trained on.
      test: images as it takes them, and the names of the classes.
      out: the folder.

    Raises:
      CnnjaxError: that cannot be written.
    """
    image = test.image_shape
    side = min(image[:2])
    preprocessing = Preprocessing(side, side, "bilinear", network.pixels)
    passport = Passport(
        network=name,
        source="cnnjax",
        weights=data_title(dataset),
        licence="",
        top1=None,
        top5=None,
        url="",
        digest="",
        preprocessing=preprocessing,
        classes=test.classes,
    )
    path = out / "weights.safetensors"
    pretrained.save(path, network, variables, passport, image_shape=image)


def write_result(path: Path, result: Mapping[str, object]) -> None:
    """Writes result.json, with a digest of all that it says.

    Raises:
      CnnjaxError: that cannot be written.
    """
    text = json.dumps({**result, "digest": digest(result)}, indent=1)
    write_text(path, f"{text}\n")


def is_finished(path: Path, report: Callable[[str], None]) -> bool:
    """Whether there is a result, and whole; one that is damaged is told to `report`."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        written = result.pop("digest", None)
        if result["test"] and written == digest(result):
            return True
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    report(f"{path} is damaged; this training is done again")
    return False


def draw_curve(lines: Sequence[Line], name: str, found: dict[str, float], out: Path) -> None:
    """Draws the curves of training and validation to curve.png.

    Args:
      lines: of metrics.
      name: of the network.
      found: what the test images say.
      out: the folder.

    Raises:
      CnnjaxError: that cannot be written.
    """
    said = f"test accuracy {found['accuracy']:.4f}, loss {found['loss']:.4f}"
    after = f"after {lines[-1]['step']:,} steps"
    save_png(draw_run(lines, name, f"{said} {after}", tail=False), out / "curve.png")
