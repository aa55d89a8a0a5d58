"""The loop: lengths, lines, checkpoints, and a resume that changes nothing."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.training import (
    DivergedError,
    classification,
    create_state,
    duration,
    evaluate,
    fit,
    momentum_sgd,
    trained_variables,
)
from cnnjax.transfer import initialise

NET = cnnjax.create("mlp", hidden=(8,), num_classes=3, dropout=0.3)
OPTIMIZER = momentum_sgd(0.05, 40, weight_decay=1e-3, warmup=4)
SETTINGS = {
    "network": NET,
    "task": classification,
    "optimizer": OPTIMIZER,
    "steps": 40,
    "batch_size": 8,
    "seed": 3,
    "log_every": 5,
    "evaluate_every": 10,
}


@pytest.fixture(scope="module")
def data():
    labels = np.arange(50) % 3
    noise = np.random.RandomState(0).randint(0, 90, (50, 4, 4, 1))
    noise[np.arange(50), labels, labels] += 160
    return jnp.asarray(noise.astype(np.uint8)), jnp.asarray(labels.astype(np.int32))


def start():
    return create_state(initialise(NET, (4, 4, 1), 0), OPTIMIZER, jax.random.key(5))


class InterruptionError(Exception):
    pass


def interrupt_at(step):
    def watch(taken):
        if taken >= step:
            raise InterruptionError

    return watch


def test_training_learns_a_task_that_can_be_learnt(data):
    state, _ = fit(start(), data, **SETTINGS)
    assert evaluate(NET, classification, trained_variables(state), data)["accuracy"] > 0.9


def test_a_line_is_the_mean_since_the_line_before(data):
    _, lines = fit(start(), data, **SETTINGS | {"log_every": 1, "evaluate_every": None})
    _, fives = fit(start(), data, **SETTINGS)
    assert [line["step"] for line in fives] == list(range(5, 41, 5))
    for i, line in enumerate(fives):
        mean = np.mean([one["loss"] for one in lines[5 * i : 5 * i + 5]])
        assert line["loss"] == pytest.approx(mean, rel=1e-9)


def test_evaluation_is_in_the_lines_of_its_steps_and_of_the_last(data):
    _, lines = fit(start(), data, validation=data, **SETTINGS | {"steps": 25})
    with_evaluation = [line["step"] for line in lines if "validation_accuracy" in line]
    assert with_evaluation == [10, 20, 25]


def test_the_same_seed_gives_the_same_bits(data):
    first, second = (fit(start(), data, **SETTINGS) for _ in range(2))
    chex.assert_trees_all_equal(first[0].params, second[0].params)
    assert first[1] == second[1]


def norms(variables):
    return {"norm": jnp.linalg.norm(variables["params"]["fc1"]["kernel"])}


@pytest.mark.parametrize("validated", [True, False])
def test_what_is_measured_along_the_way_is_in_the_lines_of_the_evaluations(data, validated):
    validation = data if validated else None
    state, lines = fit(start(), data, validation=validation, measure=norms, **SETTINGS)
    measured = {line["step"]: line["norm"] for line in lines if "norm" in line}
    assert list(measured) == [10, 20, 30, 40]
    assert len(set(measured.values())) == 4
    assert measured[40] == float(norms(trained_variables(state))["norm"])
    assert {step for step, line in enumerate(lines) if "validation_loss" in line} == (
        {1, 3, 5, 7} if validated else set()
    )


@pytest.mark.parametrize("step", [9, 23, 39])
def test_a_resumed_training_has_all_that_was_measured(data, tmp_path, step):
    _, lines = fit(start(), data, measure=norms, **SETTINGS)
    again = {"directory": tmp_path, "checkpoint_seconds": 0, "measure": norms} | SETTINGS
    with pytest.raises(InterruptionError):
        fit(start(), data, on_steps=interrupt_at(step), **again)
    assert fit(start(), data, **again)[1] == lines


def test_a_measure_cannot_take_the_place_of_a_metric(data):
    with pytest.raises(CnnjaxError, match="`measure` gives 'loss', which the line of metrics has"):
        fit(start(), data, measure=lambda _: {"loss": 0.0}, **SETTINGS)


def test_another_seed_gives_another_order(data):
    first, _ = fit(start(), data, **SETTINGS)
    second, _ = fit(start(), data, **SETTINGS | {"seed": 4})
    assert not jnp.array_equal(first.params["fc1"]["kernel"], second.params["fc1"]["kernel"])


@pytest.mark.parametrize("step", [1, 9, 10, 23, 39])
def test_a_resumed_training_ends_with_the_same_bits_and_the_same_lines(data, tmp_path, step):
    whole, lines = fit(start(), data, validation=data, directory=tmp_path / "a", **SETTINGS)
    again = {"validation": data, "directory": tmp_path / "b", "checkpoint_seconds": 0} | SETTINGS
    with pytest.raises(InterruptionError):
        fit(start(), data, on_steps=interrupt_at(step), **again)
    resumed, resumed_lines = fit(start(), data, **again)
    chex.assert_trees_all_equal(resumed.params, whole.params)
    chex.assert_trees_all_equal(resumed.opt_state, whole.opt_state)
    assert resumed_lines == lines
    written = [(tmp_path / name / "metrics.jsonl").read_text() for name in "ab"]
    assert written[0] == written[1]
    assert [json.loads(line) for line in written[0].splitlines()] == lines


def test_a_resumed_training_does_not_begin_again(data, tmp_path):
    again = {"directory": tmp_path, "checkpoint_seconds": 0} | SETTINGS
    with pytest.raises(InterruptionError):
        fit(start(), data, on_steps=interrupt_at(30), **again)
    taken = []
    fit(start(), data, on_steps=taken.append, **again)
    assert taken[0] > 20


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest"])
def test_a_damaged_checkpoint_is_named_and_the_training_done_again(data, tmp_path, damage):
    again = {"directory": tmp_path, "checkpoint_seconds": 0} | SETTINGS
    with pytest.raises(InterruptionError):
        fit(start(), data, on_steps=interrupt_at(30), **again)
    files = [p for p in (tmp_path / "checkpoint").rglob("*") if p.is_file()]
    file = max((p for p in files if p.name != "manifest.json"), key=lambda p: p.stat().st_size)
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "remove":
        file.unlink()
    else:
        (tmp_path / "checkpoint" / "manifest.json").write_text("{")
    reports = []
    resumed, _ = fit(start(), data, report=reports.append, **again)
    whole, _ = fit(start(), data, **SETTINGS)
    chex.assert_trees_all_equal(resumed.params, whole.params)
    assert len(reports) == 1
    assert str(tmp_path / "checkpoint") in reports[0]


def test_half_a_line_of_metrics_left_by_a_kill_is_dropped(data, tmp_path):
    again = {"directory": tmp_path, "checkpoint_seconds": 0} | SETTINGS
    with pytest.raises(InterruptionError):
        fit(start(), data, on_steps=interrupt_at(30), **again)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 35, "lo')
    _, lines = fit(start(), data, **again)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == lines


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(data):
    wild = momentum_sgd(1e30, 40)
    state = create_state(initialise(NET, (4, 4, 1), 0), wild, jax.random.key(5))
    with pytest.raises(DivergedError, match=r"step [1-9].*lower the learning rate"):
        fit(state, data, **SETTINGS | {"optimizer": wild})


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_evaluation_counts_every_example_once_whatever_the_batch_size(data, batch_size):
    variables = initialise(NET, (4, 4, 1), 0)
    logits = np.asarray(NET.apply(variables, data[0].astype(jnp.float32) / 127.5 - 1))
    exact = (logits.argmax(1) == np.asarray(data[1])).mean()
    measured = evaluate(NET, classification, variables, data, batch_size=batch_size)
    assert measured["accuracy"] == pytest.approx(exact, abs=1e-7)


def test_a_length_is_given_in_steps_or_epochs():
    assert duration(1000, 100, steps=7) == 7
    assert duration(1000, 100, epochs=2.5) == 25
    assert duration(1001, 100, epochs=1) == 11


@pytest.mark.parametrize("length", [{}, {"steps": 1, "epochs": 1}, {"steps": 0}, {"epochs": -1.0}])
def test_a_length_that_is_none_is_an_error(length):
    with pytest.raises(CnnjaxError):
        duration(1000, 100, **length)


def turned(key, images):
    """Each image as it is or upside down."""
    turn = jax.random.bernoulli(key, 0.5, images.shape[:1])
    return jnp.where(turn[:, None, None, None], images[:, ::-1], images)


def test_a_resumed_training_augments_as_if_it_had_not_stopped(data, tmp_path):
    settings = SETTINGS | {"augment": turned, "checkpoint_seconds": 0}
    whole, lines = fit(start(), data, **settings)
    with pytest.raises(InterruptionError):
        fit(start(), data, **settings, directory=tmp_path, on_steps=interrupt_at(20))
    resumed, again = fit(start(), data, **settings, directory=tmp_path)
    chex.assert_trees_all_equal(trained_variables(whole), trained_variables(resumed))
    assert again == lines
    plain, _ = fit(start(), data, **SETTINGS)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(trained_variables(whole), trained_variables(plain))


def test_features_cannot_be_augmented(data):
    with pytest.raises(CnnjaxError, match="on features, and augmentation takes images"):
        fit(start(), data, **SETTINGS, start="fc2", augment=turned)
