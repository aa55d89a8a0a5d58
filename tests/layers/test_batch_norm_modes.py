"""Batch normalisation as a module: training, running and frozen, and what the running statistics
become."""

import subprocess
import sys

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import BatchNorm, Dense, batch_norm, constant
from cnnjax.models import Network

KEY = jax.random.key(0)
LAYER = BatchNorm(momentum=0.75, epsilon=1e-3)

# torch 2.13, BatchNorm1d(3, eps=1e-3, momentum=0.25) in float64; the gradients are those of the
# sum of w y.
X = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 0.25], [-1.0, 4.0, 0.75], [2.0, 1.0, -0.5]])
W = np.array([[0.5, -1.0, 2.0], [1.0, 0.25, -1.0], [-0.5, 1.0, 0.0], [2.0, -2.0, 1.5]])
VARIABLES = {
    "params": {"scale": jnp.array([1.5, 0.5, -2.0]), "bias": jnp.array([0.1, -0.2, 0.3])},
    "batch_stats": {"mean": jnp.array([0.5, -0.5, 1.0]), "var": jnp.array([2.0, 1.0, 0.5])},
}
TORCH = {
    "y": [
        [-0.1534883, -0.8350176, -0.7666098],
        [1.8744184, -0.3731866, 0.3],
        [-2.1813951, 0.5504753, -1.8332196],
        [0.860465, -0.1422711, 3.4998294],
    ],
    "mean": [0.6875, -0.1875, 0.8125],
    "var": [2.2291667, 2.3125, 0.4479167],
    "dx": [
        [-0.1304217, 0.0499933, -6.624751],
        [-0.6079782, 0.2078135, 6.9329636],
        [-0.1598419, 0.1193517, 1.1497301],
        [0.8982418, -0.3771585, -1.4579427],
    ],
    "dscale": [2.8728679, 2.453477, -1.3332622],
    "dbias": [3.0, -1.75, 2.5],
    "eval": [
        [0.4138865, -0.7958175, 1.2328185],
        [2.42276, -0.1383637, 1.9790733],
        [-1.594987, 1.1765439, 0.4865637],
        [1.4183233, 0.1903632, 4.2178377],
    ],
}


def train(variables, x, layer=LAYER):
    return layer.apply(variables, x, train=True, mutable=["batch_stats"])


def test_a_step_of_training_is_that_of_torch():
    def weighed(params, x):
        y, moved = train({**VARIABLES, "params": params}, x)
        return jnp.sum(W * y), (y, moved["batch_stats"])

    gradients, (y, moved) = jax.grad(weighed, argnums=(0, 1), has_aux=True)(
        VARIABLES["params"], jnp.asarray(X, jnp.float32)
    )
    got = {"y": y, **moved, "dx": gradients[1]}
    got |= {"dscale": gradients[0]["scale"], "dbias": gradients[0]["bias"]}
    for name, value in got.items():
        np.testing.assert_allclose(value, TORCH[name], rtol=1e-5, atol=2e-6, err_msg=name)


def test_running_mode_is_that_of_torch_and_of_keras_and_changes_nothing():
    # torch evaluated with the statistics that the step of training had left.
    variables = {
        "params": VARIABLES["params"],
        "batch_stats": {name: jnp.array(TORCH[name]) for name in ("mean", "var")},
    }
    y, moved = LAYER.apply(variables, jnp.asarray(X), train=False, mutable=["batch_stats"])
    np.testing.assert_allclose(y, TORCH["eval"], rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal(moved["batch_stats"], variables["batch_stats"])
    theirs = keras_layer(variables)
    np.testing.assert_allclose(theirs(X, training=False), y, rtol=1e-5, atol=1e-6)


def keras_layer(variables):
    import keras

    layer = keras.layers.BatchNormalization(momentum=0.75, epsilon=1e-3)
    layer.build((None, 3))
    params, running = variables["params"], variables["batch_stats"]
    layer.set_weights([params["scale"], params["bias"], running["mean"], running["var"]])
    return layer


def test_the_running_variance_is_unbiased_where_keras_and_flax_take_the_biased_one():
    x = jnp.asarray(X, jnp.float32)
    before = np.asarray(VARIABLES["batch_stats"]["var"])
    _, moved = train(VARIABLES, x)
    np.testing.assert_allclose(
        moved["batch_stats"]["var"], 0.75 * before + 0.25 * X.var(0, ddof=1), rtol=1e-5
    )
    theirs = keras_layer(VARIABLES)
    theirs(x, training=True)
    flax_layer = nn.BatchNorm(use_running_average=False, momentum=0.75, epsilon=1e-3)
    _, flax_moved = flax_layer.apply(VARIABLES, x, mutable=["batch_stats"])
    biased = 0.75 * before + 0.25 * X.var(0, ddof=0)
    np.testing.assert_allclose(theirs.moving_variance, biased, rtol=1e-5)
    np.testing.assert_allclose(flax_moved["batch_stats"]["var"], biased, rtol=1e-5)
    # The mean is the same everywhere.
    for mean in (theirs.moving_mean, flax_moved["batch_stats"]["mean"]):
        np.testing.assert_allclose(mean, moved["batch_stats"]["mean"], rtol=1e-6)


def test_running_statistics_approach_those_of_the_data():
    x = 3 + 2 * jax.random.normal(KEY, (256, 4, 4, 2))
    variables = LAYER.init(KEY, x, train=False)
    step = jax.jit(lambda v: {**v, **train(v, x)[1]})
    for _ in range(60):  # 0.75^60 = 3e-8 of the start is left
        variables = step(variables)
    flat = np.asarray(x, np.float64).reshape(-1, 2)
    np.testing.assert_allclose(variables["batch_stats"]["mean"], flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variables["batch_stats"]["var"], flat.var(0, ddof=1), rtol=1e-5)


def test_a_single_example_has_no_variance_and_divides_by_nothing():
    y, moved = train(VARIABLES, jnp.array([[5.0, 6.0, 7.0]]))
    np.testing.assert_allclose(y, VARIABLES["params"]["bias"][None], rtol=1e-6)
    np.testing.assert_allclose(moved["batch_stats"]["var"], [1.5, 0.75, 0.375])
    np.testing.assert_allclose(moved["batch_stats"]["mean"], [1.625, 1.125, 2.5])


@pytest.mark.parametrize("mode", [True, False])
def test_it_starts_as_a_normalisation_of_mean_0_and_variance_1(mode):
    variables = LAYER.init(KEY, jnp.asarray(X), train=mode)
    one, zero = jnp.ones(3), jnp.zeros(3)
    wanted = {
        "params": {"scale": one, "bias": zero},
        "batch_stats": {"mean": zero, "var": one},
    }
    chex.assert_trees_all_equal(variables, wanted)


def test_scale_and_bias_are_learned_only_where_asked():
    for kept in ((), ("scale",), ("bias",)):
        layer = BatchNorm(
            0.9,
            1e-3,
            use_scale="scale" in kept,
            use_bias="bias" in kept,
            scale_init=constant(2.0),
            bias_init=constant(3.0),
        )
        x = jnp.asarray(X, jnp.float32)
        variables = layer.init(KEY, x, train=False)
        assert set(variables.get("params", {})) == set(kept)
        scale, bias = 2.0 if "scale" in kept else 1.0, 3.0 if "bias" in kept else 0.0
        wanted = batch_norm(x, jnp.zeros(3), jnp.ones(3), scale, bias, 1e-3)
        np.testing.assert_allclose(layer.apply(variables, x, train=False), wanted, rtol=1e-6)


def test_half_precision_computes_but_does_not_keep_the_statistics():
    layer = BatchNorm(0.9, 1e-3, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    x = jnp.asarray(X, jnp.bfloat16)
    variables = layer.init(KEY, x, train=False)
    y, moved = train(variables, x, layer)
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables["params"])} == {jnp.dtype("bfloat16")}
    assert {a.dtype for a in jax.tree.leaves(moved)} == {jnp.dtype("float32")}


# A frozen stage


class Normalised(nn.Module):
    features: int

    def setup(self):
        self.dense, self.norm = Dense(self.features, use_bias=False), BatchNorm(0.9, 1e-5)

    def __call__(self, x, *, train):
        return self.norm(self.dense(x, train=train), train=train)


class TwoStages(Network):
    def layers(self):
        return {"lower": Normalised(5), "upper": Normalised(self.num_classes)}


def test_a_frozen_stage_neither_moves_nor_uses_the_statistics_of_the_batch():
    net, images = TwoStages(num_classes=3), jax.random.normal(KEY, (8, 2, 2, 1))
    variables = net.init(KEY, images)
    settings = {"train": True, "mutable": ["batch_stats"]}
    logits, moved = net.apply(variables, images, frozen=("lower",), **settings)
    before, after = variables["batch_stats"], moved["batch_stats"]
    chex.assert_trees_all_equal(after["lower"], before["lower"])
    for name in ("mean", "var"):
        assert jnp.abs(after["upper"]["norm"][name] - before["upper"]["norm"][name]).max() > 0
    features = net.apply(variables, images, stop="lower")  # running mode
    wanted, _ = net.apply(variables, features, start="upper", **settings)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from cnnjax.layers import BatchNorm

layer = BatchNorm(momentum=0.5, epsilon=1e-5)
x = jax.random.normal(jax.random.key(0), (8, 2, 2, 3)) + jnp.arange(8.0)[:, None, None, None]
variables = layer.init(jax.random.key(1), x, train=False)
step = jax.jit(lambda v, x: layer.apply(v, x, train=True, mutable=["batch_stats"]))
mesh = Mesh(np.array(jax.devices()), ("data",))
divided = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
assert len(divided.sharding.device_set) == 4
for a, b in zip(*(jax.tree.leaves(step(variables, x)) for x in (x, divided)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
"""


def test_the_statistics_of_a_batch_divided_among_devices_are_those_of_the_whole(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    subprocess.run([sys.executable, "-c", SHARDED], check=True)


# What a user can get wrong


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_outside_0_to_1_is_refused(momentum):
    with pytest.raises(CnnjaxError, match=r"momentum is .*; give one in \[0, 1\)"):
        BatchNorm(momentum, 1e-5).init(KEY, jnp.ones((2, 3)), train=False)


def test_momentum_and_epsilon_have_no_default():
    with pytest.raises(TypeError, match="'momentum' and 'epsilon'"):
        BatchNorm()


def test_variables_without_running_statistics_are_refused():
    with pytest.raises(CnnjaxError, match="has no running statistics"):
        LAYER.apply({"params": VARIABLES["params"]}, X, train=False)


def test_training_that_may_not_move_the_statistics_is_refused():
    with pytest.raises(CnnjaxError, match=r'apply it with mutable=\["batch_stats"\]'):
        LAYER.apply(VARIABLES, X, train=True)


def test_an_input_without_an_axis_of_examples_is_refused():
    with pytest.raises(CnnjaxError, match=r"input of shape \(3,\)"):
        LAYER.init(KEY, jnp.ones(3), train=False)
