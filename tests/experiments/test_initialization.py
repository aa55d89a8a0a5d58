"""The study of initialisation: its draws, its measures, its claims, its figure, a small run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from initialization import Config, declare, run, shrink
from initialization_figure import draw as draw_figure
from initialization_protocol import ACTIVATIONS, INITIALISERS, draw, layer_statistics, slope
from initialization_report import judge_all, summarise

from cnnjax import CnnjaxError
from cnnjax.models.mlp import MLP
from cnnjax.studies.results import read_results
from cnnjax.studies.runs import Folder
from cnnjax.training import scale_pixels

SHAPE = (4, 4, 1)
WIDE = MLP(num_classes=10, hidden=(300, 200))


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """The smoke form of the study, in this process."""
    out = tmp_path_factory.mktemp("study") / "out"
    config = Config(dataset=f"npz:{tiny}", smoke=True, out=out)
    run(config)
    return config


def made_up(right: bool) -> tuple[list[dict], list[dict]]:
    """Rows and curves as the papers say, or as they do not."""
    forward = {"sd0.01": -7.0, "sd1": 6.0, "xavier": -1.0, "he": 0.0}
    rows, curves = [], []
    for activation in ACTIVATIONS:
        for initialiser in INITIALISERS:
            for layers in (5, 10, 30):
                learns = initialiser == "he" or (initialiser == "xavier" and layers < 30)
                learns = learns and activation != "sigmoid"
                accuracy = (90.0 if learns else 8.0) if right else (8.0 if learns else 90.0)
                if not right and activation == "relu" and initialiser == "he":
                    accuracy = 7.0
                tanh = activation == "tanh" and initialiser == "xavier"
                factor = -0.3 if tanh else forward[initialiser]
                for seed in (0, 1, 2):
                    name = f"{activation}-{initialiser}-{layers}-seed{seed}"
                    wrong = factor + 3.0 if initialiser != "sd0.01" else 1.0
                    step = factor if right else wrong
                    rows.append(
                        {
                            "run": name,
                            "activation": activation,
                            "initialiser": initialiser,
                            "layers": layers,
                            "seed": seed,
                            "accuracy": accuracy + seed / 10 + (initialiser == "he") * right,
                            "forward_slope": step + seed / 1000,
                            "backward_slope": step,
                            "flat": (90.0 if right else 10.0) + seed,
                            "classes": 10,
                        }
                    )
                    for layer in range(1, layers + 1):
                        point = {"run": name, "layer": layer, "flat": 0.0}
                        point["activation_variance"] = 2.0 ** (step * layer)
                        point["gradient_variance"] = None if initialiser == "sd1" else 0.0
                        curves.append(point)
    return rows, curves


def test_all_claims_can_be_supported_and_contradicted():
    found = [
        {c.statement: c.verdict for c in judge_all(made_up(right)[0])} for right in (True, False)
    ]
    assert [len(verdicts) for verdicts in found] == [11, 11]
    assert set(found[0].values()) == {"supported"}, found[0]
    assert set(found[1].values()) == {"contradicted"}, found[1]


def test_other_depths_stand_for_the_papers():
    rows = [row for row in made_up(True)[0] if row["layers"] == 5]
    assert all(" 30 layers" not in claim.statement for claim in judge_all(rows))


def test_the_table_has_a_line_for_each_activation_and_depth():
    heading, lines = summarise(made_up(True)[0])
    assert heading == ["", "sd 0.01", "sd 1", "Xavier", "He"]
    assert [line[0] for line in lines[:2]] == ["sigmoid, 5 layers", "sigmoid, 10 layers"]
    assert len(lines) == 9


def test_the_figure_has_a_column_for_each_activation_and_all_initialisers():
    figure = draw_figure(*made_up(True), "on made-up rows")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:3] == ["sigmoid", "tanh", "relu"]
    assert [a.get_ylabel() for a in figure.axes[::3]] == [
        *("variance of the activations", "variance of the gradients ∂J/∂z", "test accuracy (%)"),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("sd 0.01", "sd 1", "Xavier", "He")
    ]


@pytest.mark.parametrize(
    ("initialiser", "deviation"),
    [("sd0.01", 0.01), ("sd1", 1.0), ("xavier", (2 / 500) ** 0.5), ("he", (2 / 300) ** 0.5)],
)
def test_kernels_have_the_deviation_of_their_initialiser(initialiser, deviation):
    kernel = draw(WIDE, SHAPE, initialiser, 0)["params"]["fc2"]["kernel"]
    assert kernel.shape == (300, 200)
    assert float(kernel.std()) == pytest.approx(deviation, rel=0.02)


def test_the_initialisers_of_a_seed_have_the_same_random_numbers():
    kernels = {name: draw(WIDE, SHAPE, name, 3)["params"]["fc2"]["kernel"] for name in INITIALISERS}
    np.testing.assert_allclose(100 * kernels["sd0.01"], kernels["sd1"], rtol=1e-5)
    ratio = kernels["he"] / kernels["xavier"]
    np.testing.assert_allclose(ratio, (500 / 300) ** 0.5, rtol=1e-5)
    other = draw(WIDE, SHAPE, "sd1", 4)["params"]["fc2"]["kernel"]
    assert not np.array_equal(other, kernels["sd1"])
    first = draw(WIDE, SHAPE, "sd1", 3)["params"]["fc1"]["kernel"]
    assert not np.array_equal(first.ravel()[:9], kernels["sd1"].ravel()[:9])


def derivative(name, z):
    if name == "relu":
        return (z > 0) * 1.0
    y = np.tanh(z) if name == "tanh" else 1 / (1 + np.exp(-z))
    return 1 - y**2 if name == "tanh" else y * (1 - y)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_statistics_are_those_of_the_equations_of_back_propagation(name):
    network = MLP(num_classes=3, hidden=(7, 7), activation=ACTIVATIONS[name])
    variables = draw(network, SHAPE, "sd1", 0)
    images = np.random.RandomState(0).randint(0, 256, (20, *SHAPE)).astype(np.uint8)
    labels = np.arange(20) % 3
    found = layer_statistics(variables, jnp.asarray(images), jnp.asarray(labels), network=network)

    w = [np.asarray(variables["params"][f"fc{i}"]["kernel"], np.float64) for i in (1, 2, 3)]
    h = [np.asarray(scale_pixels(jnp.asarray(images)), np.float64).reshape(20, -1)]
    z = []
    for kernel in w[:2]:
        z.append(h[-1] @ kernel)
        h.append(np.asarray(ACTIVATIONS[name](jnp.asarray(z[-1]))))
    p = np.asarray(jax.nn.softmax(h[2] @ w[2]))
    above = (p - np.eye(3)[labels]) @ w[2].T * derivative(name, z[1])
    below = above @ w[1].T * derivative(name, z[0])
    largest = 0.25 if name == "sigmoid" else 1.0
    flat = [(derivative(name, x) < 0.1 * largest).mean() for x in z]
    np.testing.assert_allclose(found[0], [h[1].var(), h[2].var()], rtol=1e-4)
    np.testing.assert_allclose(found[1], [below.var(), above.var()], rtol=1e-4)
    np.testing.assert_allclose(found[2], flat, rtol=1e-6)


def test_a_slope_is_taken_as_far_as_there_are_numbers():
    assert slope([1.0, 2.0, 4.0, None, 1.0]) == 1.0
    assert slope([1.0, 0.25, 1e-31, 0.0]) == -2.0
    assert slope([None, 1.0, 2.0]) is None


def test_the_smoke_form_gives_rows_curves_and_a_figure(finished):
    rows, curves = (read_results(finished.out / f"{name}.csv") for name in ("results", "curves"))
    assert len(rows) == 3 * 4 * 2
    assert len(curves) == 2 * len(rows)
    assert {row["initialiser"] for row in rows} == set(INITIALISERS)
    assert (finished.out / "figure.svg").exists()


def test_the_same_command_finds_all_runs_finished(finished):
    study = declare(shrink(finished))
    rows = Folder(study.plan, finished.out, study.perform).rows()
    assert rows == read_results(finished.out / "results.csv")
    assert len(rows) == len(study.plan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "--width is 0, which cannot be; give at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0, which cannot be; give more than 0"),
        ({"depths": (5, 5)}, "--depths 5 5 cannot be; give different whole numbers"),
        ({"depths": (1,)}, "--depths 1 cannot be"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tiny, changes, message):
    with pytest.raises(CnnjaxError, match=message):
        declare(replace(Config(dataset=f"npz:{tiny}"), **changes))
