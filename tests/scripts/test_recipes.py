"""The recipes: that their page is what the kept results say, and that these are theirs."""

import json
import shutil
import statistics

import pytest
import recipes
from recipes import KEPT, PAGE, RESULTS, Config, keep, kept, page, recipe_of, run
from train_arguments import read_augmentation
from train_optimizer import learning_rate, make_optimizer
from zoo import facts

import cnnjax
from cnnjax import CnnjaxError

RECIPES = {recipe.name: recipe for recipe in recipes.recipes()}
FOLDERS = sorted(RESULTS.iterdir())


def test_the_committed_page_is_the_one_of_the_kept_results():
    assert PAGE.read_text(encoding="utf-8") == page(RESULTS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_kept_result_is_that_of_the_command_it_is_shown_for(folder):
    noted = json.loads((folder / "study.json").read_text())["config"]
    assert folder.name == f"{recipe_of(noted).name}-seed{noted['seed']}"
    assert sorted(path.name for path in folder.iterdir()) == sorted(KEPT)
    assert "/" not in noted["dataset"]  # no path of a machine
    found = json.loads((folder / "result.json").read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == found["steps"]
    assert found["test_images"] == 10_000


@pytest.mark.parametrize(("name", "least"), [("mlp-mnist", 98.0), ("lenet5-mnist", 99.0)])
def test_the_recipes_on_mnist_reach_what_they_promise(name, least):
    values = [100 * run.result["test"]["accuracy"] for run in kept(RECIPES[name], RESULTS)]
    assert len(values) == 3
    assert statistics.fmean(values) >= least


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_flag_of_a_recipe_means_something(recipe):
    config = recipe.config()
    steps = config["steps"] or 10_000
    names = ("schedule", "learning_rate", "warmup", "drops")
    rate = learning_rate(*(config[name] for name in names), steps)
    make_optimizer(config["optimizer"], rate, config["weight_decay"], {})
    read_augmentation(config["augment"])
    assert config["network"] in cnnjax.list_models()
    assert recipe.remark


def test_what_is_expected_is_what_the_table_of_the_zoo_has_as_published():
    for recipe in RECIPES.values():
        if recipe.expected:
            assert recipe.expected == facts()[recipe.config()["network"]]["top1"], recipe.name
            assert recipe.source


def test_the_learning_rate_of_the_residual_network_falls_where_the_papers_does():
    config = RECIPES["resnet20-cifar10"].config()
    rate = learning_rate("step", 0.1, config["warmup"], config["drops"], config["steps"])
    found = [float(rate(t)) for t in (0, 31_999, 32_000, 48_000)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.001])


@pytest.fixture
def finished(tmp_path):
    """A finished training of a recipe."""
    folder = tmp_path / "run"
    shutil.copytree(FOLDERS[0], folder)
    (folder / "weights").mkdir()
    return folder


def test_a_finished_training_is_kept_under_its_recipe_and_seed_without_weights(finished, tmp_path):
    results = tmp_path / "results"
    run(Config(keep=finished, results=results, page=tmp_path / "page.md"))
    (place,) = results.iterdir()
    assert place.name == FOLDERS[0].name
    assert sorted(path.name for path in place.iterdir()) == sorted(KEPT)
    assert "not run" in (tmp_path / "page.md").read_text()  # the other recipes


def test_mean_and_spread_are_those_of_the_seeds(tmp_path):
    recipe = RECIPES["lenet5-mnist"]
    for seed, accuracy in enumerate((0.98, 0.99, 1.0)):
        folder = tmp_path / f"lenet5-mnist-seed{seed}"
        folder.mkdir()
        (folder / "study.json").write_text(json.dumps({"config": {"seed": seed}}))
        result = {"test": {"accuracy": accuracy}, "seconds": (None, 10.2, 20.0)[seed]}
        (folder / "result.json").write_text(json.dumps(result))
    found = kept(recipe, tmp_path)
    assert [one.seed for one in found] == [0, 1, 2]
    assert recipes.obtained(found) == "99.00 ± 1.00 %"
    assert recipes.obtained(found[:1]) == "98.00 %"
    assert recipes.seconds(found) == "16"  # the median of those that were not interrupted


@pytest.mark.parametrize("name", KEPT)
def test_an_unfinished_training_is_not_kept(finished, tmp_path, name):
    (finished / name).unlink()
    with pytest.raises(CnnjaxError, match=f"has no {name}; give the folder of a finished"):
        keep(finished, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_training_of_other_flags_is_not_kept(finished, tmp_path):
    noted = json.loads((finished / "study.json").read_text())
    noted["config"]["learning_rate"] = 0.051
    (finished / "study.json").write_text(json.dumps(noted))
    with pytest.raises(CnnjaxError, match="is none of the recipes; give one"):
        keep(finished, tmp_path / "results")
    (finished / "study.json").write_text("{")
    with pytest.raises(CnnjaxError, match="is damaged; train once more"):
        keep(finished, tmp_path / "results")


def test_a_recipe_that_was_not_run_says_so(tmp_path):
    text = page(tmp_path)
    assert text.count("It has not been run here.") == len(RECIPES)
    assert all(
        f"python scripts/train.py {recipe.flags} --seed 0" in text for recipe in RECIPES.values()
    )
