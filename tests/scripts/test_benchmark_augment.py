"""The benchmark of augmentation: what is compared, and what it writes. Nothing is timed here."""

import json
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = SCRIPTS / "benchmark_augment.py"

REPORT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "load_before": 0.1},
    "versions": {"python": "3", "jax": "1"},
    "batch_size": 128,
    "repeats": 3,
    "augmentations": [
        {
            "images": [32, 32, 3],
            "what": "flip",
            "milliseconds": 0.5,
            "quartiles": [0.4, 0.612],
            "images_per_second": 256000,
            "of_a_step": 0.0123,
        }
    ],
}


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_grey_images_are_not_given_to_what_changes_colours():
    from benchmark_augment import augmentations

    images = {channels: np.zeros((1, 32, 32, channels), np.uint8) for channels in (1, 3)}
    assert set(augmentations((32, 32, 3))) - set(augmentations((32, 32, 1))) == {
        "saturation 0.3",
        "hue 0.1",
    }
    import jax

    for channels, batch in images.items():
        for one in augmentations((32, 32, channels)).values():
            assert jax.eval_shape(one, jax.random.key(0), batch).shape == batch.shape


def test_the_report_becomes_a_table(tmp_path, run_script):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- augment: written by a command -->\nold\n<!-- end of augment -->\n")
    flags = ["--only-report", "--out", "report.json", "--markdown", "benchmarks.md"]
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert "| 32 x 32 x 3 | flip | 0.50 | 0.40 to 0.61 | 256,000 | 1.2% |" in text
    assert "batch of 128 uint8 images" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--repeats", "1"], "--repeats of at least 2"),
        (["--batch-size", "0"], "--batch-size of at least 1"),
        (["--only-report"], "--only-report needs --out"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(
    tmp_path, run_script, flags, message
):
    done = run_script(SCRIPT, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_measuring_writes_a_report_of_both_kinds_of_images(tmp_path, run_script):
    done = run_script(
        SCRIPT, "--batch-size", "4", "--repeats", "2", "--out", "report.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "report.json").read_text())["augmentations"]
    assert {tuple(row["images"]) for row in rows} == {(32, 32, 3), (28, 28, 1)}
    assert any("training step" in row["what"] and row["of_a_step"] == 1 for row in rows)
