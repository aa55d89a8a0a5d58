"""What every registered network keeps to, as far as tracing shows it: nothing is computed.

A new name is covered with no edit here. Each network is traced a few times, on one image that is
no square and has the other number of channels than the paper's; all tests share these traces. Deep
networks that repeat the same blocks are traced in a short form, and whole by the slow tests.
What only numbers can show is in test_contract_values.py, what a network is made of in
test_contract_parts.py.
"""

import math
import re
from functools import cached_property, partial
from inspect import getclosurevars

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models import NETWORKS, check_takes

KEY = jax.random.key(0)
SMALLEST = {  # side of the smallest square image; 1 unless named, and the search says otherwise
    "alexnet": 67,
    "alexnet_small": 15,
    "cifar_vgg": 8,
    "conv_stack": 7,
    **dict.fromkeys([f"densenet{depth}" for depth in (121, 161, 169, 201)], 29),
    "densenet_bc_100_12": 4,
    "googlenet": 15,
    "inception_v3": 299,  # the auxiliary head needs 17 x 17 maps
    "lenet5": 16,
    "mobilenet": 31,
    **dict.fromkeys(["nasnet_large", "nasnet_mobile"], 3),
    **dict.fromkeys([f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")], 32),
    "xception": 7,
}
SHORT = {  # of deep networks what makes them short, with all of their parts
    "densenet_bc_100_12": {"blocks": (2, 1, 1)},
    "efficientnet_b0": {"depth": 0.3},
    "resnet50": {"blocks": (2, 2, 1, 1)},
    "resnet50v2": {"blocks": (2, 2, 1, 1)},
    "resnext50_32x4d": {"blocks": (2, 2, 1, 1)},
}
WHOLE = [
    pytest.param(name, marks=pytest.mark.slow) if name in SHORT else name
    for name in cnnjax.list_models()
]


def smallest_square(name):
    """Of the images that it takes: from the table, or from the advice of `check_takes`."""
    channels = NETWORKS[name].image[2]
    try:
        check_takes(cnnjax.create(name), (1, 1, channels))
    except CnnjaxError as error:
        return int(re.search(r"smallest square image it takes is (\d+) x \1", str(error))[1])
    return 1


class Traced:
    """On images [2, S, S + 3, C]: S the smallest side that fits, C = 1 where the paper has 3."""

    def __init__(self, name):
        short, name = name.startswith("short "), name.removeprefix("short ")
        network = NETWORKS[name]
        if short:
            network = type(f"Short{network.__name__}", (network,), dict(SHORT[name]))
        self.net = network(num_classes=4)
        self.channels = {1: 3, 3: 1}[NETWORKS[name].image[2]]
        self.side = SMALLEST.get(name, 1)
        try:
            self.variables = self.shapes_of_variables()
        except CnnjaxError:
            self.side = smallest_square(name)
            self.variables = self.shapes_of_variables()

    @property
    def images(self):
        shape = (2, self.side, self.side + 3, self.channels)
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def shapes_of_variables(self):
        self.initialisers = {}  # {path of a kernel: (its initialiser, its shape)}

        def record(call, args, kwargs, context):
            result, module = call(*args, **kwargs), context.module
            if hasattr(module, "kernel_init") and module.has_variable("params", "kernel"):
                kernel = module.get_variable("params", "kernel")
                self.initialisers[(*module.scope.path, "kernel")] = module.kernel_init, kernel.shape
            return result

        with nn.intercept_methods(record):
            return jax.eval_shape(self.net.init, KEY, self.images)

    def collections(self, *more):
        return [*(c for c in self.variables if c != "params"), *more]

    @cached_property
    def evaluation(self):
        """(jaxpr, outputs) of (variables, images) -> (logits, statistics)."""
        run = partial(self.net.apply, mutable=self.collections())
        return jax.make_jaxpr(run, return_shape=True)(self.variables, self.images)

    @cached_property
    def training(self):
        """(jaxpr, outputs) of (variables, images, key) -> (logits, statistics and auxiliary)."""

        def run(variables, images, key):
            mutable = self.collections("auxiliary")
            rngs = {"dropout": key}
            return self.net.apply(variables, images, train=True, mutable=mutable, rngs=rngs)

        return jax.make_jaxpr(run, return_shape=True)(self.variables, self.images, KEY)

    @cached_property
    def staged(self):
        """As `evaluation`, but every stage is applied by itself and given its own variables."""

        def run(variables, images):
            x, statistics = images, {c: {} for c in self.collections()}
            for stage in self.net.stages:
                x, updated = self.net.apply(
                    only(variables, [stage]), x, start=stage, stop=stage, mutable=list(statistics)
                )
                for collection, group in updated.items():
                    statistics[collection] |= group
            return x, statistics

        return jax.make_jaxpr(run, return_shape=True)(self.variables, self.images)


def only(variables, stages):
    return {c: {s: g[s] for s in stages if s in g} for c, g in variables.items()}


@pytest.fixture(scope="module", params=[*WHOLE, *(f"short {name}" for name in SHORT)])
def traced(request):
    return Traced(request.param)


def named(tree):
    """{path: leaf}"""
    return {jax.tree_util.keystr(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def inputs_and_outputs(jaxpr, arguments, outputs):
    """The variables of a jaxpr by their place in its arguments, and in its outputs."""
    places = (arguments, jaxpr.jaxpr.invars), (outputs, jaxpr.jaxpr.outvars)
    return [dict(zip(named(tree), flat, strict=True)) for tree, flat in places]


def needed_for(jaxpr, outputs):
    """The variables that these outputs depend on."""
    needed = set(outputs)
    for equation in reversed(jaxpr.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(v for v in equation.invars if not isinstance(v, core.Literal))
    return needed


def made_of(jaxpr, inputs):
    """The variables that depend on these inputs."""
    made = set(inputs)
    for equation in jaxpr.jaxpr.eqns:
        if any(not isinstance(v, core.Literal) and v in made for v in equation.invars):
            made.update(equation.outvars)
    return made


def test_small_images_of_another_number_of_channels_give_logits(traced):
    (logits, _) = traced.evaluation[1]
    assert (logits.shape, logits.dtype) == ((2, 4), jnp.float32)


def test_variables_are_keyed_by_stage(traced):
    assert set(traced.variables) <= {"params", "batch_stats"}
    for group in traced.variables.values():
        assert set(group) <= set(traced.net.stages)
    assert traced.net.stages[-1] in traced.variables["params"]  # the head


def test_an_image_that_is_too_small_is_refused_with_the_stage_and_the_size_that_fits(traced):
    if traced.side == 1:
        return  # it takes a single pixel
    below = (traced.side - 1, traced.side - 1, traced.channels)
    with pytest.raises(CnnjaxError) as error:
        jax.eval_shape(traced.net.init, KEY, jnp.zeros((1, *below)))
    assert "\n" not in str(error.value)
    assert re.match(rf"stage ({'|'.join(traced.net.stages)}) of \w+: ", str(error.value))


def test_the_whole_is_what_its_stages_compute_one_by_one_with_their_own_variables(traced):
    # The same operations on the same operands: cut at every stage, and so at any.
    assert printed(traced.evaluation[0]) == printed(traced.staged[0])


def printed(jaxpr):
    return re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr))


def test_evaluation_moves_no_statistics(traced):
    jaxpr, outputs = traced.evaluation
    arguments, results = inputs_and_outputs(jaxpr, (traced.variables, traced.images), outputs)
    for path, statistic in results.items():
        if "['batch_stats']" in path:
            assert statistic is arguments[path.replace("[1]", "[0]", 1)], path


def test_training_moves_every_statistic(traced):
    jaxpr, outputs = traced.training
    arguments, results = inputs_and_outputs(jaxpr, (traced.variables, traced.images, KEY), outputs)
    moved = {path for path in results if "['batch_stats']" in path}
    assert len(moved) == len(jax.tree.leaves(traced.variables.get("batch_stats", {})))
    from_images = made_of(jaxpr, [arguments["[1]"]])
    from_statistics = made_of(jaxpr, [v for p, v in arguments.items() if "['batch_stats']" in p])
    for path in moved:
        assert results[path] in from_images, f"{path} does not depend on the images"
        assert results[path] in from_statistics, f"{path} forgets what it was"


def test_the_loss_of_training_depends_on_every_parameter(traced):
    jaxpr, outputs = traced.training
    arguments, results = inputs_and_outputs(jaxpr, (traced.variables, traced.images, KEY), outputs)
    heads = [var for path, var in results.items() if path == "[0]" or "['auxiliary']" in path]
    needed = needed_for(jaxpr, heads)
    unused = [p for p, v in arguments.items() if "['params']" in p and v not in needed]
    assert not unused


def test_auxiliary_logits_are_there_where_their_loss_has_a_weight(traced):
    auxiliary = jax.tree.leaves(traced.training[1][1].get("auxiliary", {}))
    assert bool(auxiliary) == (traced.net.auxiliary_weight > 0)
    assert {(a.shape, a.dtype) for a in auxiliary} <= {((2, 4), jnp.dtype(jnp.float32))}


VARIANCES = {  # that an initialiser states, from its arguments, n_in, n_out and the window's pixels
    "variance_scaling": lambda a, n_in, n_out, window: (
        a["scale"] / {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[a["mode"]]
    ),
    "normal": lambda a, n_in, n_out, window: a["stddev"] ** 2,
    "truncated_normal": lambda a, n_in, n_out, window: a["std"] ** 2,
    "glorot_uniform": lambda a, n_in, n_out, window: 2 / (n_in + n_out),
    "lecun_uniform": lambda a, n_in, n_out, window: (2.4 / n_in) ** 2 / 3,
    "separable_he_fan_out": lambda a, n_in, n_out, window: 2 / (n_out if window == 1 else n_in),
}


def stated_variance(initialiser, shape):
    name = initialiser.__qualname__.partition(".")[0]
    arguments = getclosurevars(initialiser).nonlocals
    n_in, n_out = math.prod(shape[:-1]), math.prod(shape) // shape[-2]
    return VARIANCES[name](arguments, n_in, n_out, math.prod(shape[:-2]))


def test_kernels_begin_with_the_variance_that_their_initialiser_states(traced):
    kernels = jax.tree_util.tree_leaves_with_path(traced.variables["params"])
    paths = {tuple(key.key for key in path) for path, _ in kernels if path[-1].key == "kernel"}
    assert set(traced.initialisers) == paths
    some = {}  # of each initialiser the kernel whose size is nearest to 20,000
    for initialiser, shape in traced.initialisers.values():
        kind = initialiser.__qualname__, repr(getclosurevars(initialiser).nonlocals)
        distance = abs(math.log(math.prod(shape) / 20_000))
        if kind not in some or distance < some[kind][0]:
            some[kind] = distance, initialiser, shape
    for _, initialiser, shape in some.values():
        tolerance = 5 * math.sqrt(2 / math.prod(shape))  # five deviations of a Gaussian's variance
        found = float(jnp.var(initialiser(KEY, shape)))
        assert found == pytest.approx(stated_variance(initialiser, shape), rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", cnnjax.list_models())
def test_the_smallest_square_image_is_the_one_in_the_table(name):
    assert smallest_square(name) == SMALLEST.get(name, 1)
