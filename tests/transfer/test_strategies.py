"""The lectures' cases: what is trained, what stays, and whose numbers come out."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data.augment import flip
from cnnjax.models import Network
from cnnjax.training import renew_statistics
from cnnjax.transfer import (
    FeatureStore,
    Recipe,
    fine_tune,
    from_scratch,
    initialise,
    new_head,
    phases,
    predict_as_is,
    prefix_features,
    probe,
)

RECIPE = Recipe(steps=6, batch_size=8, learning_rate=0.05, warmup=0.0)


@pytest.fixture(scope="module")
def tune(network, pretrained, sets):
    def run(recipe=RECIPE, last=2, **settings):
        return fine_tune(network, pretrained, *sets, last=last, recipe=recipe, seed=5, **settings)

    return run


@pytest.fixture(scope="module")
def tuned(tune):
    return tune()


def test_stages_in_front_of_the_last_k_are_bitwise_what_they_were(tuned, pretrained):
    for collection in ("params", "batch_stats"):
        chex.assert_trees_all_equal(
            tuned.variables[collection]["fc1"], pretrained[collection]["fc1"]
        )


def test_the_last_k_stages_have_learnt(tuned, network, pretrained, sets):
    _, start = new_head(network, pretrained, 3, seed=5, image_shape=sets[0].images.shape[1:])
    for stage in ("fc2", "fc3"):
        after, before = (jax.tree.leaves(v["params"][stage]) for v in (tuned.variables, start))
        assert all(not np.array_equal(a, b) for a, b in zip(after, before, strict=True)), stage


def test_predictions_and_metrics_are_those_of_the_network_that_comes_out(tuned, sets):
    test = sets[1]
    images = jnp.asarray(test.images, jnp.float32) / 127.5 - 1
    logits = tuned.network.apply(tuned.variables, images)
    np.testing.assert_array_equal(tuned.predictions, logits.argmax(axis=1))
    assert tuned.test["accuracy"] == pytest.approx((tuned.predictions == test.labels).mean())
    log_p = np.asarray(jax.nn.log_softmax(logits))
    assert tuned.test["loss"] == pytest.approx(-log_p[range(24), test.labels].mean(), rel=1e-5)


def test_trained_stages_keep_their_running_statistics(tuned, pretrained):
    chex.assert_trees_all_equal(tuned.variables["batch_stats"], pretrained["batch_stats"])


def test_fine_tuning_everything_moves_every_stage_and_if_asked_to_its_statistics(tune, pretrained):
    after = tune(Recipe(**vars(RECIPE) | {"batch_norm": "batch"}), last=None).variables
    for stage in ("fc1", "fc2"):
        for collection in ("params", "batch_stats"):
            moved, before = (jax.tree.leaves(v[collection][stage]) for v in (after, pretrained))
            assert all(not np.array_equal(a, b) for a, b in zip(moved, before, strict=True))


def test_pretrained_stages_learn_at_their_share_of_the_heads_rate(network, pretrained):
    recipe = Recipe(
        steps=4, learning_rate=0.5, optimizer="sgd", weight_decay=0.0, warmup=0.0, stage_factor=0.5
    )
    factors = recipe.factors(network.stages, trained=3)
    optimizer = recipe.optimizer_for(4, factors)
    params = pretrained["params"]
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    rates = {stage: -float(jax.tree.leaves(updates[stage])[0].ravel()[0]) for stage in params}
    assert rates == pytest.approx({"fc1": 0.025, "fc2": 0.05, "fc3": 0.5})


def test_a_shared_store_changes_no_number(tune, tuned):
    store = FeatureStore()
    for _ in range(2):
        again = tune(store=store)
        chex.assert_trees_all_equal(again.variables, tuned.variables)


def test_augmentation_runs_the_frozen_stages_in_every_step(tune, tuned, pretrained, monkeypatch):
    monkeypatch.setattr(FeatureStore, "features", None)
    recipe = Recipe(**vars(RECIPE) | {"augment": flip()})
    augmented = tune(recipe, store=FeatureStore())
    chex.assert_trees_all_equal(augmented.variables["params"]["fc1"], pretrained["params"]["fc1"])
    assert augmented.lines != tuned.lines


def test_staged_thawing_trains_more_stages_in_each_phase(tune, pretrained, tmp_path):
    recipe = Recipe(**vars(RECIPE) | {"thaw": (1,)})
    steps = []
    result = tune(recipe, last=2, directory=tmp_path, on_steps=steps.append)
    assert [line["step"] for line in result.lines] == [3, 6]
    assert steps == sorted(steps)
    assert steps[-1] == 6
    first = cnnjax.training.checkpoints.restore(tmp_path / "phase1" / "variables", result.variables)
    chex.assert_trees_all_equal(first["params"]["fc2"], pretrained["params"]["fc2"])
    assert not np.array_equal(
        result.variables["params"]["fc2"]["dense"]["kernel"],
        pretrained["params"]["fc2"]["dense"]["kernel"],
    )


def test_a_training_that_was_interrupted_ends_with_the_same_bits(tune, tmp_path):
    def stop(step):
        if step >= 4:  # in the second phase
            raise KeyboardInterrupt

    recipe = Recipe(**vars(RECIPE) | {"thaw": (1,)})
    whole = tune(recipe)
    with pytest.raises(KeyboardInterrupt):
        tune(recipe, directory=tmp_path, on_steps=stop)
    resumed = tune(recipe, directory=tmp_path)
    chex.assert_trees_all_equal(resumed.variables, whole.variables)
    assert resumed.lines == whole.lines


@pytest.mark.parametrize("last", [0, 4])
def test_only_as_many_stages_as_there_are_can_be_trained(tune, last):
    with pytest.raises(CnnjaxError, match="give 1 to 3"):
        tune(last=last)


@pytest.fixture
def begun(monkeypatch):
    """How a training would begin: (network, variables, ..., phases)."""
    calls = []

    def train(*args, **settings):
        calls.append(args)
        raise CnnjaxError("enough")

    monkeypatch.setattr("cnnjax.transfer.strategies.train_in_phases", train)
    return calls


def test_from_scratch_all_stages_are_fresh_and_learn_at_the_full_rate(network, sets, begun):
    with pytest.raises(CnnjaxError, match="enough"):
        from_scratch(network, *sets, recipe=RECIPE, seed=5)
    ((scratch, variables, *_, phases),) = begun
    fresh = initialise(network.clone(num_classes=3), sets[0].images.shape[1:], seed=5)
    chex.assert_trees_all_equal(variables, fresh)
    assert scratch.num_classes == 3
    assert phases == [(3, 6, {})]


def test_a_warm_start_begins_with_the_probes_head(tune, network, pretrained, sets, begun):
    found = probe(network, pretrained, *sets, stage="fc2")
    with pytest.raises(CnnjaxError, match="enough"):
        tune(head=found.head)
    ((tuned_network, variables, *_),) = begun
    images = jnp.asarray(sets[1].images, jnp.float32) / 127.5 - 1
    logits = tuned_network.apply(variables, images)
    np.testing.assert_array_equal(logits.argmax(axis=1), found.predictions)


def test_fresh_stages_cannot_be_thawed(network, sets):
    with pytest.raises(CnnjaxError, match="from scratch"):
        from_scratch(network, *sets, recipe=Recipe(steps=2, thaw=(1,)), seed=0)


def test_as_it_is_a_class_has_the_sum_of_its_outputs_probabilities(network, pretrained, sets):
    test = sets[1]
    answers = {"a": [3], "b": (0, 4), "c": range(1, 2)}
    result = predict_as_is(network, pretrained, test, answers=answers)
    images = jnp.asarray(test.images, jnp.float32) / 127.5 - 1
    p = np.asarray(jax.nn.softmax(network.apply(pretrained, images)), np.float64)
    p = np.stack([p[:, 3], p[:, 0] + p[:, 4], p[:, 1]], axis=1)
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(result.predictions, p.argmax(axis=1))
    expected = -np.log(p[range(24), test.labels]).mean()
    assert result.test["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (None, "5 outputs cannot predict 3"),
        ({"a": [0], "b": [1]}, "'c'"),
        ({"a": [0], "b": [1], "c": [1]}, "each output once"),
        ({"a": [0], "b": [1], "c": []}, "at least one output"),
        ({"a": [0], "b": [1], "c": [5]}, "output 5"),
    ],
)
def test_answers_that_leave_it_open_are_an_error(network, pretrained, sets, answers, message):
    with pytest.raises(CnnjaxError, match=message):
        predict_as_is(network, pretrained, sets[1], answers=answers)


def test_training_and_test_images_are_of_the_same_classes(network, pretrained, sets, two_classes):
    with pytest.raises(CnnjaxError, match="3 classes"):
        fine_tune(network, pretrained, sets[0], two_classes[1], last=1, recipe=RECIPE, seed=0)


class Normalised(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(self.features)(x.reshape(x.shape[0], -1))
        return nn.BatchNorm(use_running_average=not train, momentum=0.999)(x)


class TwoStages(Network):
    def layers(self):
        return {"lower": Normalised(5), "fc": Normalised(self.num_classes)}


def test_from_scratch_a_short_training_is_measured_with_statistics_of_its_images(sets, monkeypatch):
    network, judged = TwoStages(num_classes=5), []
    judge = phases.judge
    monkeypatch.setattr(phases, "judge", lambda *a, **k: judged.append(a) or judge(*a, **k))
    found = from_scratch(network, *sets, recipe=RECIPE, seed=5)
    fresh = renew_statistics(
        found.network, found.variables, sets[0].images, batch_size=RECIPE.batch_size, seed=5
    )
    chex.assert_trees_all_equal(found.variables, fresh)
    logits = prefix_features(found.network, found.variables, sets[1].images, "fc")
    np.testing.assert_array_equal(found.predictions, logits.argmax(axis=1))
    assert len(judged) == 1
