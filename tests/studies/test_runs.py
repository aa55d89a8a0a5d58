"""What is executed, what is not, and what is left on disk."""

import json

import jax
import numpy as np
import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.studies.plans import Run
from cnnjax.studies.runs import Outcome
from cnnjax.training import checkpoints

VALUES = {"baseA": 2.0, "baseB": 10.0, "A1B": 106.0, "AB": 1036.0, "alone": 5.0}


def files(root) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_every_run_gives_a_row_in_the_order_of_the_plan(toy):
    rows = toy.again()
    assert [row["run"] for row in rows] == list(VALUES)
    assert {row["run"]: row["accuracy"] for row in rows} == VALUES


def test_a_row_has_its_time_and_the_beginning_of_its_identity(toy):
    folder = toy.folder()
    for row in folder.execute():
        assert 0 <= row["seconds"] < 60
        assert row["config_hash"] == folder.plan.identities[row["run"]][:16]


def test_a_finished_run_is_never_performed_again(toy):
    first = toy.folder().execute()
    before = files(toy.root)
    toy.performed.clear()
    assert toy.folder().execute() == first  # their seconds are those of the first time
    assert toy.performed == []
    assert files(toy.root) == before


def test_rows_are_those_of_the_finished_runs_in_the_order_of_the_plan(toy):
    folder = toy.folder()
    assert folder.rows() == []
    folder.execute_one("alone")
    folder.execute_one("baseA")
    assert [row["run"] for row in folder.rows()] == ["baseA", "alone"]


def test_runs_one_by_one_give_what_the_whole_plan_gives(toy, tmp_path):
    whole = toy.again()
    toy.root = tmp_path / "one by one"
    for name in ("alone", "baseB", "baseA", "AB", "A1B"):
        toy.folder().execute_one(name)  # each time as a process of its own would
    assert toy.again() == whole
    assert toy.performed == []


def test_one_run_alone_says_what_to_run_before(toy):
    toy.folder().execute_one("baseB")
    with pytest.raises(CnnjaxError) as error:
        toy.folder().execute_one("AB")
    assert "starts from baseA, not finished" in str(error.value)
    assert "do first: --only baseA" in str(error.value)
    assert toy.performed == ["baseB"]


def test_weights_are_kept_where_other_runs_need_them_and_nowhere_else(toy):
    toy.again()
    kept = {path.parent.name for path in toy.root.glob("runs/*/weights")}
    assert kept == {"baseA", "baseB"}


def test_a_run_starts_from_the_very_weights_of_the_run_it_needs(toy):
    key = jax.random.key(7)
    given = {"params": {"conv1": {"kernel": jax.random.normal(key, (3,))}}}
    received = []

    def perform(run, tools):
        if run.needs:
            received.append(tools.weights("base", given))
        return Outcome({"accuracy": 0.0}, given)

    folder = toy.folder([Run("base", {}), Run("transfer", {}, ("base",))])
    folder.perform = perform
    folder.execute()
    (got,) = received
    kernel = np.asarray(given["params"]["conv1"]["kernel"])
    np.testing.assert_array_equal(np.asarray(got["params"]["conv1"]["kernel"]), kernel)


def test_a_run_may_choose_by_the_rows_of_the_runs_it_needs_which_need_no_weights(toy):
    def perform(run, tools):
        if not run.needs:
            return Outcome({"accuracy": run.config["value"]})
        best = max(run.needs, key=lambda name: tools.rows(name)["accuracy"])
        with pytest.raises(KeyError):
            tools.rows("other")  # what is not declared does not count in the identity
        return Outcome({"accuracy": -1.0, "best": best})

    values = {"low": 1.0, "high": 3.0, "middle": 2.0, "other": 9.0}
    runs = [Run(name, {"value": value}) for name, value in values.items()]
    folder = toy.folder([*runs, Run("final", {}, ("low", "high", "middle"))])
    folder.perform = perform
    assert folder.execute()[-1]["best"] == "high"
    assert list(toy.root.glob("runs/*/weights")) == []
    folder = toy.folder([*runs[:2], Run("final", {}, ("low", "high"))])
    assert folder.finished("final") is None  # chosen among others: another run
    folder.perform = perform
    assert folder.execute_one("final")["best"] == "high"  # by rows that were there already


def test_the_checkpoint_of_a_training_goes_when_its_result_is_there(toy):
    def leave_checkpoint(run, tools):
        checkpoints.save(tools.directory / "checkpoint", {"step": np.zeros(2)})

    toy.before = leave_checkpoint
    toy.again()
    assert toy.performed == list(VALUES)
    assert list(toy.root.glob("runs/*/checkpoint")) == []


def test_a_result_tells_the_configuration_it_belongs_to(toy):
    toy.again()
    stored = json.loads((toy.root / "runs" / "baseA" / "result.json").read_text())
    assert stored["config"] == {"value": 1.0, "slope": 2.0}


def test_another_configuration_clears_what_was_left_and_redoes_only_what_depends_on_it(toy):
    toy.again()
    directory = toy.root / "runs" / "baseA"
    (directory / "metrics.jsonl").write_text("of the old configuration")
    seen = []
    toy.before = lambda run, tools: seen.append(sorted(p.name for p in tools.directory.iterdir()))
    rows = toy.again(toy.runs(slope=3.0))
    assert toy.performed == ["baseA", "A1B", "AB"]
    assert seen[0] == [".lock", "identity"]
    accuracies = {row["run"]: row["accuracy"] for row in rows}
    assert accuracies == VALUES | {"baseA": 3.0, "A1B": 109.0, "AB": 1039.0}


def test_going_back_to_the_first_configuration_gives_the_first_rows(toy):
    first = toy.again()
    toy.again(toy.runs(slope=-1.0))
    assert toy.again() == first


def test_a_larger_plan_in_the_same_folder_performs_only_what_is_new(toy):
    toy.again(toy.runs()[:3])
    rows = toy.again()
    # baseB had no run that needed its weights, so it has none: it is done again for AB.
    assert toy.performed == ["AB", "baseB", "alone"]
    assert {row["run"]: row["accuracy"] for row in rows} == VALUES


def test_a_smaller_plan_gives_only_its_own_rows(toy):
    toy.again()
    rows = toy.again(toy.runs()[:2])
    assert [row["run"] for row in rows] == ["baseA", "baseB"]
    assert toy.performed == []


def test_the_watcher_is_told_each_run_its_steps_and_its_end(toy):
    toy.again()
    begins = [event for event in toy.events if event[0] == "begin"]
    assert begins == [("begin", name, i) for i, name in enumerate(VALUES)]
    expected = ("begin", "steps", "end")
    assert [event[0] for event in toy.events] == [*expected * len(VALUES)]
    assert all(event[2] is False for event in toy.events if event[0] == "end")


def test_the_watcher_is_told_of_finished_runs_too(toy):
    toy.again()
    toy.again()
    assert [event[0] for event in toy.events] == ["begin", "end"] * len(VALUES)
    assert all(event[2] is True for event in toy.events if event[0] == "end")


def test_an_error_names_its_run_and_leaves_no_result(toy):
    def fail(run, tools):
        if run.name == "A1B":
            raise CnnjaxError("the loss is no longer a number; lower the learning rate")

    toy.before = fail
    with pytest.raises(CnnjaxError, match=r"^run A1B: the loss is no longer a number"):
        toy.again()
    assert [row["run"] for row in toy.folder().rows()] == ["baseA", "baseB"]


def test_what_failed_goes_on_from_there(toy, tmp_path):
    whole = toy.again()
    toy.root = tmp_path / "with a break"
    broken = []

    def interrupt(run, tools):
        if run.name == "AB" and not broken:
            broken.append(run.name)
            raise KeyboardInterrupt

    toy.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        toy.again()
    assert toy.again() == whole
    assert toy.performed == ["AB", "alone"]


def test_positions_count_the_runs(toy):
    toy.folder().execute_one("baseA")
    toy.folder().execute_one("A1B")
    assert [event[2] for event in toy.events if event[0] == "begin"] == [0, 2]
