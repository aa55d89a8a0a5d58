"""The ResNets for CIFAR-10 against the table of section 4.2 and the equations written out."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models.resnet_cifar import CifarResNet
from cnnjax.models.trace import trace

DEPTHS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}


class ResNet8(CifarResNet):
    """n = 1, to compile fast."""

    n: ClassVar = 1


def kernels(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [leaf.shape for path, leaf in leaves if path[-1].key == "kernel"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if DEPTHS[n] > 3 else n for n in DEPTHS]
)
@pytest.mark.parametrize("shortcuts", [True, False])
def test_a_network_has_the_layers_of_the_papers_table(name, shortcuts):
    # Output map size 32 x 32, 16 x 16, 8 x 8; layers 1 + 2n, 2n, 2n; filters 16, 32, 64.
    n = DEPTHS[name]
    stages = trace(cnnjax.create(name, shortcuts=shortcuts), (32, 32, 3))
    found = {}
    for stage in stages[:-1]:
        _, height, width, filters = stage.outputs.shape
        convolutions = kernels(stage.variables["params"])
        assert all(shape[:2] == (3, 3) and shape[3] == filters for shape in convolutions)
        size = f"{height} x {width}, {filters}"
        found[size] = found.get(size, 0) + len(convolutions)
    assert found == {"32 x 32, 16": 1 + 2 * n, "16 x 16, 32": 2 * n, "8 x 8, 64": 2 * n}
    assert stages[-1].outputs.shape == (1, 10)
    assert 6 * n + 2 == int(name.removeprefix("resnet"))
    numbers = [f"conv{group}_{i}" for group in (2, 3, 4) for i in range(1, n + 1)]
    assert [stage.name for stage in stages] == ["conv1", *numbers, "fc"]


@pytest.mark.parametrize("name", DEPTHS)
def test_the_published_count_is_that_of_the_papers_table(name):
    n = DEPTHS[name]
    published = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
    by_hand = 9 * 3 * 16 + 9 * 16 * 16 * 2 * n
    by_hand += 9 * 16 * 32 + 9 * 32 * 32 * (2 * n - 1)
    by_hand += 9 * 32 * 64 + 9 * 64 * 64 * (2 * n - 1)
    by_hand += 2 * (16 * (1 + 2 * n) + 32 * 2 * n + 64 * 2 * n)  # batch norm
    by_hand += 64 * 10 + 10
    assert by_hand == published[6 * n + 2]  # what tests/tables/parameters.csv holds


class ByHand:
    """The equations of section 3.2 and 4.2 with plain lax, and the running statistics."""

    def __init__(self, variables, train, shortcuts):
        self.params, self.stats = variables["params"], variables["batch_stats"]
        self.train, self.shortcuts, self.moved = train, shortcuts, {}

    def conv_norm(self, x, stride, *place):
        params, stats = self.params, self.stats
        for key in place:
            params, stats = params[key], stats[key]
        x = lax.conv_general_dilated(
            x,
            params["conv"]["kernel"],
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        mean, var = stats["norm"]["mean"], stats["norm"]["var"]
        if self.train:
            m = x.size / x.shape[-1]
            batch_mean, batch_var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.moved[place] = (
                0.9 * mean + 0.1 * batch_mean,
                0.9 * var + 0.1 * batch_var * m / (m - 1),
            )
            mean, var = batch_mean, batch_var
        norm = params["norm"]
        return (x - mean) / jnp.sqrt(var + 1e-5) * norm["scale"] + norm["bias"]

    def __call__(self, x, n):
        maps = {"conv1": (x := jnp.maximum(self.conv_norm(x, 1, "conv1"), 0))}
        for group, filters in ((2, 16), (3, 32), (4, 64)):
            for number in range(1, n + 1):
                stage, stride = f"conv{group}_{number}", 2 if group > 2 and number == 1 else 1
                y = jnp.maximum(self.conv_norm(x, stride, stage, "conv1"), 0)
                y = self.conv_norm(y, 1, stage, "conv2")
                if self.shortcuts:
                    shortcut = np.zeros(y.shape, np.float32)
                    shortcut[..., : x.shape[-1]] = np.asarray(x)[:, ::stride, ::stride]
                    assert y.shape[-1] == filters
                    y = y + shortcut
                maps[stage] = x = jnp.maximum(y, 0)
        maps["fc"] = x.mean((1, 2)) @ self.params["fc"]["kernel"] + self.params["fc"]["bias"]
        return maps


def drawn(net, image, seed=0):
    """Random numbers for all variables, none of them 0 or 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        elif path[-1].key in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = rng.normal(0, 0.1, leaf.shape)
        return jnp.asarray(values, jnp.float32)

    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), images)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def close(found, expected, what):
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=what)


@pytest.mark.parametrize("shortcuts", [True, False])
def test_resnet20_computes_the_papers_equations_stage_by_stage(shortcuts):
    net, image = cnnjax.create("resnet20", shortcuts=shortcuts), (15, 9, 3)
    variables = drawn(net, image)
    x = np.random.default_rng(1).standard_normal((3, *image)).astype(np.float32)
    expected = ByHand(variables, train=False, shortcuts=shortcuts)(x, 3)
    assert tuple(expected) == net.stages
    for stage in net.stages:
        x = net.apply(variables, x, start=stage, stop=stage)
        close(x, expected[stage], stage)


def test_in_training_it_normalises_by_the_batch_and_moves_the_statistics():
    net, image = ResNet8(), (15, 9, 3)
    variables = drawn(net, image)
    x = np.random.default_rng(1).standard_normal((3, *image)).astype(np.float32)
    by_hand = ByHand(variables, train=True, shortcuts=True)
    expected = by_hand(x, 1)["fc"]
    logits, updated = net.apply(variables, x, train=True, mutable=["batch_stats"])
    close(logits, expected, "logits")
    assert len(by_hand.moved) == 7
    for place, (mean, var) in by_hand.moved.items():
        found = updated["batch_stats"]
        for key in place:
            found = found[key]
        close(found["norm"]["mean"], mean, place)
        close(found["norm"]["var"], var, place)


def test_rematerialisation_changes_no_gradient():
    image = (8, 8, 3)
    x = jax.random.normal(jax.random.key(0), (4, *image))
    variables = drawn(ResNet8(num_classes=0), image)
    found = []
    for net in (ResNet8(), ResNet8(remat=True)):

        def loss(params, net=net):
            every = variables | {"params": params}
            maps, updated = net.apply(every, x, train=True, stop="conv2_1", mutable=["batch_stats"])
            return jnp.square(maps).mean(), updated["batch_stats"]

        found.append(jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"]))
    plain, again = (jax.tree_util.tree_leaves_with_path(tree) for tree in found)
    for (path, expected), (_, other) in zip(plain, again, strict=True):
        close(other, expected, jax.tree_util.keystr(path))


def test_kernels_begin_with_hes_variance_2_over_fan_in():
    layers = ResNet8().layers()
    block = layers["conv3_1"].init(jax.random.key(0), jnp.zeros((1, 2, 2, 16)), train=False)
    for conv, fan_in in (("conv1", 9 * 16), ("conv2", 9 * 32)):
        kernel = np.asarray(block["params"][conv]["conv"]["kernel"])
        assert kernel.var() == pytest.approx(2 / fan_in, rel=0.08)  # of 2 / n_out, half or as much
    head = layers["fc"].init(jax.random.key(0), jnp.zeros((1, 2, 2, 64)), train=False)["params"]
    assert np.asarray(head["kernel"]).var() == pytest.approx(2 / 64, rel=0.2)
    assert not head["bias"].any()


def test_with_zero_init_a_block_begins_as_its_shortcut_of_zeros_and_every_second_pixel():
    block = ResNet8(zero_init=True).layers()["conv3_1"]
    x = jax.random.normal(jax.random.key(1), (2, 5, 4, 16))
    variables = block.init(jax.random.key(0), x, train=False)
    y = block.apply(variables, x, train=False)
    assert y.shape == (2, 3, 2, 32)
    np.testing.assert_array_equal(y[..., :16], jnp.maximum(x[:, ::2, ::2], 0))
    assert not y[..., 16:].any()
    assert set(variables["params"]) == {"conv1", "conv2"}


def test_a_plain_network_cannot_begin_at_its_shortcuts():
    with pytest.raises(CnnjaxError, match="zero_init is True and shortcuts False") as error:
        cnnjax.create("resnet20", shortcuts=False, zero_init=True).layers()
    assert "\n" not in str(error.value)
