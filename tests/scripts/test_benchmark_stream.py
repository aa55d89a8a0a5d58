"""The benchmark of streams: what it compares, and what it writes. No figure is looked at."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_stream.py"

REPORT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "load_before": 0.1},
    "versions": {"python": "3", "grain": "1"},
    "batch_size": 64,
    "repeats": 3,
    "seconds": 2.0,
    "warm_up": 0.5,
    "steps_a_call": 8,
    "images": 2000,
    "photo_bytes": 4515,
    "streams": [
        {
            "image_size": 64,
            "what": "reading, 2 threads",
            "images_per_second": 1234.6,
            "quartiles": [1200.0, 1300.4],
        }
    ],
}


def test_the_report_becomes_a_table(tmp_path, run_script):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- stream: written by a command -->\nold\n<!-- end of stream -->\n")
    flags = ["--only-report", "--out", "report.json", "--markdown", "benchmarks.md"]
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert "| 64 x 64 | reading, 2 threads | 1,235 | 1,200 to 1,300 |" in text
    assert "2,000 photos, 4,515 bytes each" in text
    assert "old" not in text


def test_a_report_that_is_not_there_is_one_line(tmp_path, run_script):
    done = run_script(SCRIPT, "--only-report", "--out", tmp_path / "none.json")
    assert done.returncode == 2
    assert "is no report of this benchmark" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow  # starts processes of Grain
def test_threads_processes_and_steps_are_measured(tmp_path, run_script):
    for number in range(20):
        (tmp_path / "data" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8), number * 10, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / str(number % 2) / f"{number}.png")
    flags = ["--dataset", f"folder:{tmp_path / 'data'}", "--networks", "mlp", "--batch-size", "4"]
    flags += ["--image-sizes", "8", "--seconds", "0.1", "--repeats", "2"]
    flags += ["--warm-up", "0.1"]
    out = tmp_path / "report.json"
    subprocess.run([sys.executable, SCRIPT, *flags, "--out", out], check=True, capture_output=True)
    rows = json.loads(out.read_text())["streams"]
    assert [row["what"] for row in rows] == [
        "reading, 1 thread",
        "reading, 2 threads",
        "reading, 4 threads",
        "reading, 1 process",
        "reading, 2 processes",
        "mlp, step alone",
        "mlp, both together, 2 threads",
    ]
    assert all(row["images_per_second"] > 0 for row in rows)
