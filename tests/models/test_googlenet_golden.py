"""GoogLeNet against what torchvision 0.28 computes, stage by stage."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.models.googlenet import TABLE_1

BRANCHES = {
    "conv1x1": "branch1",
    "reduce3x3": "branch2.0",
    "conv3x3": "branch2.1",
    "reduce5x5": "branch3.0",
    "conv5x5": "branch3.1",
    "projection": "branch4.1",
}
HEADS = {"inception_4a": "aux1", "inception_4d": "aux2"}
CONV2 = {"reduce3x3": "conv2", "conv3x3": "conv3"}


def name_of(path):
    stage, *place = path
    if stage == "linear":
        return "fc"
    if place[0] == "auxiliary":
        prefix, place = HEADS[stage], place[1:]
        if place[0] != "conv":
            return f"{prefix}.{place[0]}"
        prefix, place = f"{prefix}.conv", place[1:]
    elif stage == "conv1":
        prefix = "conv1"
    elif stage == "conv2":
        prefix, place = CONV2[place[0]], place[1:]
    else:
        prefix, place = f"{stage.replace('_', '')}.{BRANCHES[place[0]]}", place[1:]
    return f"{prefix}.{ {'conv': 'conv', 'norm': 'bn'}[place[0]] }"


FLATTEN = {(stage, "auxiliary", "fc1"): (4, 4, 128) for stage in HEADS}
POOLED = {"conv1": 1, "conv2": 2, "inception_3b": 3, "inception_4e": 4}
MODULES = {stage: stage.replace("_", "") for stage in TABLE_1}
MODULES |= {stage: f"maxpool{number}" for stage, number in POOLED.items()}


@pytest.fixture(scope="module")
def torchvisions(golden):
    theirs = golden("googlenet")
    net = cnnjax.create("googlenet", dropout=0.0, auxiliary_dropout=0.0)
    return theirs, net, theirs.variables(net, name_of, FLATTEN)


def test_torchvision_computes_the_same_stage_by_stage(torchvisions):
    theirs, net, variables = torchvisions
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == theirs.parameters
    theirs.check_stages(net, variables, MODULES)


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
        name_of,
        auxiliary={"inception_4a": "train_aux1", "inception_4d": "train_aux2"},
        flatten=FLATTEN,
    )
