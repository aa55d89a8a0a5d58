"""The benchmark of the stacked study: what it measures and writes."""

import json
from pathlib import Path

import pytest
from benchmark_stacked_study import Config, run, section

from cnnjax import CnnjaxError

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_stacked_study.py"
PAGE = "<!-- stacked_study: written by a command -->\nold\n<!-- end of stacked_study -->\n"
REPORT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "load_before": 0.1},
    "versions": {"python": "3", "jax": "1"},
    "device": "a device",
    "dataset": "glyphs",
    "network": "alexnet_small",
    "runs": 114,
    "splits": 3,
    "layers": [1, 4],
    "steps": 1000,
    "batch_size": 32,
    "repeats": 3,
    "ways": [
        {
            "way": "splits stacked",
            "programs": 38,
            "most_together": 3,
            "first_seconds": 61.24,
            "seconds": 20.04,
            "times_faster": 2.25,
            "mean_accuracy": 71.239,
            "largest_difference": 3.1304,
        }
    ],
}


def test_the_report_becomes_a_table_that_names_device_and_plan():
    text = section(REPORT)
    assert "| splits stacked | 38 | 3 | 61.2 | 20.0 | 2.25 | 71.24 | 3.13 |" in text
    assert "Measured on a device: 114 runs (3 splits, n = 1, 4) of alexnet_small" in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"repeats": 0}, "--repeats is 0, which cannot be; give at least 1"),
        ({"layers": "9"}, "--layers asks for n = 9, but alexnet_small has 8 stages"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_the_start(flags, says):
    with pytest.raises(CnnjaxError, match=says):
        run(Config(**flags))


@pytest.mark.slow
def test_all_ways_are_measured_and_find_the_same(tmp_path, run_script):
    (tmp_path / "page.md").write_text(PAGE)
    small = ["--network", "mlp", "--splits", 2, "--layers", 1, "--steps", 2, "--repeats", 1]
    files = ["--out", "a.json", "--markdown", "page.md"]
    done = run_script(SCRIPT, "--dataset", "digits", *small, *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ways = json.loads((tmp_path / "a.json").read_text())["ways"]
    assert [way["programs"] for way in ways] == [16, 8, 4]
    assert all(way["largest_difference"] <= 2 for way in ways)
    page = (tmp_path / "page.md").read_text()
    assert "| splits and arms stacked | 4 | 6 |" in page
    assert "old" not in page
