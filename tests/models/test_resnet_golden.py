"""ResNet and ResNeXt against what torchvision 0.28 computes, block by block, in evaluation and in
training, on odd and rectangular images."""

import pytest

import cnnjax
from cnnjax.pretrained.resnet import torchvision_modules, torchvision_name

NAMES = ["resnet18", "resnet34", "resnet50", "resnext50_32x4d"]


@pytest.mark.parametrize(
    "name", ["resnet18", *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES[1:])]
)
def test_torchvision_computes_the_same_block_by_block(golden, name):
    net, theirs = cnnjax.create(name), golden(name)
    theirs.check_stages(net, theirs.variables(net, torchvision_name), torchvision_modules(net))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torchvision_trains_with_the_same_loss_and_gradients(golden, name):
    net, theirs = cnnjax.create(name), golden(name)
    variables = theirs.variables(net, torchvision_name)
    theirs.check_training(net, variables, torchvision_name, chaotic=net.bottleneck)
