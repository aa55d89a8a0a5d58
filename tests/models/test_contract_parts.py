"""What every registered network keeps to, as far as its modules show it: nothing is traced."""

from dataclasses import fields
from functools import partial
from inspect import getclosurevars
from types import FunctionType

import flax.linen as nn
import pytest

import cnnjax


def described(value):
    """A module or a function by what it is made of, to compare two that were made apart."""
    if isinstance(value, nn.Module):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return type(value), described({k: v for k, v in parts.items() if k not in OF_FLAX})
    if isinstance(value, partial):
        return value.func, described(value.args), described(value.keywords)
    if isinstance(value, dict):
        return {k: described(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [described(v) for v in value]
    if isinstance(value, FunctionType):
        return value.__qualname__, described(dict(getclosurevars(value).nonlocals))
    return value


OF_FLAX = ("parent", "name")


@pytest.mark.parametrize("name", cnnjax.list_models())
def test_another_head_keeps_everything_else_and_no_classes_mean_no_head(name):
    four, seven, none = (cnnjax.create(name, num_classes=n) for n in (4, 7, 0))
    assert four.stages == seven.stages == (*none.stages, four.stages[-1])
    for stage in none.stages:
        layers = [described(net.layers()[stage]) for net in (four, seven, none)]
        auxiliary = [layer[1].pop("auxiliary", None) for layer in layers]
        assert layers[0] == layers[1] == layers[2], stage
        assert auxiliary[2] is None, stage  # a head too


@pytest.mark.parametrize("name", cnnjax.list_models())
def test_networks_made_alike_are_equal_so_that_a_compiled_step_serves_both(name):
    assert cnnjax.create(name) == cnnjax.create(name)
    assert hash(cnnjax.create(name)) == hash(cnnjax.create(name))
