"""The benchmark: that it compares like with like, and what it writes. Nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.layers import ConvNorm, avg_pool, max_pool

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


SHARED = ("machine", "versions", "batch_size", "repeats", "scan_steps")
NETWORKS = {key: REPORT[key] for key in SHARED} | {
    "networks": [
        {
            "network": "mobilenet",
            "image": [64, 48, 3],
            "implementation": implementation,
            "mode": "step",
            "milliseconds": 800.0,
            "quartiles": [790.04, 900.0],
            "times_cnnjax": ratio,
            "images_a_second": 1600.4,
            "compile_seconds": seconds,
            "temporary_mib": seconds and 12.4,
        }
        for implementation, ratio, seconds in (("keras", 8.0, 3.21), ("torch", 0.5, None))
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


class Small(nn.Module):
    """Every layer that has a stock form."""

    @nn.compact
    def __call__(self, x):
        norm = {"momentum": 0.9, "epsilon": 1e-3}
        x = ConvNorm(6, 3, padding=1, **norm)(x, train=True)
        x = max_pool(x, 3, 2, 1)
        x = ConvNorm(6, 3, padding="same", stride=2, groups=6, **norm)(x, train=True)
        return avg_pool(x, 2, 1, 1, count_padding=False)


def test_stock_layers_are_the_same_function_of_the_same_variables_and_none_of_cnnjax():
    from stock_layers import stock_layers

    net, images = Small(), jax.random.normal(jax.random.key(0), (4, 9, 8, 3))
    variables = jax.jit(net.init)(jax.random.key(1), images)

    def traced():
        # A new function each time: JAX would find the last one traced already.
        def loss(params, x):
            y, moved = net.apply({**variables, "params": params}, x, mutable=["batch_stats"])
            return jnp.sum(jnp.sin(y)), moved

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True)).trace(variables["params"], images)

    with stock_layers():
        stock = traced()
    ours = traced()
    assert "platform_index" in str(ours.jaxpr)
    assert "platform_index" not in str(stock.jaxpr)
    results = [one.lower().compile()(variables["params"], images) for one in (ours, stock)]
    compare = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)  # noqa: E731
    jax.tree.map(compare, *results)


@pytest.mark.parametrize(
    "name",
    [
        "resnet20",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("efficientnet_b0", "mobilenet", "resnet50", "resnet56")
        ),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnext50_32x4d", "vgg11")),
    ],
)
def test_a_network_of_the_zoo_in_pytorch_has_as_many_parameters_as_ours(name):
    torch = pytest.importorskip("torch")
    from torch_zoo import ZOO

    net = cnnjax.create(name, num_classes=7)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), image)["params"]
    model = ZOO[name](7).eval()
    model(torch.zeros(1, 3, 64, 64))
    theirs = sum(p.numel() for p in model.parameters())
    assert sum(a.size for a in jax.tree.leaves(params)) == theirs


def test_a_step_of_keras_moves_weights_and_statistics_and_forward_moves_nothing():
    import keras
    import optax
    from keras_networks import APPLICATIONS, keras_functions

    def small(input_shape, weights, classes, classifier_activation):
        assert weights is classifier_activation is None
        layers = [keras.layers.BatchNormalization(), keras.layers.GlobalAveragePooling2D()]
        model = keras.Sequential([*layers, keras.layers.Dense(classes)])
        model.build((None, *input_shape))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(APPLICATIONS, "small", small)
        functions = keras_functions("small", (3, 3, 2), 5, optax.sgd(0.1, momentum=0.9))
    forward, step, variables, carried = functions
    images, labels = jnp.arange(36.0).reshape(2, 3, 3, 2), jnp.array([1, 2])
    assert forward(variables, images).shape == (2, 5)
    moved, loss = step(carried, images, labels)
    assert loss.shape == ()
    kernel, bias = (a for a in zip(moved[0], carried[0], strict=True) if a[0].shape[-1] == 5)
    assert jnp.any(kernel[0] != kernel[1])
    assert jnp.any(bias[0] != bias[1])
    assert all(bool(jnp.any(a != b)) for a, b in zip(moved[1], carried[1], strict=True))


def test_the_table_of_networks_tells_what_was_measured(tmp_path):
    from benchmark_report import section

    lines = section(NETWORKS).splitlines()
    assert lines[0].startswith("| network | what | implementation | ms | quartiles | x cnnjax |")
    step = "800.0 | 790.0 to 900.0"
    assert lines[2] == f"| mobilenet | step | Keras/JAX | {step} | 8.00 | 1,600 | 12 | 3.2 |"
    assert lines[3] == f"| mobilenet | step | PyTorch | {step} | 0.50 | 1,600 |  |  |"
    assert "a batch of 128 images, mobilenet 64 x 48 x 3" in lines[-1]


def test_the_table_replaces_what_stood_between_its_marks_and_nothing_else(tmp_path):
    from benchmark_report import section, write_section

    document = tmp_path / "benchmarks.md"
    marks = "<!-- steps: written by a command -->", "<!-- end of steps -->"
    document.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    write_section(document, "steps", section(REPORT))
    text = document.read_text()
    assert text.startswith(f"before\n{marks[0]}\n\n| network | implementation |")
    assert text.endswith(f"{marks[1]}\nafter\n")
    assert "| lenet5 | cnnjax, in a scan | 10.0 | 9.0 to 11.0 | 0.50 | 12 | 30 |" in text
    assert "| lenet5 | PyTorch | 10.0 | 9.0 to 11.0 | 0.50 |  | 30 |" in text
    assert "old" not in text
    write_section(document, "steps", section(REPORT))
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
        (["--networks", "vgg"], "there is no network 'vgg'; cnnjax.list_models()"),
        (["--networks", "vgg11", "lenet5"], "give --image-size, or the others in a command of"),
        (["--networks", "vgg11", "--image-size", "8"], "the smallest square image it takes is 32"),
        (["--image-size", "8"], "the smallest square image it takes is 15 x 15"),
        (["--repeats", "1"], "--repeats of 2"),
        (["--only-report"], "--only-report needs --out"),
        (["--only-report", "--out", "nowhere.json"], "nowhere.json is no report"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(
    tmp_path, run_script, flags, message
):
    done = run_script(SCRIPTS / "benchmark.py", *flags, cwd=tmp_path)
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


@pytest.mark.slow
def test_any_registered_network_is_measured(tmp_path):
    out, document = tmp_path / "small.json", tmp_path / "benchmarks.md"
    document.write_text("<!-- small: written by a command -->\n<!-- end of small -->\n")
    command = [sys.executable, SCRIPTS / "benchmark.py", "--networks", "mlp", "--batch-size", "4"]
    files = ["--repeats", "2", "--image-size", "12", "--out", out, "--markdown", document]
    subprocess.run([*command, *files], check=True, capture_output=True)
    report = json.loads(out.read_text())
    kinds = {(row["implementation"], row["mode"]) for row in report["networks"]}
    single = {(i, m) for i in ("cnnjax", "stock") for m in ("forward", "step")}
    assert kinds == single | {("cnnjax", "step in a loop")}
    assert all(row["image"] == [12, 12, 1] for row in report["networks"])
    assert all(row["milliseconds"] > 0 for row in report["networks"])
    assert all(row["compile_seconds"] is not None for row in report["networks"])
    assert "| mlp | step | stock Flax |" in document.read_text()
