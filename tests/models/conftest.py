"""Networks of other people with weights that anyone can draw again, to compare ours with.

tests/golden/NAME.npz holds what torchvision 0.28 (timm 1.0.31 where the name begins with timm_)
computes: 24 numbers of the output of each of its modules in evaluation mode, the logits, and the
logits, the loss and some gradients in training. Every entry of the state dict is drawn from a
generator that is named after it, so that none needs storing; the images are drawn from the
generator "input". NAME.json holds the images' shape and the shape of each module's output.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.pretrained.layouts import (
    KERAS_LEAVES,
    TORCH_LEAVES,
    Form,
    NameOf,
    Place,
    from_torch,
    to_torch,
)

# What these show of themselves, a shorter member of their family shows in the fast tests too (of
# NASNet the short one of test_nasnet.py): each of them costs seconds of tracing. `pytest -m slow`
# goes through them. A new name is fast.
SIBLINGS = {
    *(
        "densenet161",
        "densenet169",
        "densenet201",
        "nasnet_large",
        "nasnet_mobile",
        "resnet32",
        "resnet44",
    ),
    *("resnet56", "resnet110", "resnet34", "resnet101", "resnet152", "resnet101v2", "resnet152v2"),
    *("resnext101_32x8d", "resnext101_64x4d", "vgg13", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *(f"efficientnet_b{i}" for i in range(1, 8)),
}
DEEP = {
    *("densenet121", "densenet_bc_100_12", "efficientnet_b0", "googlenet", "inception_v3"),
    *("mobilenet", "mobilenet_v2", "resnet50", "resnet50v2", "resnext50_32x4d", "xception"),
}
"""Whose ledger takes longest; their counts and shapes have tests of their own."""
LONG_TO_TRACE = {
    *("densenet161", "densenet169", "densenet201", "nasnet_large", "nasnet_mobile", "resnet152"),
    *("resnet152v2", "resnext101_64x4d", *(f"efficientnet_b{i}" for i in range(1, 8))),
}
"""Of each of these even the count of its parameters takes 2 to 10 seconds."""
FROM_THE_REGISTRY = {
    "test_contract.py": SIBLINGS | {"densenet121"},
    "test_counts.py": LONG_TO_TRACE,
    "test_ledger.py": SIBLINGS | DEEP,
}

GOLDEN = Path(__file__).parents[1] / "golden"


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def entry(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An entry of torch's state dict, in torch's shape."""
    g = generator(name)
    if len(shape) > 1:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return g.standard_normal(shape).astype(np.float32) * scale
    if name.endswith(("running_mean", "bias")):
        return (g.standard_normal(shape) * 0.1).astype(np.float32)
    return g.uniform(0.5, 1.5, shape).astype(np.float32)


def close(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Relative to the largest number there is."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what
    )


class Golden:
    """What another implementation computes.

    `name_of` maps the path of one of our variables without its leaf, e.g. ("conv2_1", "conv1",
    "norm"), to torch's prefix, e.g. "layer1.0.bn1"; the leaf follows from ours ("scale" is
    "weight"). `forms` names dense layers that are particular there: {path: form}.
    """

    def __init__(self, name: str) -> None:
        facts = json.loads((GOLDEN / f"{name}.json").read_text())
        self.name = name
        self.parameters: int = facts["params"]
        self.shapes = {stage["module"]: tuple(stage["shape"]) for stage in facts["stages"]}
        self.images = generator("input").standard_normal(facts["input"]).astype(np.float32)
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
            self.arrays = dict(arrays)

    def variables(self, net, name_of: NameOf, forms: dict[Place, Form] | None = None) -> dict:
        """Our variables with the other implementation's values."""
        image = jax.ShapeDtypeStruct((1, *self.images.shape[1:]), jnp.float32)
        shapes = jax.eval_shape(net.init, jax.random.key(0), image)

        def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
            *place, last = (key.key for key in path[1:])
            name = f"{name_of(tuple(place))}.{TORCH_LEAVES[last]}"
            form = (forms or {}).get(tuple(place)) if last == "kernel" else None
            shape = to_torch(np.empty(leaf.shape), form).shape
            return jnp.asarray(from_torch(entry(name, shape), form))

        return jax.tree_util.tree_map_with_path(fill, shapes)

    def check_stages(self, net, variables: dict, modules: dict[str, str]) -> None:
        """Every stage in `modules` gives what the other's module does, and the end its logits.

        One program computes them all: each operation by itself would take five times as long to
        compile.
        """

        @jax.jit
        def outputs(variables: dict, x: jax.Array) -> dict:
            found = {}
            for stage in net.stages:
                x = found[stage] = net.apply(variables, x, start=stage, stop=stage)
            return found

        found = outputs(variables, self.images)
        for stage in net.stages:
            if stage in modules:
                module, last = modules[stage], jax.tree.leaves(found[stage])[-1]
                assert last.shape == self.shapes[module], f"{stage} against {module}"
                flat = np.asarray(last).reshape(-1)[self.arrays[f"eval/{module}/index"]]
                close(flat, self.arrays[f"eval/{module}/value"], 1e-4, f"{stage}, {module}")
        close(found[net.stages[-1]], self.arrays["eval_logits"], 1e-4, "logits")

    def check_training(
        self,
        net,
        variables: dict,
        name_of: NameOf,
        *,
        auxiliary: dict[str, str] | None = None,
        forms: dict[Place, Form] | None = None,
        chaotic: bool = False,
    ) -> None:
        """Logits with batch statistics, the loss and the gradients that the other one has.

        `auxiliary` maps our stage with an auxiliary head to its logits among the arrays. The loss
        is that of the logits alone, with such heads too. Dropout must be off. The first gradients
        of a `chaotic` network are so much rounding in float32 that the other implementation does
        not give its own again (tests/golden/float64.py says how far off it is): they are compared
        in float64, with NAME_float64.npz.
        """
        (value, (logits, side)), gradients = self._differentiate(net, variables, bool(auxiliary))
        close(logits, self.arrays["train_logits"], 1e-3, "logits in training")
        for stage, name in (auxiliary or {}).items():
            close(side[stage]["logits"], self.arrays[name], 1e-3, f"{stage}, {name}")
        close(value, self.arrays["train_loss"], 1e-3, "loss")
        if not chaotic:
            self._check_gradients(gradients, self.arrays, name_of, forms, 1e-2)
            return
        with np.load(GOLDEN / f"{self.name}_float64.npz", allow_pickle=False) as arrays:
            expected = dict(arrays)
        with jax.enable_x64(True):
            double = net.clone(dtype=jnp.float64, param_dtype=jnp.float64)
            wide = jax.tree.map(lambda array: array.astype(jnp.float64), variables)
            (value, _), gradients = self._differentiate(double, wide, bool(auxiliary))
        close(value, expected["train_loss"], 1e-6, "loss in float64")  # of logits in float32
        self._check_gradients(gradients, expected, name_of, forms, 1e-6)

    def _differentiate(self, net, variables: dict, auxiliary: bool) -> tuple:
        """((the loss, (logits, side outputs)), gradients)."""
        others = [collection for collection in variables if collection != "params"]
        images, labels = jnp.asarray(self.images, net.dtype), jnp.arange(len(self.images))

        def loss(params: dict) -> tuple[jax.Array, tuple]:
            logits, updated = net.apply(
                variables | {"params": params},
                images,
                train=True,
                mutable=[*others, *(["auxiliary"] if auxiliary else [])],
            )
            side = updated.get("auxiliary", {})
            log_p = jax.nn.log_softmax(logits.astype(net.dtype))
            return -log_p[labels, labels].mean(), (logits, side)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])

    def _check_gradients(
        self,
        gradients: dict,
        arrays: dict,
        name_of: NameOf,
        forms: dict[Place, Form] | None,
        tolerance: float,
    ) -> None:
        wanted = {key.split("/")[1] for key in arrays if key.startswith("grad/")}
        for place, leaf, gradient in leaves_of(gradients):
            name = f"{name_of(place)}.{TORCH_LEAVES[leaf]}"
            if name not in wanted:
                continue
            wanted.remove(name)
            form = (forms or {}).get(place) if leaf == "kernel" else None
            found = to_torch(np.asarray(gradient), form).reshape(-1)
            norm = float(arrays[f"grad/{name}/norm"])
            if norm < 1e-5:  # a bias that a later norm takes away: all of it is rounding
                assert np.linalg.norm(found) < 1e-5, name
                continue
            assert np.linalg.norm(found) == pytest.approx(norm, rel=tolerance), name
            expected = arrays[f"grad/{name}/value"]
            close(found[arrays[f"grad/{name}/index"]], expected, tolerance, name)
        assert not wanted, f"no gradients of ours for {wanted}"


def leaves_of(tree: dict) -> Iterator[tuple[tuple[str, ...], str, jax.Array]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        *place, last = (key.key for key in path)
        yield tuple(place), last, leaf


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        rows = (value.get("network") if isinstance(value, dict) else value for value in parameters)
        names = {name for name in rows if isinstance(name, str)}
        if names & FROM_THE_REGISTRY.get(item.path.name, set()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """`golden("resnet18")`: what tests/golden/resnet18.npz and .json hold, see `Golden`."""
    return Golden


@pytest.fixture(scope="session")
def transplant_keras() -> Callable:
    """`transplant_keras(net, model, image_shape, name_of)`: random numbers for all weights and
    statistics of a Keras model, which are set there, and returned as our variables.

    `name_of` maps the path of one of our variables without its leaf, e.g. ("conv1", "norm"), to
    the name of Keras' layer, e.g. "conv1_bn"; for the two kernels of a SeparableConv2D our path
    ends with "depthwise" or "pointwise" and both are mapped to one name. Every weight of the model
    is used, each once; the test fails otherwise.
    """

    def transplant(net, model, image_shape: tuple[int, int, int], name_of: NameOf) -> dict:
        rng = np.random.default_rng(0)
        source = {}
        for layer in model.layers:
            for weight in layer.weights:
                source[layer.name, weight.name] = weight
        image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        shapes = jax.eval_shape(net.init, jax.random.key(0), image)

        def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
            *place, last = (key.key for key in path[1:])
            layer = name_of(tuple(place))
            names = KERAS_LEAVES[last]
            if place[-1] in ("depthwise", "pointwise"):
                names = (f"{place[-1]}_kernel", *names)
            weight = next(
                (source.pop((layer, n)) for n in names if (layer, n) in source),
                None,
            )
            assert weight is not None, f"{place} {last}: Keras' {layer} has none of {names} left"
            if last == "kernel":
                fan_in = np.prod(leaf.shape[:-1])
                values = rng.normal(0, np.sqrt(2 / fan_in), leaf.shape)
            elif last in ("scale", "var"):
                values = rng.uniform(0.5, 1.5, leaf.shape)
            else:
                values = rng.normal(0, 0.1, leaf.shape)
            values = values.astype(np.float32)
            # Keras' depthwise kernels are [kh, kw, C, multiplier], ours [kh, kw, 1, C multiplier].
            weight.assign(values.reshape(weight.shape))
            return jnp.asarray(values)

        variables = jax.tree_util.tree_map_with_path(fill, shapes)
        left = [key for key in source if "normalization" not in key[0]]
        assert not left, f"weights of Keras that nothing took: {left}"
        return variables

    return transplant
