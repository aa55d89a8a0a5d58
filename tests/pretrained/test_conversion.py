"""Conversion is strict: everything is used, everything is filled, and all mistakes are told."""

import re

import chex
import jax
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.pretrained.conversion import convert
from cnnjax.pretrained.mobilenet import SOURCES


def same(found, expected):
    chex.assert_trees_all_equal(jax.device_get(found), jax.device_get(expected))


@pytest.mark.parametrize("source", ["keras", "timm"])
def test_arrays_of_each_source_become_the_variables_they_came_from(small, source, request):
    network, variables = small
    arrays = request.getfixturevalue(f"{source}_arrays")
    same(convert(arrays, network, SOURCES[source], "there"), variables)


def test_half_precision_is_widened_without_a_loss(small, keras_arrays):
    network, _ = small
    halves = {name: array.astype(np.float16) for name, array in keras_arrays.items()}
    exact = {name: array.astype(np.float32) for name, array in halves.items()}
    same(*(convert(a, network, SOURCES["keras"], "there") for a in (halves, exact)))


def test_all_problems_are_told_in_one_line(small, keras_arrays):
    network, _ = small
    keras_arrays["conv_dw_1/depthwise_kernel"] = keras_arrays.pop("conv_dw_1/depthwise_kernel").T
    keras_arrays["conv_pw_3/kernel"] = keras_arrays["conv_pw_3/kernel"].astype(np.float64)
    keras_arrays["conv1/kernel"][0, 0, 0, 0] = np.nan
    del keras_arrays["conv1_bn/gamma"]
    keras_arrays["attention/kernel"] = np.zeros((2, 2), np.float32)
    with pytest.raises(CnnjaxError) as error:
        convert(keras_arrays, network, SOURCES["keras"], "'file.npz'")
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "the arrays of 'file.npz' are not those of MobileNet",
        "1 of 137 are missing (conv1_bn/gamma)",
        "3 do not fit",
        "conv_dw_1/depthwise_kernel is [1, 8, 3, 3], expected [3, 3, 8, 1]",
        "conv_pw_3/kernel is float64, expected float32, float16 or bfloat16",
        "conv1/kernel has numbers that are not finite",
        "1 are no weights of it (attention/kernel)",
    ):
        assert part in message, part


def test_many_problems_are_counted_beyond_the_first(small, keras_arrays):
    network, _ = small
    keras_arrays |= {f"extra_{i}/kernel": np.zeros(1, np.float32) for i in range(20)}
    with pytest.raises(CnnjaxError, match=r"20 are no weights of it \(.*, and 14 more\)") as error:
        convert(keras_arrays, network, SOURCES["keras"], "there")
    assert len(re.findall("extra_", str(error.value))) == 6


@pytest.mark.parametrize("name", ["conv_preds/bias", "conv_pw_5_bn/moving_variance"])
def test_whole_numbers_are_no_weights(small, keras_arrays, name):
    network, _ = small
    keras_arrays[name] = np.ones(keras_arrays[name].shape, np.int64)
    with pytest.raises(CnnjaxError, match=f"{name} is int64"):
        convert(keras_arrays, network, SOURCES["keras"], "there")


def test_only_torchs_counters_of_batches_are_passed_over(small, timm_arrays):
    network, _ = small
    timm_arrays["bn1.num_batches"] = np.array(7)
    with pytest.raises(CnnjaxError, match=r"1 are no weights of it \(bn1.num_batches\)"):
        convert(timm_arrays, network, SOURCES["timm"], "there")
