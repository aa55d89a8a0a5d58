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


class OneBlock(SmallBC):
    """The first of them."""

    blocks = (2,)


IMAGE = (9, 7, 3)


def images(seed=0, count=4):
    return jax.random.normal(jax.random.key(seed), (count, *IMAGE))


@pytest.mark.parametrize(
    ("stage", "channels", "fan_in"),
    [
        ("conv1", 3, {"conv": 7 * 7 * 3}),
        ("dense1_1", 64, {"conv1": 64, "conv2": 3 * 3 * 4 * 32}),
    ],
)
def test_weights_begin_with_hes_variance_biases_at_zero_and_scales_at_one(stage, channels, fan_in):
    layer = cnnjax.create("densenet121").layers()[stage]
    params = layer.init(jax.random.key(0), jnp.zeros((1, 8, 8, channels)), train=False)["params"]
    for name, n_in in fan_in.items():
        kernel = np.asarray(params[name]["kernel"])
        # The variance of n numbers has the relative deviation sqrt(2 / n).
        assert kernel.var() == pytest.approx(2 / n_in, rel=4 * np.sqrt(2 / kernel.size)), name
        # Not cut: of so many numbers some are further out than cut ones can be.
        assert np.abs(kernel).max() > 2.5 * kernel.std(), name
    for norm in set(params) - set(fan_in):
        assert (params[norm]["scale"] == 1).all(), norm
        assert not params[norm]["bias"].any(), norm


def trained(net, stage, variables, x):
    """What a stage gives in training, and its new statistics."""
    y, moved = net.apply(
        variables,
        x,
        train=True,
        start=stage,
        stop=stage,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.key(3)},
    )
    return y, moved["batch_stats"].get(stage)


@pytest.mark.slow
def test_dropout_follows_every_convolution_but_the_first(some_variables):
    net, plain = SmallBC(dropout=0.2), SmallBC()
    variables = some_variables(net, IMAGE)
    x = jax.random.normal(jax.random.key(1), (64, 8, 8, 12))
    assert (trained(net, "conv1", variables, x[..., :3])[0] != 0).all()
    y, statistics = trained(net, "dense1_1", variables, x[..., :6])
    assert (y[..., :6] == x[..., :6]).all()  # what the layer was given stays whole
    assert (y[..., 6:] == 0).mean() == pytest.approx(0.2, rel=0.05)
    # What goes into the second norm, behind the bottleneck, has the mean square E[x^2] / 0.8.
    y, without = trained(plain, "dense1_1", variables, x[..., :6])
    assert (y != 0).all()
    squares, others = (
        10 * (norm["var"] - 0.9) + (10 * norm["mean"]) ** 2
        for norm in (statistics["norm2"], without["norm2"])
    )
    assert float((squares / others).mean()) == pytest.approx(1.25, rel=0.03)
    # Of the transition's windows of four, all are dropped with 0.5^4 if each is with 0.5.
    y, _ = trained(SmallBC(dropout=0.5), "transition1", variables, x)
    assert (y == 0).mean() == pytest.approx(0.5**4, rel=0.2)
    assert net.layers()["fc"].dropout == 0.0
    # In evaluation nothing is drawn: there is no key to draw with.
    assert (net.apply(variables, x[..., :6], start="dense1_1", stop="dense1_1") != 0).all()


def test_no_network_drops_anything_by_default():
    for name in ("densenet121", "densenet_bc_100_12"):
        assert cnnjax.create(name).dropout == 0.0


@pytest.mark.slow
def test_rematerialisation_changes_no_gradient(some_variables):
    variables = some_variables(OneBlock(), IMAGE)
    key = {"dropout": jax.random.key(5)}

    def gradients(net):
        def loss(params):
            given = variables | {"params": params}
            logits, _ = net.apply(given, images(), train=True, mutable=["batch_stats"], rngs=key)
            return -jax.nn.log_softmax(logits)[:, 1].mean()

        return jax.jit(jax.grad(loss))(variables["params"])

    plain, lean = (gradients(OneBlock(dropout=0.2, remat=remat)) for remat in (False, True))
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
