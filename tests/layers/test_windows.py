"""Sizes and paddings of windows."""

import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from cnnjax import CnnjaxError
from cnnjax.layers import output_size, same_padding
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 0), "window is 0; give an integer of at least 1"),
        ((9, -3), "window is -3"),
        ((9, 3, 0), "stride is 0; give an integer of at least 1"),
        ((9, 3, -2), "stride is -2"),
        ((9, 3, 1.5), "stride is 1.5"),
        ((9, 3, 1, -1), "padding is -1; give an integer of at least 0, or"),
        ((9, 3, 1, (1, -2)), r"padding is \(1, -2\)"),
        ((9, 3, 1, (1, 2, 3)), r"padding is \(1, 2, 3\)"),
        ((2, 5, 1, 1), r"a window of 5 does not fit on 2 pixels padded by \(1, 1\)"),
    ],
)
def test_a_size_that_cannot_be_is_one_line_that_says_what_was_expected(arguments, message):
    with pytest.raises(CnnjaxError, match=message) as error:
        output_size(*arguments)
    assert "\n" not in str(error.value)


@given(n=st.integers(1, 40), k=st.tuples(*[st.integers(0, 5).map(lambda m: 2 * m + 1)] * 2))
def test_symmetric_padding_of_odd_kernels_keeps_every_size(n, k):
    assert [output_size(n, *one) for one in zip(k, (1, 1), same_padding(k), strict=True)] == [n, n]


@pytest.mark.parametrize("kernel", [2, (3, 4), (6, 5)])
def test_an_even_kernel_has_no_symmetric_padding(kernel):
    with pytest.raises(CnnjaxError, match=r'of odd kernels only.*"same"') as error:
        same_padding(kernel)
    assert str(error.value).startswith(f"kernel is {kernel!r}; ")
    assert "\n" not in str(error.value)


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
