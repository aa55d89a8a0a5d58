"""scripts/train.py: what its flags mean, and what it says of those that mean nothing."""

import jax
import jax.numpy as jnp
import pytest
from train import run
from train_arguments import AUGMENTATIONS, make_network, read_arguments, read_augmentation
from train_optimizer import learning_rate, make_optimizer

from cnnjax import CnnjaxError
from cnnjax.data import augment
from cnnjax.data.augment import compose, flip, rotate, shift


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one_cycle"])
def test_every_schedule_rises_over_the_warm_up_and_ends_with_the_training(schedule):
    rate = learning_rate(schedule, 0.4, warmup=0.25, drops=(), steps=100)
    rates = [float(rate(t)) for t in range(101)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.4)
    assert (rates[100] == rates[30]) == (schedule == "constant")


def test_the_rate_falls_to_a_tenth_at_thirds_or_where_drops_say():
    # He et al. 2016, section 4.2: 64k iterations, divided by 10 at 32k and 48k.
    rate = learning_rate("step", 0.1, warmup=0.0, drops=(0.5, 0.75), steps=64_000)
    found = [float(rate(t)) for t in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    rate = learning_rate("step", 0.1, warmup=0.1, drops=(0.5,), steps=100)
    assert [float(rate(t)) for t in (10, 49, 50, 99)] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    rate = learning_rate("step", 0.1, warmup=0.0, drops=(), steps=90)
    assert [float(rate(t)) for t in (0, 35, 89)] == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay_shrinks_kernels_once_and_nothing_else(optimizer):
    made = make_optimizer(optimizer, 0.5, 0.1, {})
    params = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0), "scale": jnp.full(2, 2.0)}
    params = {"fc1": params}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = made.update(zeros, made.init(params), params)
    # sgd: -eta lambda w; adamw the same beside a step of 0; adam divides the decay by its own size
    shrunk = {"sgd": -0.1, "adamw": -0.1, "adam": -0.5}[optimizer]
    assert jnp.allclose(updates["fc1"]["kernel"], shrunk, atol=1e-3)
    assert (updates["fc1"]["bias"] == 0).all()
    assert (updates["fc1"]["scale"] == 0).all()  # He et al. decay the scales of batch norm too


def test_dtype_and_remat_are_the_networks():
    made = make_network(
        "mlp", ["hidden=(4,)"], num_classes=3, image=(4, 4, 1), dtype="bfloat16", remat=True
    )
    assert (made.dtype, made.param_dtype, made.remat) == (jnp.bfloat16, jnp.float32, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "lenet6"}, "did you mean 'lenet5'"),
        ({"arguments": ("hidden",)}, "write each once, as NAME=VALUE"),
        ({"arguments": ("depth=3",)}, "takes no argument 'depth'"),
        ({"arguments": ("num_classes=3",)}, "num_classes, which comes from the data; leave it out"),
        ({"arguments": ("dtype=bfloat16",)}, "dtype, which comes from --dtype; leave it out"),
        ({"arguments": ("hidden=deep",)}, "mlp cannot be made with hidden=deep"),
        ({"network": "cifar_vgg", "arguments": ("dropout=half",)}, "cannot be made with dropout"),
        ({"optimizer": "adm"}, "there is no optimizer 'adm'"),
        ({"settings": ("beta=3",)}, "takes no setting 'beta'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"warmup": 1.0}, "--warmup is 1.0; give a part"),
        ({"drops": (0.5,)}, "--drops are of --schedule step, not of cosine"),
        ({"schedule": "step", "drops": (0.5, 1.0)}, "--drops are 0.5 1.0; give parts"),
        ({"schedule": "step", "drops": (0.01,)}, "between the warm-up, 0.05, and 1"),
        ({"schedule": "step", "drops": (0.7, 0.5)}, "do not increase"),
        ({"augment": ("rotat:3",)}, "did you mean 'rotate'"),
        ({"augment": ("rotate:1,2,3,4,5",)}, "rotate takes"),
        ({"augment": ("shift:-1",)}, "shift"),
        ({"augment": ("hue:0.1",)}, "hue was given images of 1 channels"),
        ({"augment": ("random_crop:4",)}, "makes images of 4 x 4 x 1 out of 12 x 12 x 1"),
        ({"batch_size": 0}, "both are at least 1"),
        ({"images_per_class": 1000}, "choose at most"),
        ({"epochs": 1.0}, "give one"),
        ({"network": "alexnet_small", "arguments": ()}, "it takes is 15 x 15; see --image"),
        ({"learning_rate": -1.0}, "expected a"),
        ({"evaluations": 0}, "--evaluations is 0, which cannot be; give at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(config, changes, words):
    settings = config(**changes)
    with pytest.raises(CnnjaxError, match=words.replace("?", r"\?")) as caught:
        run(settings)
    assert "\n" not in str(caught.value)
    assert not settings.out.exists()


def test_values_are_numbers_tuples_truths_or_words():
    texts = ["a=1", "b=(2, 3)", "c=True", "d=grouped", "e=1e-3"]
    assert read_arguments(texts) == {"a": 1, "b": (2, 3), "c": True, "d": "grouped", "e": 1e-3}


def test_augmentations_are_composed_in_the_order_given():
    made = read_augmentation(["flip", "shift:0.1,0.2", "rotate:15"])
    assert made == compose(flip(), shift(0.1, 0.2), rotate(15))
    assert read_augmentation([]) is None


def test_every_augmentation_of_the_package_that_takes_numbers_can_be_named():
    not_by_numbers = {"Augmentation", "Standardization", "apply", "compose", "fit_standardization"}
    not_by_numbers |= {"image_data_generator", "rescale"}
    assert set(AUGMENTATIONS) == set(augment.__all__) - not_by_numbers
