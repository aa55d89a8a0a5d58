"""A training on eight devices, or on those of two processes, is the training on one. The devices
are made of this processor, in processes of their own, because JAX counts devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import devices
from cnnjax.training.devices import check_divides, choose_devices, limit_devices
from cnnjax.training.lines import read_lines

PROGRAM = Path(__file__).parent / "devices_program.py"
WAYS = ("eight", "three", "resumed")


@pytest.fixture(scope="module")
def trainings(tmp_path_factory, start_processes):
    """{way: (lines of metrics, arrays at the end)}, and what was said of a batch in parts."""
    folder = tmp_path_factory.mktemp("devices")
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    processes = start_processes(folder / "processes", (1, 2))
    subprocess.run([sys.executable, PROGRAM, folder], env=environment, check=True)
    said = [process.communicate()[1] for process in processes]
    assert [(process.returncode, text) for process, text in zip(processes, said, strict=True)] == [
        (0, ""),
        (0, ""),
    ]
    found = json.loads((folder / "said.json").read_text())
    for way in ("one", *WAYS):
        found[way] = found[way], dict(np.load(folder / f"{way}.npz"))
    lines = read_lines(folder / "processes")
    found["processes"] = lines, dict(np.load(folder / "processes" / "arrays.npz"))
    return found


@pytest.mark.parametrize("way", [*WAYS, "processes"])
def test_any_number_of_devices_gives_the_same_trajectory(trainings, way):
    (lines, arrays), (other_lines, other_arrays) = trainings["one"], trainings[way]
    assert [line["step"] for line in other_lines] == [1, 2, 3, 4, 5, 6]
    for line, other in zip(lines, other_lines, strict=True):
        assert line.keys() - other.keys() <= {"devices"}
        for name in line.keys() - {"devices"}:
            assert other[name] == pytest.approx(line[name], rel=1e-4), (way, line["step"], name)
    assert arrays.keys() == other_arrays.keys()
    assert any("mean" in name for name in arrays)  # of batch norm
    for name, array in arrays.items():
        np.testing.assert_allclose(other_arrays[name], array, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("way", ["eight", "processes"])
def test_every_example_is_evaluated_once_on_any_number_of_devices(trainings, way):
    (lines, _), (others, _) = trainings["one"], trainings[way]
    assert others[-1]["validation_accuracy"] == lines[-1]["validation_accuracy"]


def test_each_device_holds_the_state_and_works_on_a_part_of_the_batch(trainings):
    for way, count in (("one", 1), ("three", 3), ("eight", 8), ("resumed", 2)):
        assert trainings[way][0][-1]["devices"] == count
    assert trainings["devices of the state at the end"] == 1
    assert trainings["examples of a batch on each device"] == [3] * 8


def test_by_default_as_many_devices_are_used_as_divide_the_batch(trainings):
    assert trainings["chosen of 8 for 30"] == 6
    assert trainings["chosen of 8 for 24, of at most 2"] == 2


def test_a_batch_that_cannot_be_divided_names_what_can():
    with pytest.raises(CnnjaxError, match="give 128 examples, or 5 devices"):
        check_divides(125, 8)
    with pytest.raises(CnnjaxError, match=r"give 8 examples, or 1 device$"):
        check_divides(1, 8)
    check_divides(24, 8)


def test_several_processes_use_all_devices_or_say_which_batch_or_devices_would_do(monkeypatch):
    owners = [1, 0, 1, 0, 0, 0, 1, 1]  # not in the order of the processes
    there = [SimpleNamespace(process_index=owner, id=i) for i, owner in enumerate(owners)]
    monkeypatch.setattr(jax, "devices", lambda: there)
    monkeypatch.setattr(devices, "current", lambda: SimpleNamespace(count=2))
    assert [device.id for device in choose_devices(16)] == [1, 3, 4, 5, 0, 2, 6, 7]
    with pytest.raises(CnnjaxError, match="8 devices of 2 processes; give 32 examples, or 3 of"):
        choose_devices(30)
    with pytest.raises(CnnjaxError, match=r"give 32 examples$"):
        choose_devices(31)
    monkeypatch.setattr(jax, "devices", lambda: there[:3])
    assert [device.id for device in choose_devices(30)] == [1, 0, 2]
    assert [device.id for device in choose_devices(30, 1)] == [1, 0]


def test_more_devices_than_there_are_is_one_line():
    count = len(jax.local_devices()) + 1
    with pytest.raises(CnnjaxError, match=f"{count} devices are asked for, and there"):
        choose_devices(8, count)
    with pytest.raises(CnnjaxError, match="give 1 to"), limit_devices(count):
        pass
    assert choose_devices(8 * count, None) == tuple(jax.local_devices())
