"""VGG against what torchvision 0.28 computes, stage by stage."""

import pytest

import cnnjax
from cnnjax.pretrained.vgg import SOURCES, torchvision_modules, torchvision_name


@pytest.fixture(params=["vgg11", "vgg16_bn"])
def torchvisions(golden, request):
    theirs, net = golden(request.param), cnnjax.create(request.param, dropout=0.0)
    name_of, forms = torchvision_name(net), SOURCES["torchvision"].forms(net)
    return theirs, net, theirs.variables(net, name_of, forms), name_of, forms


@pytest.mark.slow
def test_torchvision_computes_the_same_stage_by_stage(torchvisions):
    theirs, net, variables, _, _ = torchvisions
    theirs.check_stages(net, variables, torchvision_modules(net))


@pytest.mark.slow
def test_torchvision_trains_with_the_same_loss_and_gradients(torchvisions):
    theirs, net, variables, name_of, forms = torchvisions
    theirs.check_training(net, variables, name_of, forms=forms)
