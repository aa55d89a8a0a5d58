"""How DenseNets begin and train: initial weights, dropout, statistics, less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.densenet import DenseNetBC
from cnnjax.models.ledger import ledger


class SmallBC(DenseNetBC):
    """Two blocks, of two layers and of one, k = 3."""

    growth = 3
    blocks = (2, 1)


class Wide(SmallBC):
    """k = 32, to have enough weights for a variance."""

    growth = 32


IMAGE = (9, 7, 3)


def images(seed=0, count=4):
    return jax.random.normal(jax.random.key(seed), (count, *IMAGE))


def test_weights_begin_with_hes_variance_biases_at_zero_and_scales_at_one():
    params = Wide().init(jax.random.key(0), jnp.zeros((1, *IMAGE)))["params"]
    fan_in = {
        ("conv1",): 3 * 3 * 3,
        ("dense1_2", "conv1"): 64 + 32,
        ("dense1_2", "conv2"): 3 * 3 * 4 * 32,
        ("transition1", "conv"): 64 + 2 * 32,
        ("fc",): 64 + 32,
    }
    for path, n_in in fan_in.items():
        layer = params
        for name in path:
            layer = layer[name]
        kernel = np.asarray(layer["kernel"])
        # The variance of n numbers has the relative deviation sqrt(2 / n).
        close = pytest.approx(2 / n_in, rel=4 * np.sqrt(2 / kernel.size))
        assert kernel.var() == close, path
    # Not cut: of many numbers some are further out than cut ones can be.
    kernel = np.asarray(params["dense1_2"]["conv2"]["kernel"])
    assert np.abs(kernel).max() > 3 * kernel.std()
    assert not params["fc"]["bias"].any()
    assert (params["norm"]["scale"] == 1).all()
    assert not params["norm"]["bias"].any()


def test_the_stem_of_imagenet_begins_with_hes_variance():
    stem = cnnjax.create("densenet121").layers()["conv1"]
    params = stem.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)["params"]
    assert np.asarray(params["conv"]["kernel"]).var() == pytest.approx(2 / (7 * 7 * 3), rel=0.06)


def zeros(net, stage, x, variables):
    """The share of zeros in what a convolution at the end of a stage gives in training."""
    y, _ = net.apply(
        variables,
        x,
        train=True,
        start=stage,
        stop=stage,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.key(3)},
    )
    return float((y == 0).mean()), y


def test_dropout_follows_every_convolution_but_the_first(some_variables):
    net, plain = SmallBC(dropout=0.2), SmallBC()
    variables = some_variables(net, IMAGE)
    x = jax.random.normal(jax.random.key(1), (64, 8, 8, 3))
    assert zeros(net, "conv1", x, variables)[0] == 0.0
    maps = jax.random.normal(jax.random.key(2), (64, 8, 8, 6))
    share, y = zeros(net, "dense1_1", maps, variables)
    assert (y[..., :6] == maps).all()  # what the layer was given stays whole
    assert share == pytest.approx(0.2 * 3 / 9, rel=0.05)
    # The one inside: what goes into the second norm has the mean square E[x^2] / 0.8.
    squares = {}
    for name, which in (("dropped", net), ("plain", plain)):
        layer = {"start": "dense1_1", "stop": "dense1_1", "rngs": {"dropout": jax.random.key(3)}}
        _, moved = which.apply(variables, maps, train=True, mutable=["batch_stats"], **layer)
        statistics = moved["batch_stats"]["dense1_1"]["norm2"]
        squares[name] = 10 * (statistics["var"] - 0.9) + (10 * statistics["mean"]) ** 2
    assert float((squares["dropped"] / squares["plain"]).mean()) == pytest.approx(1.25, rel=0.03)
    # Of the transition's windows of four, whole ones are dropped with 0.2^4 ...
    wide = jax.random.normal(jax.random.key(2), (256, 8, 8, 12))
    share, _ = zeros(net, "transition1", wide, variables)
    assert share == pytest.approx(0.2**4, rel=0.25)
    # ... and there is none at the head, nor without dropout, nor in evaluation.
    assert net.layers()["fc"].dropout == 0.0
    assert zeros(plain, "transition1", wide, variables)[0] == 0.0
    layer = {"start": "dense1_1", "stop": "dense1_1"}
    assert jnp.array_equal(
        net.apply(variables, maps, **layer), plain.apply(variables, maps, **layer)
    )


def test_no_network_drops_anything_by_default():
    for name in ("densenet121", "densenet_bc_100_12"):
        assert cnnjax.create(name).dropout == 0.0


def test_the_mode_changes_what_every_norm_does(some_variables):
    net = SmallBC()
    variables = some_variables(net, IMAGE)
    _, moved = net.apply(variables, images(), train=True, mutable=["batch_stats"])
    before, after = (jax.tree.leaves(tree) for tree in (variables["batch_stats"], moved))
    assert len(before) == len(after) == 2 * (3 * 2 + 1 + 1)  # layers, transition, last norm
    assert all(not jnp.allclose(b, a) for b, a in zip(before, after, strict=True))


def test_rematerialisation_changes_no_gradient(some_variables):
    variables = some_variables(SmallBC(), IMAGE)
    key = {"dropout": jax.random.key(5)}

    def gradients(net):
        def loss(params):
            given = variables | {"params": params}
            logits, _ = net.apply(given, images(), train=True, mutable=["batch_stats"], rngs=key)
            return -jax.nn.log_softmax(logits)[:, 1].mean()

        return jax.jit(jax.grad(loss))(variables["params"])

    plain, lean = (gradients(SmallBC(dropout=0.2, remat=remat)) for remat in (False, True))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(lean), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())


def test_rematerialisation_keeps_the_inputs_of_the_layers_alone():
    net, lean = ledger(SmallBC(), (32, 32, 3)), ledger(SmallBC(remat=True), (32, 32, 3))
    # 32 x 32 maps in float32: 6 and 9 of them for the two layers of the first block, 12 for the
    # transition; then a quarter of the pixels, 6 maps for a layer and 9 for the last norm.
    for stage, maps, pixels in (("dense1_1", 6, 1024), ("dense1_2", 9, 1024), ("norm", 9, 256)):
        assert lean[stage].kept_bytes == 4 * maps * pixels, stage
        assert net[stage].kept_bytes > lean[stage].kept_bytes, stage
    assert lean.total("kept_bytes") < 0.4 * net.total("kept_bytes")
