"""A plan within a budget, under a clock that the tests turn."""

import json
from dataclasses import dataclass, field

import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.studies.budget import Budget, OverBudgetError, Progress, Within, read_duration
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Folder, Outcome


@dataclass
class Bench:
    """Groups of runs that take known times; a run "trains" for 10 steps after compiling."""

    root: object
    seconds: dict = field(default_factory=lambda: {"a": 1.0, "b": 10.0, "c": 100.0})
    rough: dict = field(default_factory=dict)
    compiling: float = 0.0
    reckon: bool = False
    splits: int = 3
    now: float = 0.0
    steps: dict = field(default_factory=dict)
    left_out: list = field(default_factory=list)

    def work(self, budget):
        """What a process does with a budget; returns what it left out."""
        runs = [
            Run(f"{g}-{i}", {"group": g, "i": i}) for g in self.seconds for i in range(self.splits)
        ]
        self.budget = Budget(budget, self.root / "budget.json", lambda: self.now)
        self.root.mkdir(exist_ok=True)

        def perform(run, tools):
            group = run.config["group"]
            watch = self.budget.pace(group, 10)
            self.now += self.compiling
            for step in range(1, 11):
                self.now += self.seconds[group] / 10
                self.steps[run.name] = step
                watch(step)
            return Outcome({"accuracy": 1.0})

        folder = Folder(Plan(runs), self.root, perform)
        finished = folder.finished

        def with_seconds(name):  # the folder's own clock is real
            row = finished(name)
            return row and {**row, "seconds": self.seconds[name[0]]}

        folder.finished = with_seconds
        progress = Progress(leave_out=lambda group, seconds: self.left_out.append(group))
        within = Within(
            folder,
            self.budget,
            lambda run: run.config["group"],
            lambda run: self.rough.get(run.config["group"], 0.0),
            lambda run: self.budget.overhead if self.reckon else 0.0,
            progress,
        )
        return dict(within.execute()), [row["run"] for row in folder.rows()]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "study")


def test_what_fits_is_done_and_nothing_is_left_out(bench):
    left_out, done = bench.work(1000)
    assert left_out == {}
    assert len(done) == 9


def test_a_group_that_would_not_end_is_not_begun(bench):
    bench.rough = {"c": 90.0}
    left_out, done = bench.work(200)
    assert left_out == {"c": 270.0}
    assert done == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
    assert "c-0" not in bench.steps
    assert bench.left_out == ["c"]


def test_a_training_is_given_up_as_soon_as_its_pace_shows_that_its_group_would_not_end(bench):
    left_out, done = bench.work(200)
    assert left_out == {"c": pytest.approx(300.0)}
    assert bench.steps["c-0"] == 2  # of 10: the first is not timed, the second takes over a second
    assert len(done) == 6
    assert bench.now <= 200


def test_compiling_is_not_taken_for_the_pace(bench):
    bench.compiling = 50.0
    _, done = bench.work(33 + 6 * 50 + 500)
    assert len(done) == 9


def test_what_compiling_took_before_is_reckoned_with_before_the_next_group(bench):
    bench.compiling, bench.seconds = 50.0, {"a": 1.0, "c": 100.0}
    bench.reckon = True
    left_out, done = bench.work(3 + 150 + 40)
    assert left_out == {"c": 0.0}
    assert done == ["a-0", "a-1", "a-2"]
    assert "c-0" not in bench.steps


def test_time_spent_counts_when_the_study_goes_on(bench):
    bench.work(200)
    spent = bench.now
    bench.now = 10_000.0  # another process, another clock
    left_out, done = bench.work(200)
    assert bench.budget.spent == pytest.approx(spent)
    assert left_out == {"c": pytest.approx(300.0)}
    assert len(done) == 6
    assert bench.now == 10_000.0  # the estimate is remembered: it is not tried again


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(bench):
    bench.work(200)
    first = dict(bench.steps)
    bench.steps.clear()
    left_out, done = bench.work(600)
    assert left_out == {}
    assert set(bench.steps) == {"c-0", "c-1", "c-2"}
    assert set(first) - set(bench.steps) == {"a-0", "a-1", "a-2", "b-0", "b-1", "b-2"}
    assert len(done) == 9


def test_a_run_whose_needs_were_left_out_is_left_out(tmp_path):
    runs = [Run("x", {}), Run("y", {}, needs=("x",))]
    tmp_path.joinpath("study").mkdir()
    folder = Folder(Plan(runs), tmp_path / "study", lambda run, tools: Outcome({}))
    budget = Budget(10, tmp_path / "study" / "budget.json", lambda: 0.0)
    within = Within(folder, budget, lambda run: run.name, lambda run: 99.0 * (run.name == "x"))
    assert list(within.execute()) == ["x", "y"]


def test_a_damaged_record_is_as_none(tmp_path):
    record = tmp_path / "budget.json"
    for text in ("{", "[]", '{"spent": "x"}', '{"spent": NaN, "estimates": {}}'):
        record.write_text(text)
        assert Budget(10, record, lambda: 0.0).left == 10


def test_a_killed_process_has_paid_for_what_it_did_up_to_some_seconds(tmp_path):
    clock = iter([0.0, 1.0, 20.0, 20.0, 20.0]).__next__
    budget = Budget(100, tmp_path / "budget.json", clock)
    budget.tick()
    assert not (tmp_path / "budget.json").exists()
    budget.tick()
    assert json.loads((tmp_path / "budget.json").read_text())["spent"] == 20.0


def test_a_training_within_the_budget_is_left_alone(tmp_path):
    now = [0.0]
    budget = Budget(100, tmp_path / "budget.json", lambda: now[0])
    watch = budget.pace("a", 10)
    for step in range(1, 11):
        now[0] += 5.0
        watch(step)


def test_what_measuring_takes_counts_as_steps(tmp_path):
    now = [0.0]
    budget = Budget(100, tmp_path / "budget.json", lambda: now[0])
    watch = budget.pace("a", 10, extra=15)
    now[0] += 5.0
    watch(1)
    now[0] += 5.0
    with pytest.raises(OverBudgetError):
        watch(2)


@pytest.mark.parametrize("text", ["", "0", "-5m", "10 x", "5m3", "1e9", "nan", "inf", "m"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(CnnjaxError, match="is no length of time; write"):
        read_duration(text)


def test_lengths_of_time_are_read():
    assert [read_duration(t) for t in ("90", "90s", "10m", "1.5h", "1h 30m", "2H")] == [
        *(90, 90, 600, 5400, 5400),
        7200,
    ]
