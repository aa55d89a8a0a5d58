"""Recipes: phases that share the steps, and settings that cannot be."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.transfer import Recipe


def test_equal_recipes_are_one_recipe():
    assert Recipe(steps=3, thaw=(1, 2)) == Recipe(steps=3, thaw=(1, 2))
    assert len({Recipe(steps=3), Recipe(steps=3), Recipe(steps=4)}) == 2


def test_phases_have_all_the_steps_together():
    phases = Recipe(epochs=2, batch_size=10, thaw=(1, 2)).phases(last=4, size=50)
    assert [last for last, _ in phases] == [1, 2, 4]
    assert sum(steps for _, steps in phases) == 10


def test_each_stage_further_in_front_learns_more_slowly():
    factors = Recipe(steps=1, stage_factor=1 / 2.6).factors(("a", "b", "c", "head"), trained=4)
    assert factors == pytest.approx({"c": 0.1, "b": 0.1 / 2.6, "a": 0.1 / 2.6**2})


@pytest.mark.parametrize("length", [0.5, 20.0])
def test_a_gradient_is_no_longer_than_the_recipe_allows(length):
    recipe = Recipe(steps=1, optimizer="sgd", warmup=0, weight_decay=0, max_gradient_norm=2.0)
    gradient = {"a": {"kernel": jnp.array([0.6])}, "head": {"kernel": jnp.array([0.8])}}
    gradient = {stage: {"kernel": length * g["kernel"]} for stage, g in gradient.items()}
    rule = recipe.optimizer_for(1, {"a": 0.1})
    update, _ = rule.update(gradient, rule.init(gradient), gradient)
    step = recipe.learning_rate * min(length, 2.0)
    np.testing.assert_allclose(update["head"]["kernel"], [-0.8 * step], rtol=1e-6)
    np.testing.assert_allclose(update["a"]["kernel"], [-0.06 * step], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one"),
        ({"steps": 3, "epochs": 1}, "give one"),
        ({"steps": 3, "learning_rate": 0}, "learning_rate"),
        ({"steps": 3, "pretrained_factor": 0.0}, "train fewer of the last"),
        ({"steps": 3, "stage_factor": 2.0}, "stage_factor=2.0"),
        ({"steps": 3, "weight_decay": -1.0}, "weight_decay"),
        ({"steps": 3, "warmup": 1.0}, "warmup"),
        ({"steps": 3, "max_gradient_norm": 0.0}, "max_gradient_norm"),
        ({"steps": 3, "optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"steps": 3, "batch_norm": "frozen"}, "'fixed' or 'batch'"),
        ({"steps": 3, "thaw": (2, 1)}, "increasing"),
        ({"steps": 3, "thaw": (0, 1)}, "increasing"),
    ],
)
def test_settings_that_cannot_be_are_one_line(settings, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        Recipe(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("thaw", "steps"), [((1, 4), 9), ((1, 2), 2)])
def test_phases_that_cannot_be_are_an_error(thaw, steps):
    with pytest.raises(CnnjaxError, match=r"phases|before the last phase"):
        Recipe(steps=steps, thaw=thaw).phases(last=4, size=10)
