"""ResNet and ResNeXt against what torchvision 0.28 computes, block by block, in evaluation and in
training, on odd and rectangular images."""

import pytest

import cnnjax

NAMES = ["resnet18", "resnet34", "resnet50", "resnext50_32x4d"]


def torchs_name(path):
    """("conv4_1", "shortcut", "norm") -> "layer3.0.downsample.1"."""
    if path == ("fc",):
        return "fc"
    if path[0] == "conv1":
        return {"conv": "conv1", "norm": "bn1"}[path[1]]
    stage, place, kind = path
    if place == "shortcut":
        return f"{module(stage)}.downsample.{('conv', 'norm').index(kind)}"
    return f"{module(stage)}.{'bn' if kind == 'norm' else 'conv'}{place[-1]}"


def module(stage):
    """ "conv4_1" -> "layer3.0"."""
    group, number = stage.removeprefix("conv").split("_")
    return f"layer{int(group) - 1}.{int(number) - 1}"


def modules(net):
    return {s: module(s) for s in net.stages if "_" in s} | {"conv1": "maxpool"}


@pytest.mark.parametrize(
    "name", ["resnet18", *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES[1:])]
)
def test_torchvision_computes_the_same_block_by_block(golden, name):
    net, theirs = cnnjax.create(name), golden(name)
    theirs.check_stages(net, theirs.variables(net, torchs_name), modules(net))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torchvision_trains_with_the_same_loss_and_gradients(golden, name):
    net, theirs = cnnjax.create(name), golden(name)
    variables = theirs.variables(net, torchs_name)
    theirs.check_training(net, variables, torchs_name, chaotic=net.bottleneck)
