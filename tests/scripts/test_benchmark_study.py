"""The study's benchmark: that the other side is what the page says. Nothing is timed here."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.models import NETWORKS
from cnnjax.training import classification, create_state, feeds, fit, sgd
from cnnjax.transfer import initialise

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    """The script and its stock networks; what it changes is changed back."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_study
    import stock_networks

    monkeypatch.setattr(feeds, "train_steps", feeds.train_steps)
    for name in stock_networks.STOCK:
        monkeypatch.setitem(NETWORKS, name, NETWORKS[name])
    return benchmark_study


def training(network):
    random, optimizer = np.random.RandomState(0), sgd(0.05)
    images = jnp.asarray(random.standard_normal((20, 32, 32, 1)), jnp.float32)
    state = create_state(initialise(network, (32, 32, 1), 0), optimizer, jax.random.key(1))
    return fit(
        state,
        (images, jnp.asarray(random.randint(0, 3, 20))),
        network=network,
        task=classification,
        optimizer=optimizer,
        steps=5,
        batch_size=4,
        seed=0,
    )


def test_the_other_side_takes_a_call_for_each_step_of_stock_networks(scripts, monkeypatch):
    network = NETWORKS["lenet5"](num_classes=3)
    expected, lines = training(network)
    calls = []
    one_step = scripts._one_step

    def counted(*arguments, **settings):
        calls.append(settings["network"])
        return one_step(*arguments, **settings)

    monkeypatch.setattr(scripts, "_one_step", counted)
    scripts.use_stock()
    stock = NETWORKS["lenet5"](num_classes=3)
    state, same = training(stock)
    assert calls == [stock] * 5
    assert type(stock) is not type(network)
    assert same[-1]["loss"] == pytest.approx(lines[-1]["loss"], rel=1e-4)
    for one, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
