"""Case 1 of lecture 3: features of a pretrained network and a shallow classifier on them."""

import time
from typing import Literal, NamedTuple

import numpy as np

from cnnjax.data import Dataset
from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.features import body, head_inputs, pooled_features
from cnnjax.transfer.heads import Head, fold_standardisation

Classifier = Literal["logistic", "svm", "knn"]

CLASSIFIERS: tuple[Classifier, ...] = ("logistic", "svm", "knn")

STRENGTHS = {"logistic": 100.0, "svm": 1000.0}
"""Of the L2 penalty s |w|² / 2 next to the sum of the losses over the images, for standardised
features. Ten times less or more changes the accuracy by at most 1.6 points, with 200 and with 2,000
photographs of cats and dogs, at an early, a middle and the last stage of MobileNetV2."""

NEIGHBOURS = 5


class Probe(NamedTuple):
    """What a shallow classifier on the features of one stage gives.

    Attributes:
      stage: the stage whose output it takes.
      classifier: "logistic", "svm" or "knn".
      accuracy: on the test images, in [0, 1].
      predictions: the class of each test image, int32 `[N]`.
      head: the classifier as weights of the network's last stage, the start of `fine_tune(head=)`;
        None for k-NN, and for stages that the head does not take its input from.
      linear: the classifier on the features of any stage: logits = features kernel + bias; None for
        k-NN.
      features: how many numbers the classifier got of each image.
      seconds: what it took in all.
      feature_seconds: the part of it for computing, or reading, the features.
    """

    stage: str
    classifier: str
    accuracy: float
    predictions: np.ndarray
    head: Head | None
    linear: Head | None
    features: int
    seconds: float
    feature_seconds: float


def probe(
    network: Network,
    variables: Variables,
    train: Dataset,
    test: Dataset,
    *,
    stage: str,
    classifier: Classifier = "logistic",
    seed: int = 0,
    store: FeatureStore | None = None,
) -> Probe:
    """Case 1: "take bottleneck features and use it on a shallow ML classifier" (lecture 3).

    The features are those of `pooled_features`, standardised by mean and deviation of the training
    images: z = (x - mean) / deviation.

    Args:
      network: the pretrained composition, with whatever head; it is not used.
      variables: of the stages up to `stage` at least.
      train: images and labels to learn from.
      test: images and labels to measure on.
      stage: whose output is taken, an early one or the last but the head.
      classifier: multinomial logistic regression and a linear support vector machine (one class
        against the rest, squared hinge loss), both with an L2 penalty (`STRENGTHS`), or the
        `NEIGHBOURS` nearest neighbours.
      seed: of the classifier's own randomness.
      store: where features are kept for other probes; images that it knows are not computed again,
        in whatever `Dataset` they come.

    Raises:
      CnnjaxError: an unknown stage or classifier, the head as stage, a class without a training
        image, a single class, or train and test with different classes.
    """
    check_classes(train, test)
    if classifier not in CLASSIFIERS:
        hint = did_you_mean(classifier, CLASSIFIERS)
        raise CnnjaxError(
            f"there is no classifier {classifier!r}; there are {', '.join(CLASSIFIERS)}{hint}"
        )
    if stage not in body(network).stages:
        raise CnnjaxError(
            f"a classifier cannot take the output of {stage!r}; expected a stage in front of the "
            f"head; choose one of {', '.join(body(network).stages)}"
        )
    began = time.monotonic()
    pooled = pooled_features if store is None else store.pooled
    x, x_test = (
        np.asarray(pooled(network, variables, part.images, [stage])[stage], np.float64)
        for part in (train, test)
    )
    feature_seconds = time.monotonic() - began
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation < 1e-6 * max(deviation.max(), 1e-30)] = 1.0  # a constant tells nothing
    fitted = _fit((x - mean) / deviation, train.labels, classifier, seed)
    predictions = fitted.predict((x_test - mean) / deviation).astype(np.int32)
    linear = head = None
    if classifier != "knn":
        linear = fold_standardisation(fitted.coef_, fitted.intercept_, mean, deviation)
        last = stage == body(network).stages[-1]
        if last and len(linear.kernel) == head_inputs(network, train.images.shape[1:]):
            head = linear
    return Probe(
        stage=stage,
        classifier=classifier,
        accuracy=float((predictions == test.labels).mean()),
        predictions=predictions,
        head=head,
        linear=linear,
        features=x.shape[1],
        seconds=time.monotonic() - began,
        feature_seconds=feature_seconds,
    )


def check_classes(train: Dataset, test: Dataset) -> None:
    """Makes sure that a classifier can be learnt from one and measured on the other.

    Raises:
      CnnjaxError: different classes or image sizes, fewer than two classes, or one without a
        training image.
    """
    if train.classes != test.classes or train.images.shape[1:] != test.images.shape[1:]:
        raise CnnjaxError(
            f"training images {list(train.images.shape[1:])} of {train.num_classes} classes and "
            f"test images {list(test.images.shape[1:])} of {test.num_classes}; expected the same "
            "size and the same classes in the same order; make both of one data set"
        )
    counts = np.bincount(train.labels, minlength=train.num_classes)
    if train.num_classes < 2 or counts.min() == 0:
        empty = [name for name, count in zip(train.classes, counts, strict=True) if count == 0]
        found = f"none of {empty[0]!r}" if empty else f"all of {train.classes[0]!r}"
        raise CnnjaxError(
            f"the training images are {found}; expected at least two classes, and an image of "
            "each; choose more images, or leave the class out"
        )


def _fit(x: np.ndarray, labels: np.ndarray, classifier: Classifier, seed: int) -> object:
    # Imported here: `import cnnjax` does not wait for scikit-learn.
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    match classifier:
        case "logistic":
            model = LogisticRegression(C=1 / STRENGTHS["logistic"], max_iter=1000)
        case "svm":
            penalty = 1 / STRENGTHS["svm"]
            model = LinearSVC(C=penalty, dual="auto", random_state=seed, max_iter=10_000)
        case "knn":
            model = KNeighborsClassifier(min(NEIGHBOURS, len(x)))
    return model.fit(x, labels)
