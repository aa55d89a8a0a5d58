"""The benchmark of accelerators, on whatever device there is: what it measures and writes."""

import json
from pathlib import Path

import pytest
from benchmark_accelerator import Config, run

from cnnjax import CnnjaxError

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = SCRIPTS / "benchmark_accelerator.py"
PAGE = "<!-- accelerator: written by a command -->\nold\n<!-- end of accelerator -->\n"
SMALL = ["--networks", "resnet20", "--batch-size", 4, "--dtype", "float32", "--steps", 1]

REPORT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "load_before": 0.1},
    "versions": {"python": "3", "jax": "1"},
    "device": "a device",
    "dtype": "bfloat16",
    "steps": 20,
    "repeats": 5,
    "peak_size": 8192,
    "study_network": "alexnet_small",
    "peak": 6.5e14,
    "networks": [
        {
            "network": "resnet50",
            "batch": [256, 224, 224, 3],
            "what": "cnnjax",
            "images_a_second": 2500.4,
            "quartiles": [2400.0, 2600.0],
            "share_of_peak": 0.0957,
        }
    ],
    "seeds": [
        {"seeds": 9, "milliseconds": {"one_by_one": 9.0, "stacked": 2.0}, "times_faster": 4.5}
    ],
}


def test_the_report_becomes_tables_that_name_device_and_precision(tmp_path, run_script):
    (tmp_path / "accelerator.json").write_text(json.dumps(REPORT))
    (tmp_path / "page.md").write_text(PAGE)
    flags = ["--only-report", "--out", "accelerator.json", "--markdown", "page.md"]
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.md").read_text()
    row = "| resnet50 | 256 x 224 x 224 x 3 | cnnjax | 2,500 | 2,400 to 2,600 | 9.6% |"
    assert row in text
    assert "| 9 | 9.00 | 2.00 | 4.50 |" in text
    assert "Measured on a device, whose peak is 650 TFLOP/s in bfloat16" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"dtype": "float8"}, "--dtype is float8; give bfloat16 or float32"),
        ({"seeds": (0,)}, "--seeds is 0, which cannot be; give at least 1"),
        ({"networks": ("resnet21",)}, "resnet21"),
        ({"only_report": True}, "--only-report needs --out"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_the_start(flags, says):
    with pytest.raises(CnnjaxError, match=says):
        run(Config(**flags))


@pytest.mark.slow
def test_networks_and_stacked_seeds_are_measured_on_any_device(tmp_path, run_script):
    flags = [*SMALL, "--repeats", 2, "--peak-size", 64, "--seeds", 1, 2, "--out", "a.json"]
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "a.json").read_text())
    kinds = {row["what"] for row in report["networks"]}
    assert {"cnnjax", "cnnjax, flip and shift"} <= kinds
    assert [row["seeds"] for row in report["seeds"]] == [1, 2]
    assert report["peak"] > 0
