"""The benchmark: that it compares like with like, and what it writes. Nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError

SCRIPTS = Path(__file__).parents[2] / "scripts"

REPORT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "load_before": 0.1},
    "versions": {"python": "3", "jax": "1"},
    "batch_size": 128,
    "repeats": 3,
    "scan_steps": 4,
    "images": {"lenet5": [32, 32, 1]},
    "steps": [
        {
            "network": "lenet5",
            "implementation": implementation,
            "mode": mode,
            "milliseconds": 10.0,
            "quartiles": [9.0, 11.04],
            "times_stock": 0.5,
            "temporary_mib": temporary,
            "added_mib": 30.0,
        }
        for implementation, mode, temporary in (("cnnjax", "scan", 12.4), ("torch", "single", None))
    ],
}


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.parametrize(
    ("name", "shape"), [("alexnet_small", (2, 20, 20, 3)), ("lenet5", (2, 32, 32, 1))]
)
def test_a_stock_network_is_the_same_function_of_the_same_variables(name, shape):
    from stock_networks import STOCK

    ours, stock = cnnjax.create(name, num_classes=4), STOCK[name](num_classes=4)
    images = jax.random.normal(jax.random.key(0), shape)
    shapes, others = (jax.eval_shape(net.init, jax.random.key(1), images) for net in (ours, stock))
    assert ours.stages == stock.stages
    assert shapes == others
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda a: jnp.asarray(rng.normal(0, 0.2, a.shape), a.dtype), shapes)
    gradients, others = (
        jax.jit(jax.grad(lambda v, net=net: jnp.sum(net.apply(v, images) ** 2)))(variables)
        for net in (ours, stock)
    )
    scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(others))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=3e-6 * scale), gradients, others
    )


def test_a_stock_network_contains_no_layer_of_cnnjax_that_is_compared():
    from stock_networks import STOCK, StockConv

    for stock in STOCK.values():
        layers = stock(num_classes=4).layers().values()
        assert any(isinstance(layer, StockConv) for layer in layers)
        assert not any(type(layer) is cnnjax.layers.Conv for layer in layers)


def test_the_table_replaces_what_stood_between_its_marks_and_nothing_else(tmp_path):
    from benchmark_report import steps_section, write_section

    document = tmp_path / "benchmarks.md"
    marks = "<!-- steps: written by a command -->", "<!-- end of steps -->"
    document.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    write_section(document, "steps", steps_section(REPORT))
    text = document.read_text()
    assert text.startswith(f"before\n{marks[0]}\n\n| network | implementation |")
    assert text.endswith(f"{marks[1]}\nafter\n")
    assert "| lenet5 | cnnjax, in a scan | 10.0 | 9.0 to 11.0 | 0.50 | 12 | 30 |" in text
    assert "| lenet5 | PyTorch | 10.0 | 9.0 to 11.0 | 0.50 |  | 30 |" in text
    assert "old" not in text
    write_section(document, "steps", steps_section(REPORT))
    assert document.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["benchmarks.md"]


def test_a_document_without_marks_is_left_alone(tmp_path):
    from benchmark_report import write_section

    document = tmp_path / "benchmarks.md"
    document.write_text("text\n")
    with pytest.raises(CnnjaxError, match="has no place for the table; put <!-- steps"):
        write_section(document, "steps", "table")
    assert document.read_text() == "text\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--networks", "vgg"], "no network 'vgg' is measured; there are alexnet_small, lenet5"),
        (["--repeats", "1"], "--repeats of 2"),
        (["--only-report"], "--only-report needs --out"),
        (["--only-report", "--out", "nowhere.json"], "nowhere.json is no report"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(tmp_path, flags, message):
    done = subprocess.run(
        [sys.executable, SCRIPTS / "benchmark.py", *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_measuring_writes_a_report_that_can_be_read_again(tmp_path):
    out = tmp_path / "steps.json"
    command = [sys.executable, SCRIPTS / "benchmark.py", "--networks", "lenet5", "--out", out]
    small = ["--batch-size", "4", "--repeats", "2", "--scan-steps", "1"]
    subprocess.run([*command, *small], check=True, capture_output=True)
    report = json.loads(out.read_text())
    kinds = {(row["implementation"], row["mode"]) for row in report["steps"]}
    assert kinds >= {(i, m) for i in ("cnnjax", "stock") for m in ("single", "scan")}
    again = subprocess.run([*command, "--only-report"], check=True, capture_output=True, text=True)
    assert "lenet5" in again.stdout
