"""What every registered network keeps to, in numbers: what tracing shows is in test_contract.py.

The fast tests take one small member of most families, shortened where its class says how long it
is; the slow ones take every registered name, and a new one with no edit here.
"""

from functools import lru_cache

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models import NETWORKS

SIDES = {"alexnet": 67, "inception_v3": 299}  # of images; 64 otherwise or as small as the paper's
SHORT = {  # of each family what makes the shortest network with all of its parts
    "densenet_bc_100_12": {"blocks": (1, 1, 1)},
    "efficientnet_b0": {"width": 0.25, "depth": 0.1},
    "resnet20": {"n": 1},
}
EVERY = [pytest.param(name, marks=pytest.mark.slow) for name in cnnjax.list_models()]
SHORTENED = [
    "short resnet20",
    pytest.param("short densenet_bc_100_12", marks=pytest.mark.slow),
    pytest.param("short efficientnet_b0", marks=pytest.mark.slow),  # a minute to compile
]
CLASSES = 4


def created(name):
    kind, _, rest = name.rpartition(" ")
    network = NETWORKS[rest]
    if kind == "short":
        network = type(f"Short{network.__name__}", (network,), dict(SHORT[rest]))
    return network(num_classes=CLASSES)


class Computed:
    """A network with four classes, its variables and four images."""

    def __init__(self, name, some_variables):
        height, _, channels = created(name).image
        side = 32 if name.startswith("short ") else SIDES.get(name, min(height, 64))
        self.net = created(name)
        self.shape = (side, side, channels)
        self.variables = some_variables(self.net, self.shape)
        rng = np.random.default_rng(7)
        self.images = jnp.asarray(rng.normal(size=(4, *self.shape)), jnp.float32)
        # The loss is a sum of the logits with these weights.
        self.weights = jnp.asarray(rng.normal(size=(4, CLASSES)), jnp.float32)

    def step(self, net, train=True):
        """A jitted (variables, images) -> (logits, statistics), gradients of every parameter."""
        mutable = [*(c for c in self.variables if c != "params"), "auxiliary"]

        def loss(params, rest, images):
            logits, updated = net.apply(
                {"params": params, **rest},
                images,
                train=train,
                mutable=mutable,
                rngs={"dropout": jax.random.key(0)},
            )
            heads = jax.tree.leaves(updated.pop("auxiliary", {}))
            total = sum((head * self.weights).sum() for head in [logits, *heads])
            return total, (logits, updated)

        def run(variables, images):
            self.traces += 1
            rest = {c: group for c, group in variables.items() if c != "params"}
            return jax.grad(loss, has_aux=True)(variables["params"], rest, images)

        self.traces = 0
        return jax.jit(run)


@pytest.fixture(scope="module", params=[*SHORTENED, *EVERY])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def computed(some_variables):
    # All tests of one network follow each other; the largest have hundreds of megabytes.
    return lru_cache(maxsize=1)(lambda name: Computed(name, some_variables))


@pytest.fixture(scope="module")
def trained(computed):
    """name -> what a step with rematerialised stages gives."""

    @lru_cache(maxsize=1)
    def run(name):
        made = computed(name)
        step = made.step(made.net.clone(remat=True))
        step(made.variables, made.images + 1)
        result = step(made.variables, made.images)
        assert made.traces == 1, "the second call compiled again"
        return result

    return run


def named(tree):
    return {jax.tree_util.keystr(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def cancelled_by_the_norm(path, params):
    """Whether this is the bias of a convolution whose batch mean is taken away right after it."""
    return path.endswith("['conv']['bias']") and path.replace("['conv']", "['norm']") in params


def test_every_parameter_receives_a_finite_gradient_that_is_not_zero(computed, trained, name):
    gradients, _ = trained(name)
    gradients = named(gradients)
    cancelled = [path for path in gradients if cancelled_by_the_norm(path, gradients)]
    if cancelled:  # they receive theirs where the running mean is taken away
        made = computed(name)
        evaluation = named(made.step(made.net, train=False)(made.variables, made.images)[0])
        gradients |= {path: evaluation[path] for path in cancelled}
    for path, gradient in gradients.items():
        assert jnp.isfinite(gradient).all(), path
        assert jnp.abs(gradient).max() > 0, path


def test_training_moves_every_statistic(computed, trained, name):
    made = computed(name)
    _, (_, updated) = trained(name)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        updated, {c: g for c, g in made.variables.items() if c != "params"}
    )
    after = named(updated)
    for path, before in named(made.variables).items():
        if not path.startswith("['params']"):
            assert (after[path] != before).any(), path


def test_stages_one_by_one_give_what_the_jitted_whole_gives_each_time(computed, name):
    made = computed(name)
    whole = jax.jit(made.net.apply)
    logits = whole(made.variables, made.images)
    assert jnp.array_equal(logits, whole(made.variables, made.images))
    x = made.images
    for stage in made.net.stages:
        own = {c: {stage: g[stage]} for c, g in made.variables.items() if stage in g}
        x = made.net.apply(own, x, start=stage, stop=stage)
    close(x, logits, 1e-4)


def test_seeds_can_be_stacked_with_vmap(computed, some_variables, name):
    made = computed(name)
    seeds = [made.variables, some_variables(made.net, made.shape, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
    images = made.images[:1]
    together = jax.jit(jax.vmap(made.net.apply, in_axes=(0, None)))(stacked, images)
    alone = jax.jit(made.net.apply)
    for logits, variables in zip(together, seeds, strict=True):
        close(logits, alone(variables, images), 1e-4)


def test_rematerialised_stages_give_the_same_logits_statistics_and_gradients(
    computed, trained, name
):
    made = computed(name)
    gradients, (logits, moved) = trained(name)
    if name in ("short resnet20", "short efficientnet_b0"):  # compiled twice it takes long
        plain, (expected, statistics) = made.step(made.net)(made.variables, made.images)
        # The bias of a norm that only another norm follows has a gradient of rounding errors.
        noise = 1e-5 * max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(plain))
        jax.tree.map(lambda a, b: close(a, b, 1e-3, noise), gradients, plain)
    else:
        mutable = [*moved, "auxiliary"]  # without which auxiliary heads are left out
        expected, statistics = jax.jit(
            lambda v, x: made.net.apply(
                v, x, train=True, mutable=mutable, rngs={"dropout": jax.random.key(0)}
            )
        )(made.variables, made.images)
        statistics.pop("auxiliary", None)
    close(logits, expected, 1e-3)
    jax.tree.map(lambda a, b: close(a, b, 1e-3), moved, statistics)


def close(found, expected, tolerance, noise=0.0):
    """Relative to the largest number there is."""
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale + noise)


def test_a_residual_block_and_a_whole_network_work_inside_a_foreign_module(computed):
    made = computed("short resnet20")

    class Foreign(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            block = cnnjax.layers.ConvNorm(
                3, 3, momentum=0.9, epsilon=1e-5, padding=1, activation=nn.relu, name="block"
            )
            whole = made.net.copy(name="whole")
            return nn.Dense(1)(whole(x + block(x, train=train), train=train))

    net = Foreign()
    images = made.images
    variables = net.init(jax.random.key(0), images, train=False)
    assert tuple(variables["params"]["whole"]) == made.net.stages
    assert set(variables["params"]["block"]) == {"conv", "norm"}
    y, moved = net.apply(variables, images, train=True, mutable=["batch_stats"])
    assert y.shape == (4, 1)
    for path, statistic in named(moved).items():
        assert (statistic != named({"batch_stats": variables["batch_stats"]})[path]).any(), path
    inner = {c: group["whole"] for c, group in variables.items()}
    whole = net.bind(variables).variables["params"]["whole"]
    chex.assert_trees_all_equal(whole, inner["params"])
