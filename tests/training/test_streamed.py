"""Trainings on streamed data: they take the course of those in memory, and resume exactly."""

import json
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.data import stream
from cnnjax.training import (
    classification,
    create_state,
    evaluate,
    fit,
    momentum_sgd,
    totals,
    trained_variables,
)
from cnnjax.training.feeds import Streamed
from cnnjax.transfer import initialise

NET = cnnjax.create("mlp", hidden=(8,), num_classes=3, dropout=0.3)
OPTIMIZER = momentum_sgd(0.05, 40, weight_decay=1e-3, warmup=4)


def turned(key, images):
    """Each image as it is or upside down."""
    turn = jax.random.bernoulli(key, 0.5, images.shape[:1])
    return jnp.where(turn[:, None, None, None], images[:, ::-1], images)


SETTINGS = {
    "augment": turned,
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
def folder(tmp_path_factory):
    """70 grey pictures of 4 x 4, of which 49 are to be trained on."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.RandomState(0)
    for number in range(70):
        label = number % 3
        pixels = random.randint(0, 90, (4, 4))
        pixels[label, label] += 160
        (root / str(label)).mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(root / str(label) / f"{number:02}.png")
    return root


@pytest.fixture
def broken(folder, tmp_path):
    """The same with three spoilt pictures."""
    root = tmp_path / "broken"
    for file in folder.rglob("*.png"):
        target = root / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    data = stream(f"folder:{root}").train
    for place in (2, 20, 40):
        with open(data.source[int(data.places[place])].name, "wb") as file:
            file.write(b"no picture")
    return root


def start():
    return create_state(initialise(NET, (4, 4, 1), 0), OPTIMIZER, jax.random.key(5))


def resident(data):
    images = np.stack([data.read(index) for index in range(len(data))])
    return jnp.asarray(images), jnp.asarray(data.labels)


class InterruptionError(Exception):
    pass


def interrupt_at(step):
    def watch(taken):
        if taken >= step:
            raise InterruptionError

    return watch


def test_a_streamed_training_takes_the_course_of_one_in_memory(folder):
    data = stream(f"folder:{folder}")
    state, lines = fit(start(), data.train, validation=data.validation, **SETTINGS)
    expected, kept = fit(
        start(), resident(data.train), validation=resident(data.validation), **SETTINGS
    )
    chex.assert_trees_all_close(state.params, expected.params, rtol=1e-5, atol=1e-6)
    assert [line.pop("corrupt_images") for line in lines] == [0] * 8
    assert [line.pop("validation_corrupt_images", None) for line in lines] == [None, 0] * 4
    assert [line.keys() for line in lines] == [line.keys() for line in kept]
    for one, other in zip(lines, kept, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_what_comes_out_does_not_depend_on_how_many_steps_are_one_call(folder):
    step = {name: SETTINGS[name] for name in ("network", "task", "optimizer", "augment")}
    found = []
    for counts in ([23], [1] * 23, [8, 8, 7], [3, 11, 9]):
        feed = Streamed(stream(f"folder:{folder}").train, 8, 3, 23, None)
        state, taken, losses = start(), 0, []
        for count in counts:
            state, log = feed.take_steps(state, taken, count, {}, **step)
            taken += count
            losses += log["loss"].tolist()
            assert feed.position["grain"] == {"next_index": 8 * taken}
        feed.close()
        found.append((losses, state))
    assert len(found[0][0]) == 23
    for losses, state in found[1:]:
        assert losses == found[0][0]
        chex.assert_trees_all_equal(trained_variables(state), trained_variables(found[0][1]))


def test_the_batches_of_a_call_take_up_no_more_than_so_much(folder):
    data = stream(f"folder:{folder}", image_size=64).train
    sizes = {}
    for batch_size in (8, 4096, 10_000):
        feed = Streamed(data, batch_size, 3, 1, None)
        sizes[batch_size] = feed._group
        feed.close()
    assert sizes == {8: 8, 4096: 4, 10_000: 1}  # 64 MiB of 4 KiB each


@pytest.mark.parametrize("step", [10, 23])
def test_a_resumed_training_is_the_one_that_was_not_interrupted(broken, tmp_path, step):
    settings = SETTINGS | {"checkpoint_seconds": 0}
    said = []
    data = stream(f"folder:{broken}")
    whole, lines = fit(
        start(), data.train, validation=data.validation, report=said.append, **settings
    )
    assert lines[-1]["corrupt_images"] == 3
    assert len(said) == len(set(said)) == 3
    assert all("(another image stands in for it)" in sentence for sentence in said)

    again = settings | {"directory": tmp_path / "out"}
    data = stream(f"folder:{broken}")
    with pytest.raises(InterruptionError):
        fit(start(), data.train, validation=data.validation, on_steps=interrupt_at(step), **again)
    beside = json.loads((tmp_path / "out" / "checkpoint" / "beside.json").read_text())
    assert beside["grain"] == {"next_index": 8 * (step - 1 - (step - 1) % 5)}
    data = stream(f"folder:{broken}", workers=3)
    resumed, same = fit(start(), data.train, validation=data.validation, **again)
    chex.assert_trees_all_equal(trained_variables(whole), trained_variables(resumed))
    chex.assert_trees_all_equal(whole.opt_state, resumed.opt_state)
    assert same == lines


def test_a_checkpoint_that_is_none_of_this_stream_is_not_resumed(folder, tmp_path):
    data, said = stream(f"folder:{folder}").train, []
    settings = SETTINGS | {"checkpoint_seconds": 0, "directory": tmp_path}
    with pytest.raises(InterruptionError):
        fit(start(), resident(data), on_steps=interrupt_at(20), **settings)
    state, _ = fit(start(), data, report=said.append, **settings)
    assert len(said) == 1
    assert "holds no position in this stream" in said[0]
    whole, _ = fit(start(), data, **SETTINGS)
    chex.assert_trees_all_equal(state.params, whole.params)


def test_an_evaluation_of_a_stream_counts_what_one_in_memory_counts(folder):
    data, variables = stream(f"folder:{folder}").train, initialise(NET, (4, 4, 1), 0)
    expected = evaluate(NET, classification, variables, resident(data), batch_size=49)
    for batch_size in (7, 32):
        found = evaluate(NET, classification, variables, data, batch_size=batch_size)
        assert found == pytest.approx(expected, rel=1e-5)


def test_an_evaluation_leaves_out_what_cannot_be_read(broken):
    data, variables = stream(f"folder:{broken}").train, initialise(NET, (4, 4, 1), 0)
    found = totals(NET, classification, variables, data)
    assert found["count"] == len(data) - 3
    assert len(data.reading.corrupt) == 3


def test_strictly_read_a_corrupt_image_ends_the_training_and_its_threads(broken, tmp_path):
    before = set(threading.enumerate())
    data = stream(f"folder:{broken}", strict=True).train
    with pytest.raises(CnnjaxError, match="is not a whole picture") as caught:
        fit(start(), data, directory=tmp_path / "out", **SETTINGS)
    assert "\n" not in str(caught.value)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive(), thread.name


def test_how_fast_reader_and_steps_are_is_told(folder):
    data = stream(f"folder:{folder}").train
    assert data.reading.rates() == {}
    fit(start(), data, **SETTINGS)
    rates = data.reading.rates()
    assert rates["both"] <= rates["step"]
    assert rates["reader"] > 0
    assert data.reading.used == 8 * 39  # the first call compiles
    assert data.reading.images == 8 * 38  # and reads the second batch
