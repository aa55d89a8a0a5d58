"""GoogLeNet against what torchvision 0.28 computes, stage by stage."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.googlenet import TABLE_1
from cnnjax.pretrained.googlenet import FORMS, torchvision_modules, torchvision_name


@pytest.fixture(scope="module")
def torchvisions(golden):
    theirs = golden("googlenet")
    net = cnnjax.create("googlenet", dropout=0.0, auxiliary_dropout=0.0)
    return theirs, net, theirs.variables(net, torchvision_name, FORMS)


@pytest.mark.slow
def test_torchvision_computes_the_same_stage_by_stage(torchvisions):
    theirs, net, variables = torchvisions
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == theirs.parameters
    theirs.check_stages(net, variables, torchvision_modules(net))


@pytest.mark.slow
def test_torchvision_computes_the_same_in_every_branch(torchvisions):
    theirs, net, variables = torchvisions
    x = jax.jit(partial(net.apply, stop="conv2"))(variables, theirs.images)
    for stage, filters in TABLE_1.items():
        module = net.clone(num_classes=0).layers()[stage].clone(pool=None)
        mine = {c: group[stage] for c, group in variables.items()}
        y = jax.jit(partial(module.apply, train=False))(mine, x)
        n1x1, _, n3x3, _, n5x5, projection = filters
        ends = np.cumsum([n1x1, n3x3, n5x5, projection])
        for number, branch in enumerate(jnp.split(y, ends[:-1], axis=-1), 1):
            name = f"eval/inception{stage[-2:]}.branch{number}"
            found = np.asarray(branch).reshape(-1)[theirs.arrays[f"{name}/index"]]
            expected = theirs.arrays[f"{name}/value"]
            np.testing.assert_allclose(
                found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=name
            )
        x = jax.jit(partial(net.apply, start=stage, stop=stage))(variables, x)


@pytest.mark.slow
def test_torchvision_trains_with_the_same_logits_in_all_heads_loss_and_gradients(torchvisions):
    theirs, net, variables = torchvisions
    theirs.check_training(
        net,
        variables,
        torchvision_name,
        auxiliary={"inception_4a": "train_aux1", "inception_4d": "train_aux2"},
        forms=FORMS,
    )
