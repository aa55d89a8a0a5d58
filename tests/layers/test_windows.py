"""Sizes and paddings of windows."""

import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from cnnjax import CnnjaxError
from cnnjax.layers import output_size
from cnnjax.layers.windows import resolve_padding


@pytest.mark.parametrize(
    ("n", "k", "stride", "padding", "size"),
    [
        (227, 11, 4, 0, 55),  # AlexNet conv1
        (55, 3, 2, 0, 27),  # AlexNet pool1
        (224, 7, 2, 3, 112),  # ResNet conv1
        (32, 5, 1, 0, 28),  # LeNet-5 C1
        (10, 3, 2, (0, 1), 5),
        (5, 5, 3, 0, 1),
    ],
)
def test_output_sizes_are_those_of_the_papers(n, k, stride, padding, size):
    assert output_size(n, k, stride, padding) == size


@given(n=st.integers(1, 40), k=st.integers(1, 7), stride=st.integers(1, 4), data=st.data())
def test_every_counted_window_lies_inside_and_one_more_would_not(n, k, stride, data):
    pads = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    padded = n + sum(pads)
    if padded < k:
        with pytest.raises(CnnjaxError):
            output_size(n, k, stride, pads)
    else:
        last = (output_size(n, k, stride, pads) - 1) * stride
        assert last + k <= padded < last + stride + k


@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    window=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_same_padding_is_that_of_xla(size, window, stride):
    assert list(resolve_padding("same", size, window, stride)) == lax.padtype_to_pads(
        size, window, stride, "SAME"
    )


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_padding_has_four_spellings_beside_same(padding, pads):
    assert resolve_padding(padding, (9, 9), (3, 3), (1, 1)) == pads


@pytest.mark.parametrize("padding", [-1, (0, -1), ((0, 0), (0, -1)), "SAME", 1.5, (1, 2, 3), None])
def test_a_bad_padding_is_named_together_with_the_good_ones(padding):
    with pytest.raises(CnnjaxError, match=r'padding is .*"same"'):
        resolve_padding(padding, (9, 9), (3, 3), (1, 1))


def test_sizes_taken_from_arrays_are_integers_too():
    two = jnp.zeros((2,)).shape[0]
    assert resolve_padding(two, (9, 9), (3, 3), (1, 1)) == ((2, 2), (2, 2))
