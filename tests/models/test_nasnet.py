"""NASNet-A: its cells in order, what goes from one to the next, and Keras' own small network."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import pytest

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.models.ledger import ledger
from cnnjax.models.nasnet import NASNet
from cnnjax.models.receptive_field import receptive_fields
from cnnjax.models.trace import trace


class SmallNASNet(NASNet):
    """NASNet-A (1 @ 192): both cells at every size there is."""

    num_classes: int = 7
    image = (39, 46, 3)
    repeats, features, stem, skip = 1, 192, 6, False


class SkippingNASNet(SmallNASNet):
    """As nasnet_large."""

    skip = True


SMALL = SmallNASNet(dropout=0.0)


def cells(repeats):
    """The order of the authors' code, nets/nasnet/nasnet.py."""
    thirds = [[f"cell_{k * repeats + i}" for i in range(repeats)] for k in range(3)]
    return (
        "conv0",
        "cell_stem_0",
        "cell_stem_1",
        *thirds[0],
        "reduction_cell_0",
        *thirds[1],
        "reduction_cell_1",
        *thirds[2],
        "final_layer",
    )


@pytest.mark.parametrize(("name", "repeats"), [("nasnet_mobile", 4), ("nasnet_large", 6)])
def test_the_cells_follow_in_the_order_of_the_authors(name, repeats):
    assert cnnjax.create(name).stages == cells(repeats)


@pytest.mark.slow
def test_the_mobile_network_has_the_maps_of_keras_and_the_papers_operations():
    found = ledger(cnnjax.create("nasnet_mobile"), (224, 224, 3))
    maps = {row.stage: row.output for row in found.rows}
    expected = {"conv0": (111, 111, 32), "cell_stem_0": (56, 56, 44), "cell_stem_1": (28, 28, 88)}
    expected |= {f"cell_{i}": (28, 28, 264) for i in range(4)}
    expected |= {"reduction_cell_0": (14, 14, 352)}
    expected |= {f"cell_{i}": (14, 14, 528) for i in range(4, 8)}
    expected |= {"reduction_cell_1": (7, 7, 704)}
    expected |= {f"cell_{i}": (7, 7, 1056) for i in range(8, 12)}
    assert maps == expected | {"final_layer": (1000,)}
    assert found.total("multiply_adds") == pytest.approx(564e6, rel=0.01)  # the paper's table 3
    assert found.total("statistics") == 5_326_716 - 5_289_978  # Keras 3.15.1, all weights


@pytest.fixture(scope="module")
def traced():
    """{stage: shapes of what it gives for one image}"""
    return {s.name: jax.tree.map(jnp.shape, s.outputs) for s in trace(SMALL, SMALL.image)}


@pytest.mark.slow
def test_a_cell_hands_on_its_maps_and_those_of_the_cell_in_front(traced):
    assert traced["conv0"] == (1, 19, 22, 6)
    assert traced["cell_stem_0"] == ((1, 19, 22, 6), (1, 10, 11, 8))
    assert traced["cell_0"] == ((1, 5, 6, 16), (1, 5, 6, 48))
    assert traced["reduction_cell_0"] == ((1, 5, 6, 48), (1, 3, 3, 64))


def test_the_last_cell_gives_its_maps_alone_which_are_the_features_without_a_head(traced):
    assert traced["cell_2"] == (1, 2, 2, 192)
    assert SMALL.clone(num_classes=0).stages[-1] == "cell_2"


def test_in_the_large_network_the_cell_behind_a_reduction_sees_the_older_maps():
    maps = tuple(jax.ShapeDtypeStruct((1, 5, 6, channels), jnp.float32) for channels in (16, 48))
    run = partial(SkippingNASNet().init_with_output, start="reduction_cell_0")
    older, new = jax.eval_shape(partial(run, stop="reduction_cell_0"), jax.random.key(0), maps)[0]
    assert (older.shape, new.shape) == ((1, 5, 6, 16), (1, 3, 3, 64))
    assert cnnjax.create("nasnet_large").skip
    assert not cnnjax.create("nasnet_mobile").skip


@pytest.mark.slow
def test_rematerialisation_takes_the_two_maps_and_changes_no_gradient(some_variables):
    variables = some_variables(SMALL, SMALL.image)
    maps = tuple(
        jax.random.normal(jax.random.key(i), (2, *size)) for i, size in enumerate(CELL_1_TAKES)
    )

    def gradient(net):
        def loss(params):
            both, _ = net.apply(
                {**variables, "params": params},
                maps,
                start="cell_1",
                stop="cell_1",
                train=True,
                mutable=["batch_stats"],
            )
            return sum(jnp.sum(m**2) for m in both)

        return jax.grad(loss)({"cell_1": variables["params"]["cell_1"]})

    chex.assert_trees_all_close(gradient(SMALL.clone(remat=True)), gradient(SMALL), rtol=1e-4)


CELL_1_TAKES = ((5, 6, 48), (3, 3, 64))


def test_a_cell_that_gets_one_array_says_what_it_takes():
    with pytest.raises(CnnjaxError) as error:
        SMALL.apply({}, jnp.ones((1, 5, 6, 48)), start="cell_0")
    assert str(error.value) == (
        "stage cell_0 of SmallNASNet: a cell got an input of shape (1, 5, 6, 48); it takes the "
        "maps of the two cells in front, (last but one, last); give all of what they gave"
    )


def test_an_unknown_variant_is_refused():
    with pytest.raises(CnnjaxError) as error:
        cnnjax.create("nasnet_mobile", variant="tim").stages  # noqa: B018
    assert str(error.value) == (
        "NASNetMobile has no variant 'tim'; its variants are keras, timm; did you mean 'timm'?"
    )


def test_the_receptive_field_is_that_of_the_newest_maps():
    fields = receptive_fields(SMALL, SMALL.image)
    # conv0 sees 3 pixels with stride 2. What reaches furthest in a reduction cell are a 7 x 7 and,
    # at half the size, a 7 x 7, then a separable pair of 3 x 3 on their sum.
    assert fields["conv0"].size == (3, 3)
    assert fields["cell_stem_0"].size == (3 + 2 * 6 + 4 * 6 + 2 * 4 * 2,) * 2
    strides = [fields[s].stride for s in ("cell_stem_0", "cell_stem_1", "reduction_cell_0")]
    assert strides == [(4, 4), (8, 8), (16, 16)]
    assert fields["final_layer"].whole


@pytest.mark.parametrize(
    ("module", "variance"),
    [
        (("left_1", "separable_1", "depthwise"), 2 / 5**2),
        (("left_1", "separable_1", "pointwise"), 2 / 96),
        (("current", "conv"), 2 / 96),
        (("previous", "path_1"), 2 / 48),
    ],
)
def test_weights_begin_with_the_variance_of_the_authors_code(cell_2, module, variance):
    params = cell_2
    for name in module:
        params = params[name]
    kernel = params["kernel"]
    assert kernel.var() == pytest.approx(variance, rel=0.1)
    assert jnp.abs(kernel).max() <= 2 * (variance**0.5) / 0.8796 * 1.001  # cut at two deviations


@pytest.fixture(scope="module")
def cell_2():
    class Wide(SmallNASNet):
        features = 576

    net = Wide()
    maps = (jnp.zeros((1, 4, 4, 288)), jnp.zeros((1, 2, 2, 384)))
    variables = jax.jit(partial(net.init, start="cell_2", stop="cell_2"))(jax.random.key(0), maps)
    return variables["params"]["cell_2"]
