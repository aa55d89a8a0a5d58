"""Several processes train as one, say in one line what is wrong, and end together."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax import CnnjaxError
from cnnjax.data import batch_indices
from cnnjax.training import last_words
from cnnjax.training.devices import own_places
from cnnjax.training.hosts import joined
from cnnjax.training.lines import read_lines
from cnnjax.training.processes import ALONE, current

FATAL = (
    b"F1122 02:37:09.488898    7909 client.h:80] Terminating process because the JAX distributed "
    b"service detected fatal errors. absl::Status: "
)
LEADER = FATAL + (
    b"UNAVAILABLE: Failed to send RPC to coordination service. Either the leader task was "
    b"preempted\n\nRPC: /xla.coordination.CoordinationService/PollForError\n"
    b"*** Check failure stack trace: ***\n    @     0x7f2c37640634  absl::SendToLog()\n"
)
SILENT = FATAL + (
    b"UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):\n3\nThe tasks"
)
HANGING = FATAL + b"DEADLINE_EXCEEDED: Deadline Exceeded\n\nRPC: /x.CoordinationService/Heartbeat\n"
LATE = FATAL + b"DEADLINE_EXCEEDED: Deadline Exceeded\n\nRPC: /x.CoordinationService/RegisterTask\n"
TWICE = FATAL + b"ALREADY_EXISTS: newer incarnation.\n\nRPC: /x.CoordinationService/RegisterTask\n"
WARNING = b"W1122 02:37:09.4 79 coordination_service.cc:388] ConnectAfterBarrierPasses\n"
HARMLESS = b"E1122 02:37:09.4 79 coordination_service_agent.cc:289] Polled an error\n"


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 60),
    st.integers(0, 3),
)
def test_what_the_processes_bring_is_disjoint_and_covers_every_epoch(devices, each, size, seed):
    owners = np.repeat(np.arange(len(devices)), devices)
    batch = each * len(owners)
    rows = batch_indices(size, batch, seed, 0, size)  # `batch` epochs
    places = [own_places(owners, batch, process) for process in range(len(devices))]
    assert [len(own) for own in places] == [each * count for count in devices]
    assert sorted(np.concatenate(places)) == list(range(batch))
    brought = np.concatenate([rows[:, own].ravel() for own in places])
    assert np.bincount(brought, minlength=size).tolist() == [batch] * size


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("h:1", 2, None), "--coordinator and --processes without --process says too little"),
        ((None, None, 0), "--process without --coordinator and --processes says too little"),
        (("auto", 2, 0), "finds --processes and --process by itself; leave them out"),
        (("auto", 2, None), "finds --processes and --process by itself; leave them out"),
        (("h:1", 2, 2), "--process is 2 of --processes 2; give each of them its own, 0 to 1"),
        (("h:1", 2, -1), "--process is -1 of --processes 2"),
        (("h:1", 0, 0), "--process is 0 of --processes 0"),
        (("10.0.0.1", 2, 0), "--coordinator 10.0.0.1 is no address; give HOST:PORT"),
        (("h:99999", 2, 0), "is no address"),
        ((":12", 2, 0), "is no address"),
    ],
)
def test_flags_that_cannot_be_are_one_line(flags, message):
    with pytest.raises(CnnjaxError, match=message), joined(*flags):
        pass


def test_without_flags_a_process_is_alone():
    with joined() as here:
        assert here is current() is ALONE
        assert (here.index, here.count, here.primary, here.tell(3)) == (0, 1, True, 3)
        here.wait()
        here.agree({"anything": 1})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"half a line", b"half a line"),
        (b"a warning\n" + WARNING + HARMLESS, b"a warning\n" + HARMLESS),
        (b"a warning\n" + HARMLESS + LEADER, b"error: process 0 is gone"),
        (HANGING, b"error: process 0 is gone"),
        (HARMLESS + SILENT, b"error: process 3 is gone"),
        (LATE, b"error: the processes did not come together in time"),
        (TWICE, b"error: another process has joined with the same --process"),
        (HARMLESS + last_words.SAID + LEADER, b""),
    ],
)
def test_what_xla_says_when_it_ends_a_process_is_one_line(said, expected):
    done = subprocess.run(
        [sys.executable, "-I", "-S", last_words.__file__], input=said, capture_output=True
    )
    if expected.startswith(b"error"):
        assert done.stderr.startswith(expected)
        assert done.stderr.count(b"\n") == 1
    else:
        assert done.stderr == expected


@pytest.fixture(scope="module")
def alone(tmp_path_factory, start_processes):
    """The same training by one process on one device."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    ended(*start_processes(folder, (1,), steps=12))
    return read_lines(folder), dict(np.load(folder / "arrays.npz"))


def ended(*processes, seconds=300):
    """Status and last line of standard error of each."""
    said = [process.communicate(timeout=seconds)[1] for process in processes]
    return [(p.returncode, text) for p, text in zip(processes, said, strict=True)]


def when_it_has_checkpoints(folder):
    while not read_lines(folder)[2:]:
        time.sleep(0.02)


def check_same(alone, folder):
    lines, arrays = alone
    others, found = read_lines(folder), dict(np.load(folder / "arrays.npz"))
    assert [line["step"] for line in others] == list(range(1, 13))
    for line, other in zip(lines, others, strict=True):
        assert other == pytest.approx(line, rel=2e-4, abs=2e-5)
    assert arrays.keys() == found.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_a_training_whose_processes_are_killed_goes_on_with_any_number_of_them(
    alone, start_processes, tmp_path
):
    first = start_processes(tmp_path / "out", (1, 2), steps=12, seconds=0.3)
    when_it_has_checkpoints(tmp_path / "out")
    for process in first:
        process.send_signal(signal.SIGKILL)
    ended(*first)
    steps = [line["step"] for line in read_lines(tmp_path / "out")]
    assert 3 <= steps[-1] < 12
    for devices in [(2, 1), (1,), (3,), (1, 1, 1)]:
        shutil.copytree(tmp_path / "out", tmp_path / f"{devices}")
        processes = start_processes(tmp_path / f"{devices}", devices, steps=12)
        assert ended(*processes) == [(0, "")] * len(devices), devices
        check_same(alone, tmp_path / f"{devices}")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_is_killed_the_other_ends_at_once_and_says_so(
    killed, alone, start_processes, tmp_path
):
    processes = start_processes(tmp_path / "out", (1, 1), steps=12, seconds=0.3)
    when_it_has_checkpoints(tmp_path / "out")
    processes[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    [(status, said)] = ended(processes[1 - killed])
    assert time.monotonic() - began < 20
    assert status not in (0, None)
    assert said.startswith(f"error: process {killed} is gone: ")
    assert said.count("\n") == 1
    processes = start_processes(tmp_path / "out", (1, 1), steps=12)
    assert ended(*processes) == [(0, "")] * 2
    check_same(alone, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_where_one_hangs_the_other_ends_in_bounded_time(stopped, start_processes, tmp_path):
    processes = start_processes(
        tmp_path / "out", (1, 1), steps=300, seconds=0.2, heartbeat_seconds=10
    )
    when_it_has_checkpoints(tmp_path / "out")
    processes[stopped].send_signal(signal.SIGSTOP)
    [(status, said)] = ended(processes[1 - stopped], seconds=60)
    assert status not in (0, None)
    assert said.startswith(f"error: process {stopped} is gone: ")
    assert said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_where_one_fails_all_end_and_say_why(failing, start_processes, tmp_path):
    each = [{}, {}, {}]
    each[failing] = {"fails": "the disk is full; free space"}
    processes = start_processes(tmp_path / "out", (1, 1, 1), *each, steps=12)
    found = ended(*processes, seconds=60)
    own = found.pop(failing)
    assert own == (2, "error: the disk is full; free space\n")
    assert found == [(2, f"error: process {failing}: the disk is full; free space\n")] * 2


@pytest.mark.slow
def test_processes_that_do_not_come_together_say_so(start_processes, tmp_path):
    alone, _ = start_processes(tmp_path / "out", (1, 1), join_seconds=5)
    _.kill()
    [(status, said)] = ended(alone)
    assert status != 0
    assert said.startswith("error: the processes did not come together in time")
    assert said.count("\n") == 1
    other, missing = start_processes(tmp_path / "out", (1, 1), join_seconds=5)[::-1]
    missing.kill()
    [(status, said)] = ended(other)
    assert status != 0
    assert said.startswith("error: nobody answers at the coordinator 127.0.0.1:")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_processes_with_other_settings_say_which(tmp_path):
    script = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "train.py")
    common = [sys.executable, script, "--dataset", "digits", "--network", "lenet5"]
    common += ["--image-size", "28", "--steps", "4", "--coordinator", "127.0.0.1:47919"]
    common += ["--processes", "2", "--out", str(tmp_path / "out")]
    processes = [
        subprocess.Popen(
            [*common, "--process", str(index), "--batch-size", batch],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, batch in enumerate(("32", "64"))
    ]
    for status, said in ended(*processes):
        assert status == 2
        assert "the processes do not agree: batch_size is 32 in process 0 and 64" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
