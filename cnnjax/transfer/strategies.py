"""The lectures' cases of transfer learning, one function each (lecture 3, "Transfer learning").

| case | function |
|---|---|
| 0: predict as is | `predict_as_is` |
| 1: features and a shallow classifier | `probe` |
| 2: fine-tune the last k stages | `fine_tune(last=k)` |
| 3: fine-tune everything | `fine_tune(last=None)` |
| 4: from scratch | `from_scratch` |
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Dataset
from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.training import Variables, renew_statistics
from cnnjax.training.lines import Line
from cnnjax.transfer.audit import FreezeAudit
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.features import prefix_features
from cnnjax.transfer.heads import Head, new_head
from cnnjax.transfer.phases import Phase, Phased, judged, train_in_phases
from cnnjax.transfer.probes import check_classes
from cnnjax.transfer.recipes import Recipe
from cnnjax.transfer.surgery import initialise


class CaseResult(NamedTuple):
    """What a case gives.

    Attributes:
      network: the one that was measured; in cases 2 to 4 with a head for the data set's classes.
      variables: of all its stages.
      test: means over the test images: "loss", "accuracy".
      predictions: the class of each test image, int32 `[N]`.
      lines: of metrics during training.
      audit: what was trained and what was frozen, of the last phase; None for case 0.
      seconds: what it took in all, features and compilation included.
    """

    network: Network
    variables: dict
    test: dict[str, float]
    predictions: np.ndarray
    lines: list[Line]
    audit: FreezeAudit | None
    seconds: float


def predict_as_is(
    network: Network,
    variables: Variables,
    test: Dataset,
    *,
    answers: Mapping[str, Sequence[int]] | None = None,
) -> CaseResult:
    """Case 0: "use the pre-trained CNN to predict the new dataset" (lecture 3, case 0).

    Args:
      network: the pretrained composition with its head.
      variables: of all stages.
      test: images and labels.
      answers: {class of the data set: the network's outputs that mean it}, e.g. {"cat": range(281,
        286), "dog": range(151, 269)} of ImageNet's; a class has the sum of their probabilities,
        and outputs that mean none of the classes are left out. By default output i means class i.

    Raises:
      CnnjaxError: the network has another number of outputs than the data set has classes and
        `answers` is not given, or it leaves out a class or names an output that does not exist.
    """
    began = time.monotonic()
    if answers is None and network.num_classes != test.num_classes:
        raise CnnjaxError(
            f"a network with {network.num_classes} outputs cannot predict {test.num_classes} "
            "classes as it is; expected one output for each class; say with `answers` which "
            "outputs mean which class, or train a new head"
        )
    if answers is None:
        answers = {name: (i,) for i, name in enumerate(test.classes)}
    _check_answers(answers, test.classes, network.num_classes)
    outputs = prefix_features(network, variables, test.images, network.stages[-1])
    # The logarithm of the sum of a class's probabilities is its logit among these classes.
    parts = [outputs[:, list(answers[name])] for name in test.classes]
    outputs = jnp.stack([jax.nn.logsumexp(part, axis=1) for part in parts], axis=1)
    found = judged(outputs, jnp.asarray(test.labels))
    seconds = time.monotonic() - began
    return CaseResult(network, dict(variables), *found, [], None, seconds)


def fine_tune(
    network: Network,
    variables: Variables,
    train: Dataset,
    test: Dataset,
    *,
    last: int | None,
    recipe: Recipe,
    seed: int,
    evaluations: int = 1,
    head: Head | None = None,
    store: FeatureStore | None = None,
    cache_limit: int = 2 * 2**30,
    directory: Path | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> CaseResult:
    """Cases 2 and 3: a new head, and the last stages, or all, trained on from the pretrained start.

    Frozen stages run in evaluation mode, batch norm included; they are neither differentiated nor
    decayed, have no optimizer state, and are checked afterwards to be bitwise what they were.
    Without augmentation their output is computed once for each image.

    Args:
      network: the pretrained composition, with whatever head.
      variables: of all its stages.
      train: images and labels to learn from.
      test: measured after the last step; nothing is chosen by it.
      last: how many stages are trained, counted from the end, the new head included: 1 trains the
        head alone, 2 is the lecture's case 2; None trains all, case 3.
      recipe: how.
      seed: of a fresh head, of the order of the images, of augmentation and dropout.
      evaluations: how often to measure on `test` for the lines of each phase, at even distances.
      head: the start of the new head, e.g. `probe(...).head`; fresh by default.
      store: keeps the features of frozen stages for other trainings.
      cache_limit: bytes of features above which frozen stages run in every step instead.
      directory: for metrics and checkpoints; a training that finds its own there goes on from it,
        and ends with the same numbers.
      on_steps: called with the number of steps taken so far.
      report: called with a sentence about anything unusual.

    Raises:
      CnnjaxError: a recipe, `last`, head or data that cannot be; DivergedError if it diverges.
    """
    began = time.monotonic()
    check_classes(train, test)
    shape = train.images.shape[1:]
    network, variables = new_head(
        network, variables, train.num_classes, seed, head=head, image_shape=shape
    )
    last = len(network.stages) if last is None else last
    if not 1 <= last <= len(network.stages):
        raise CnnjaxError(
            f"the last {last} stages cannot be trained: {type(network).__name__} has "
            f"{len(network.stages)}, the new head included; give 1 to {len(network.stages)}"
        )
    phases = [
        Phase(count, steps, recipe.factors(network.stages, count))
        for count, steps in recipe.phases(last, len(train))
    ]
    found = train_in_phases(
        network,
        variables,
        train,
        test,
        phases,
        recipe=recipe,
        seed=seed,
        evaluations=evaluations,
        directory=directory,
        on_steps=on_steps,
        report=report,
        store=store,
        cache_limit=cache_limit,
    )
    return _result(network, found, began)


def from_scratch(
    network: Network,
    train: Dataset,
    test: Dataset,
    *,
    recipe: Recipe,
    seed: int,
    evaluations: int = 1,
    directory: Path | None = None,
    on_steps: Callable[[int], None] = lambda step: None,
    report: Callable[[str], None] = lambda message: None,
) -> CaseResult:
    """Case 4: "dump everything and retrain from scratch" (lecture 3, case 4).

    The same network with fresh weights, and a head for the data set's classes. All stages learn at
    `recipe.learning_rate`; a recipe with `thaw` is an error. Arguments are those of `fine_tune`.
    Of a network with batch norm the running statistics are taken anew before it is measured, see
    `cnnjax.training.renew_statistics`; measurements along the way have them as they then were.
    """
    began = time.monotonic()
    check_classes(train, test)
    if recipe.thaw:
        raise CnnjaxError(
            f"thaw={recipe.thaw} has no meaning from scratch: fresh stages cannot stay frozen; "
            "leave it out"
        )
    network = network.clone(num_classes=train.num_classes)
    variables = initialise(network, train.images.shape[1:], seed)
    stages = len(network.stages)

    def renewed(trained: Variables) -> dict:
        return renew_statistics(
            network, trained, train.images, batch_size=recipe.batch_size, seed=seed
        )

    found = train_in_phases(
        network,
        variables,
        train,
        test,
        [Phase(stages, steps, {}) for _, steps in recipe.phases(stages, len(train))],
        recipe=recipe,
        seed=seed,
        evaluations=evaluations,
        directory=directory,
        on_steps=on_steps,
        report=report,
        finish=renewed if "batch_stats" in variables else None,
    )
    return _result(network, found, began)


def _result(network: Network, found: Phased, began: float) -> CaseResult:
    seconds = time.monotonic() - began
    return CaseResult(network, found.variables, *found.judged, found.lines, found.audit, seconds)


def _check_answers(
    answers: Mapping[str, Sequence[int]], classes: Sequence[str], outputs: int
) -> None:
    if set(answers) != set(classes):
        odd = sorted(set(answers) ^ set(classes))[0]
        raise CnnjaxError(
            f"`answers` and the data set differ in class {odd!r}; expected outputs for each of "
            f"{', '.join(classes)} and no other"
        )
    chosen = [int(output) for name in classes for output in answers[name]]
    if not all(len(answers[name]) for name in classes) or len(set(chosen)) != len(chosen):
        raise CnnjaxError(
            "`answers` gives a class no output, or an output to two classes; expected at least "
            "one output for each class, and each output once"
        )
    if beyond := [output for output in chosen if not 0 <= output < outputs]:
        raise CnnjaxError(
            f"`answers` names output {beyond[0]}, but the network has {outputs}, counted from 0; "
            "mend the number"
        )
