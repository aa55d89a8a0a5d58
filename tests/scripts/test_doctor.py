"""scripts/doctor.py: what works, what is missing, and what is broken."""

import json
from functools import partial
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "doctor.py"


@pytest.fixture
def doctor(run_script, monkeypatch, tmp_path):
    """Looks at a home and caches that are empty."""
    for name in ("CNNJAX_CACHE", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return partial(run_script, SCRIPT)


def findings(done, chapter):
    return {found["name"]: found for found in json.loads(done.stdout)[chapter]}


def test_an_empty_machine_is_well_and_is_told_where_things_belong(doctor, monkeypatch, tmp_path):
    monkeypatch.setattr("doctor_checks.STEPS", 15)
    monkeypatch.setattr("doctor_checks.BATCH", 16)
    done = doctor("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["broken"] == 0
    assert findings(done, "JAX")["backend"]["says"]
    assert {"jax", "flax", "optax", "cnnjax", "jaxlib"} <= findings(done, "packages").keys()
    mnist = findings(done, "data sets")["mnist"]
    assert mnist["state"] == "missing"
    assert "python scripts/prepare.py mnist" in mnist["says"]
    assert "~/.cache/cnnjax/weights" in findings(done, "weights")["published"]["says"]
    first, last = (
        float(part.split()[0]) for part in findings(done, "training")["loss"]["says"].split(", ")
    )
    assert last < first
    assert str(tmp_path) not in done.stdout


@pytest.fixture
def hasty_doctor(doctor, monkeypatch):
    """Trains nothing."""
    monkeypatch.setattr("doctor_checks.training", lambda: ())
    return doctor


def test_a_cache_that_cannot_be_written_is_broken_and_says_what_to_do(
    hasty_doctor, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "file"))
    done = hasty_doctor()
    assert done.returncode == 1
    assert "cannot be written" in done.stdout
    assert "set CNNJAX_CACHE to a folder of yours" in done.stdout
    assert "1 broken: cache" in done.stdout


def test_weights_that_are_there_are_named(hasty_doctor, monkeypatch, tmp_path):
    from cnnjax.pretrained.downloads import place_of
    from cnnjax.pretrained.passports import passports

    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "home" / "cache"))
    published = next(p for p in passports() if p.url)
    place_of(published).parent.mkdir(parents=True)
    place_of(published).write_bytes(b"0" * 2**20)
    done = hasty_doctor("--json")
    assert published.network in findings(done, "weights")
    assert findings(done, "environment")["CNNJAX_CACHE"]["says"] == "~/cache"
    assert str(tmp_path) not in done.stdout
    assert "1 files, 1.0 MiB" in findings(done, "caches")["downloaded weights"]["says"]
