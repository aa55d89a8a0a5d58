"""Probes: scikit-learn's own classifiers on the features, and heads that give the same logits."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cnnjax import CnnjaxError
from cnnjax.data import Dataset
from cnnjax.transfer import FeatureStore, new_head, pooled_features, probe

OWN = {
    "logistic": lambda: LogisticRegression(C=0.01, max_iter=1000),
    "svm": lambda: LinearSVC(C=0.001, random_state=0),
    "knn": lambda: KNeighborsClassifier(5),
}


def by_hand(network, variables, train, test, stage, classifier):
    x, x_test = (
        np.asarray(pooled_features(network, variables, part.images, [stage])[stage], np.float64)
        for part in (train, test)
    )
    return make_pipeline(StandardScaler(), OWN[classifier]()).fit(x, train.labels), x_test


@pytest.mark.parametrize("classifier", OWN)
@pytest.mark.parametrize("stage", ["fc1", "fc2"])
def test_a_probe_is_the_classifier_on_standardised_features(
    network, pretrained, sets, stage, classifier
):
    found = probe(network, pretrained, *sets, stage=stage, classifier=classifier)
    model, x_test = by_hand(network, pretrained, *sets, stage, classifier)
    np.testing.assert_array_equal(found.predictions, model.predict(x_test))
    assert found.accuracy == (found.predictions == sets[1].labels).mean()
    assert found.features == x_test.shape[1]
    assert 0 <= found.feature_seconds <= found.seconds


@pytest.mark.parametrize("classifier", ["logistic", "svm"])
@pytest.mark.parametrize("number", [2, 3])
def test_the_network_with_the_probe_as_head_has_the_probes_logits(
    network, pretrained, sets, two_classes, classifier, number
):
    train, test = sets if number == 3 else two_classes
    found = probe(network, pretrained, train, test, stage="fc2", classifier=classifier)
    new, variables = new_head(
        network, pretrained, number, seed=0, head=found.head, image_shape=test.images.shape[1:]
    )
    logits = np.asarray(new.apply(variables, jnp.asarray(test.images, jnp.float32) / 127.5 - 1))
    model, x_test = by_hand(network, pretrained, train, test, "fc2", classifier)
    decision = model.decision_function(x_test)
    if number == 2:
        logits, decision = logits[:, 1] - logits[:, 0], decision
    np.testing.assert_allclose(logits, decision, atol=1e-4)


def test_only_a_linear_classifier_at_the_last_stage_is_a_head(network, pretrained, sets):
    store = FeatureStore()
    for stage, classifier in (("fc1", "logistic"), ("fc2", "knn")):
        found = probe(network, pretrained, *sets, stage=stage, classifier=classifier, store=store)
        assert found.head is None


def test_a_store_changes_no_prediction(network, pretrained, sets, tmp_path):
    alone = probe(network, pretrained, *sets, stage="fc2")
    for _ in range(2):
        stored = probe(network, pretrained, *sets, stage="fc2", store=FeatureStore(tmp_path))
        np.testing.assert_array_equal(stored.predictions, alone.predictions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage": "fc3"}, "in front of the head"),
        ({"stage": "fc9"}, "in front of the head"),
        ({"stage": "fc2", "classifier": "svc"}, "did you mean 'svm'"),
    ],
)
def test_what_cannot_be_probed_is_an_error(network, pretrained, sets, settings, message):
    with pytest.raises(CnnjaxError, match=message):
        probe(network, pretrained, *sets, **settings)


def test_a_class_without_a_training_image_is_named(network, pretrained, sets):
    train, test = sets
    without = train.take(np.flatnonzero(train.labels != 1))
    with pytest.raises(CnnjaxError, match="none of 'b'"):
        probe(network, pretrained, without, test, stage="fc2")


def test_one_class_is_none_to_tell_apart(network, pretrained, sets):
    one = Dataset(sets[0].images, np.zeros(45, np.int32), ("a",))
    with pytest.raises(CnnjaxError, match="all of 'a'"):
        probe(network, pretrained, one, one, stage="fc2")
