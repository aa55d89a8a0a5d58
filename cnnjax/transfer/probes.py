"""Case 1 of lecture 3: features of a pretrained network and a shallow classifier on them."""

from typing import Literal, NamedTuple

import numpy as np

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.training import Variables
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.heads import Head

Classifier = Literal["logistic", "svm", "knn"]


class Probe(NamedTuple):
    """What a shallow classifier on the features of one stage gives.

    Attributes:
      stage: the stage whose output it takes.
      classifier: "logistic", "svm" or "knn".
      accuracy: on the test images, in [0, 1].
      predictions: the class of each test image, int32 `[N]`.
      head: the classifier as weights of the network's last stage, the start of `fine_tune(head=)`;
        None for k-NN, and for stages that the head does not take its input from.
      features: how many numbers the classifier got of each image.
      seconds: what it took in all.
      feature_seconds: the part of it for computing, or reading, the features.
    """

    stage: str
    classifier: str
    accuracy: float
    predictions: np.ndarray
    head: Head | None
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

    The features are standardised by mean and deviation of the training images.

    Args:
      network: the pretrained composition, with whatever head; it is not used.
      variables: of the stages up to `stage` at least.
      train: images and labels to learn from.
      test: images and labels to measure on.
      stage: whose output is taken, an early one or the last but the head.
      classifier: multinomial logistic regression, a linear support vector machine (one against the
        rest), or the k nearest neighbours.
      seed: of the classifier's own randomness.
      store: where features are kept for other probes; images that it knows are not computed again,
        in whatever `Dataset` they come.

    Raises:
      CnnjaxError: an unknown stage or classifier, the head as stage, a class without a training
        image, or train and test with different classes.
    """
    raise NotImplementedError
