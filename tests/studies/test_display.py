import io
import re

import pytest
from rich.console import Console

from cnnjax.studies import display
from cnnjax.studies.display import StudyProgress, claims_table, table
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.statistics import Claim

PLAN = Plan([Run("baseA", {}, cost=100.0), Run("A1B", {}, cost=300.0), Run("last", {}, cost=100.0)])
STEPS = {"baseA": 10, "A1B": 30, "last": 10}


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


def console(terminal: bool = False, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, _environ={})


def lines(out: Console) -> list[str]:
    return out.file.getvalue().splitlines()


def drawn(out: Console) -> str:
    """What a terminal was sent, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.file.getvalue())


def train(watcher, clock, name: str, compiling: float, seconds: float) -> None:
    """A run of so many seconds: compiling until after its first step, then the rest."""
    run = PLAN.runs[name]
    watcher.begin(run, list(PLAN.runs).index(name))
    clock.passes(compiling)
    watcher.steps(1)
    clock.passes(seconds)
    watcher.steps(STEPS[name])
    watcher.end(run, {"accuracy": 87.654, "seconds": compiling + seconds}, False)


def test_without_a_terminal_each_finished_run_is_a_line_and_nothing_else(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        train(watcher, clock, "baseA", compiling=7.0, seconds=9.0)
    (line,) = lines(out)
    assert line.startswith("[1/3] baseA: 87.7 %, 16.0 s, ")
    assert "\x1b" not in out.file.getvalue()


def test_a_finished_run_is_said_to_be_so(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.begin(PLAN.runs["baseA"], 0)
        watcher.end(PLAN.runs["baseA"], {"accuracy": 50.0, "seconds": 3.0}, True)
    assert lines(out) == ["[1/3] baseA: 50.0 %, already finished"]


def test_what_is_unusual_is_a_note_even_if_it_is_long_or_looks_like_markup(clock):
    out = console(width=40)
    message = f"the checkpoint runs/[bold]{'x' * 60} is damaged (run baseA is done again)"
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.report(message)
    assert lines(out) == [f"note: {message}"]


def test_the_time_left_goes_by_the_multiply_adds_and_leaves_compiling_out(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        # 9 of 10 steps of a run of cost 100 in 9 s: 10 to the second, and 400 are to come.
        train(watcher, clock, "baseA", compiling=100.0, seconds=9.0)
        assert lines(out)[-1].endswith("0:40 left")
        # 29 of 30 steps of cost 300 in 58 s: (90 + 290) in 67 s, and 100 are to come.
        train(watcher, clock, "A1B", compiling=50.0, seconds=58.0)
        assert lines(out)[-1].endswith(f"0:{round(100 * 67 / 380)} left")
        train(watcher, clock, "last", compiling=0.0, seconds=9.0)
        assert lines(out)[-1].endswith("0:00 left")


def test_runs_that_were_finished_before_say_nothing_of_the_speed(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.begin(PLAN.runs["baseA"], 0)
        watcher.end(PLAN.runs["baseA"], {"accuracy": 50.0, "seconds": 3.0}, True)
        train(watcher, clock, "A1B", compiling=1.0, seconds=29.0)  # 290 in 29 s, 100 to come
    assert lines(out)[-1].endswith("0:10 left")


def test_what_was_done_before_an_interruption_says_nothing_of_the_speed(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.begin(PLAN.runs["baseA"], 0)
        watcher.end(PLAN.runs["baseA"], {"accuracy": 50.0, "seconds": 3.0}, True)
        watcher.begin(PLAN.runs["A1B"], 1)
        clock.passes(5)
        watcher.steps(21)  # 20 of them in another process
        clock.passes(9)
        watcher.steps(30)  # 90 in 9 s, 100 to come
        watcher.end(PLAN.runs["A1B"], {"accuracy": 50.0, "seconds": 14.0}, False)
    assert lines(out)[-1].endswith("0:10 left")


def test_long_times_are_minutes_and_seconds(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        train(watcher, clock, "baseA", compiling=0.0, seconds=90.0)
    assert lines(out)[-1].endswith("6:40 left")


def test_one_run_alone_counts_only_its_own_time(clock):
    out = console()
    with StudyProgress(PLAN, out, 16, STEPS, only="A1B") as watcher:
        train(watcher, clock, "A1B", compiling=1.0, seconds=29.0)
    (line,) = lines(out)
    assert line == "[2/3] A1B: 87.7 %, 30.0 s, 0:00 left"


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_run_in_hand_its_speed_and_the_time_left_on_one_line(clock, width):
    out = console(terminal=True, width=width)
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.begin(PLAN.runs["A1B"], 1)
        clock.passes(2)
        watcher.steps(3)
        clock.passes(6)
        watcher.steps(15)
    # 12 steps of 16 images in 6 s; 120 in 6 s, 350 to come
    last = drawn(out).strip().splitlines()[-1]
    assert "[2/3] A1B" in last
    assert "30 %" in last
    assert "step 15/30, 32 images/s, 0:18 left" in last
    assert len(last.rstrip()) <= width


def test_a_run_whose_base_is_done_again_is_shown_again_afterwards(clock):
    out = console(terminal=True)
    with StudyProgress(PLAN, out, 16, STEPS) as watcher:
        watcher.begin(PLAN.runs["A1B"], 1)
        watcher.begin(PLAN.runs["baseA"], 0)
        watcher.steps(10)
        watcher.begin(PLAN.runs["A1B"], 1)
        clock.passes(1)
        watcher.steps(15)
    last = drawn(out).strip().splitlines()[-1]
    assert "[2/3] A1B" in last
    assert "step 15/30" in last


def test_a_table_cuts_nothing_off_at_eighty_columns():
    cells = ["1", *(f"-12.{i} ± 34.{i}" for i in range(5))]
    out = console()
    out.print(table("Change", ("n", "BnB", "BnB+", "AnB", "AnB+", "random"), [cells]))
    text = out.file.getvalue()
    assert all(cell in text for cell in cells)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_absent_value_is_an_empty_cell():
    out = console()
    out.print(table("T", ("a", "b"), [(None, 1)]))
    assert "None" not in out.file.getvalue()


def test_claims_stand_beside_their_verdicts_and_numbers():
    out = console(width=120)
    claims = [Claim("Early layers are general", "supported", "AnB − base at n = 1: +0.0")]
    out.print(claims_table(claims, "points"))
    (line,) = [line for line in lines(out) if "Early" in line]
    assert re.search(r"Early layers are general\s+│ supported │ AnB − base at n = 1: \+0\.0", line)
