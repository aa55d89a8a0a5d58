"""The worked examples of the lectures: convolution, padding, stride, pooling.

The numbers are the slides', except where a comment says what the slide prints instead.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.layers import (
    avg_pool,
    conv2d,
    global_avg_pool,
    kernels,
    max_pool,
    output_size,
    same_padding,
)


def image(rows):
    return jnp.asarray(rows, jnp.float32)[None, :, :, None]


def table(y):
    assert y.shape[0] == y.shape[3] == 1
    return np.asarray(y[0, :, :, 0])


def convolve(rows, kernel, **settings):
    return table(
        conv2d(image(rows), jnp.asarray(kernel, jnp.float32)[:, :, None, None], **settings)
    )


# Lecture 1: a loopy pattern filter finds the loop of the 9 at the top, or top left.
NINE = [
    [-1, 1, 1, 1, -1],
    [-1, 1, -1, 1, -1],
    [-1, 1, 1, 1, -1],
    [-1, -1, -1, 1, -1],
    [-1, -1, -1, 1, -1],
    [-1, -1, 1, -1, -1],
    [-1, 1, -1, -1, -1],
]
NINE_IN_NINTHS = [[-1, 9, -1], [-5, 1, -3], [-3, 3, -3], [-5, -1, -5], [-3, -5, -3]]
NINE_POOLED = [[1, 1], [1 / 3, 1 / 3], [1 / 3, 1 / 3], [0, 0]]

MOVED = [
    [1, 1, 1, -1, -1],
    [1, -1, 1, -1, -1],
    [1, 1, 1, -1, -1],
    [-1, -1, 1, -1, -1],
    [-1, -1, 1, -1, -1],
    [-1, 1, -1, -1, -1],
    [1, -1, -1, -1, -1],
]
MOVED_IN_NINTHS = [[9, -1, -1], [1, -3, -1], [3, -3, -1], [-1, -5, -3], [-5, -3, -5]]
MOVED_POOLED = [[1, 0], [1 / 3, 0], [1 / 3, 0], [0, 0]]


@pytest.mark.parametrize(
    ("picture", "ninths", "pooled"),
    [(NINE, NINE_IN_NINTHS, NINE_POOLED), (MOVED, MOVED_IN_NINTHS, MOVED_POOLED)],
)
def test_the_loopy_pattern_filter_then_relu_then_pooling_with_stride_1(picture, ninths, pooled):
    y = convolve(picture, kernels.LOOPY_PATTERN)
    np.testing.assert_allclose(9 * y, ninths, atol=1e-6)
    relu = jax.nn.relu(y)
    np.testing.assert_allclose(9 * relu, np.maximum(ninths, 0), atol=1e-6)
    pool = table(max_pool(image(relu), window=2, stride=1))
    np.testing.assert_allclose(pool, pooled, atol=1e-6)


def test_where_the_slides_of_the_loopy_pattern_are_wrong():
    # the first demo prints -0.22 at (3, 0) and (3, 2) and -0.33 at (4, 1), all are -5/9
    y = convolve(NINE, kernels.LOOPY_PATTERN)
    np.testing.assert_allclose([y[3, 0], y[3, 2], y[4, 1]], [-5 / 9] * 3, atol=1e-6)
    # the second prints +0.33 at (1, 2), which survives relu and pooling, and -0.33 at (2, 2)
    y = convolve(MOVED, kernels.LOOPY_PATTERN)
    np.testing.assert_allclose([y[1, 2], y[2, 2]], [-1 / 9] * 2, atol=1e-6)
    printed = [[1, 0, 0], [0.11, 0, 0.33], [0.33, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(
        table(max_pool(image(printed), window=2, stride=1)),
        [[1, 0.33], [0.33, 0.33], [0.33, 0], [0, 0]],
    )


def test_pooling_the_loopy_pattern_with_stride_2_would_give_one_column():
    y = image(np.maximum(NINE_IN_NINTHS, 0) / 9)
    assert max_pool(y, window=2, stride=2).shape == (1, 2, 1, 1)


# Lecture 2
FIVE = [[1, 2, 0, 3, 1], [1, 0, 0, 2, 2], [2, 1, 2, 1, 1], [0, 0, 1, 0, 0], [1, 2, 1, 1, 1]]
FIRST = [[-1, 1, 2], [1, 1, 0], [-1, -2, 0]]
SECOND = [[0, 1, -1], [0, 1, 1], [1, 0, -2]]
FOUR = [[2, 1, 0, -1], [-3, 8, 2, 5], [1, -1, 3, 4], [0, 1, 1, -2]]


def test_the_3_by_3_example_gives_2():
    y = convolve([[3, 2, 1], [1, 2, 3], [1, 1, 1]], kernels.SOBEL_X)
    np.testing.assert_array_equal(y, [[2]])


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [[-2, -1, 3], [2, 5, 8], [-2, 0, -1]]),
        ({"stride": 2}, [[-2, 3], [-2, -1]]),
        (
            {"padding": 1},
            [
                [-1, 2, 2, -1, -2],
                [2, -2, -1, 3, -1],
                [3, 2, 5, 8, 2],
                [2, -2, 0, -1, -3],
                [1, 5, 4, 1, 2],
            ],
        ),
        ({"padding": 1, "stride": 2}, [[-1, 2, -2], [3, 5, 2], [1, 4, 2]]),
    ],
    ids=["valid", "stride 2", "padding 1", "padding 1, stride 2"],
)
def test_the_5_by_5_example(settings, wanted):
    np.testing.assert_array_equal(convolve(FIVE, FIRST, **settings), wanted)


def test_padding_1_is_what_the_slide_calls_same():
    as_named = convolve(FIVE, FIRST, padding="same")
    np.testing.assert_array_equal(as_named, convolve(FIVE, FIRST, padding=1))


def test_two_kernels_give_two_channels():
    two = np.stack([FIRST, SECOND], axis=-1)[:, :, None, :].astype(np.float32)
    y = conv2d(image(FIVE), jnp.asarray(two))
    np.testing.assert_array_equal(y[0, :, :, 0], [[-2, -1, 3], [2, 5, 8], [-2, 0, -1]])
    np.testing.assert_array_equal(y[0, :, :, 1], [[0, -2, 6], [1, 1, 3], [-1, 2, -1]])


def test_the_lecture_convolves_without_turning_the_kernel():
    assert convolve(FIVE, FIRST)[0, 0] == -2
    assert convolve(FIVE, np.array(FIRST)[::-1, ::-1])[0, 0] != -2


def test_max_average_and_global_pooling():
    x = image(FOUR)
    np.testing.assert_array_equal(table(max_pool(x, 2, 2)), [[8, 5], [1, 4]])
    np.testing.assert_array_equal(table(avg_pool(x, 2, 2)), [[2, 1.5], [0.25, 1.5]])
    np.testing.assert_array_equal(global_avg_pool(x), [[1.3125]])


@pytest.mark.parametrize(("k", "m"), [(3, 1), (5, 2), (7, 3)])
def test_the_padding_that_keeps_the_size(k, m):
    assert same_padding(k) == (m, m)
    assert output_size(28, k, padding=m) == 28


# Lecture 3
STEP = np.repeat([0, 255], 3)[:, None] * np.ones((1, 6))
HORIZONTAL = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
VERTICAL = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
EDGE = np.array([0, -1020, -1020, 0])


def test_the_slides_edge_detectors_are_the_sobel_kernels_with_the_other_sign():
    np.testing.assert_array_equal(HORIZONTAL, -kernels.SOBEL_Y)
    np.testing.assert_array_equal(VERTICAL, -kernels.SOBEL_X)
    np.testing.assert_array_equal(VERTICAL, np.outer([1, 2, 1], [1, 0, -1]))
    np.testing.assert_array_equal(kernels.SOBEL_X, kernels.SOBEL_Y.T)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, np.outer(EDGE, [1] * 4)),
        ({"stride": 2}, [[0, 0], [-1020, -1020]]),  # the slide repeats the result of stride 1
        ({"padding": 1, "pad_mode": "edge"}, np.outer([0, *EDGE, 0], [1] * 6)),
        (
            {"padding": 1},
            np.outer([0, *EDGE, 1020], [0.75, 1, 1, 1, 1, 0.75]),  # rows of -765 -1020 ... -765
        ),
    ],
    ids=["valid", "stride 2", "edges replicated", "zeros"],
)
def test_sobel_finds_the_horizontal_edge(settings, wanted):
    np.testing.assert_array_equal(convolve(STEP, HORIZONTAL, **settings), wanted)


def test_padding_the_result_as_the_slide_does_is_neither_padding_of_the_input():
    slide = np.pad(convolve(STEP, HORIZONTAL), 1)
    of_zeros = convolve(STEP, HORIZONTAL, padding=1)
    of_edges = convolve(STEP, HORIZONTAL, padding=1, pad_mode="edge")
    np.testing.assert_array_equal(slide[:, 1:5], of_edges[:, 1:5])
    assert not np.array_equal(slide, of_edges)  # the slide loses the edge in the outer columns
    assert not np.array_equal(slide, of_zeros)
    np.testing.assert_array_equal(of_zeros[5], [765, 1020, 1020, 1020, 1020, 765])


def test_plus_1020_on_the_next_slide_is_the_convolution_that_turns_the_kernel():
    turned = np.array(HORIZONTAL)[::-1, ::-1]
    np.testing.assert_array_equal(convolve(STEP, turned), -np.outer(EDGE, [1] * 4))


def test_min_max_normalisation_of_the_edge():
    y = kernels.min_max_normalise(image(convolve(STEP, HORIZONTAL)))
    np.testing.assert_array_equal(table(y), np.outer([255, 0, 0, 255], [1] * 4))


RED = [
    [156, 155, 156, 158, 158],
    [153, 154, 157, 159, 159],
    [149, 151, 155, 158, 159],
    [146, 146, 149, 153, 158],
    [145, 143, 143, 148, 158],
]
GREEN = [
    [167, 166, 167, 169, 169],
    [164, 165, 168, 170, 170],
    [160, 162, 166, 169, 170],
    [156, 156, 159, 163, 168],
    [155, 153, 153, 158, 168],
]
BLUE = [
    [163, 162, 163, 165, 165],
    [160, 161, 164, 166, 166],
    [156, 158, 162, 165, 166],
    [155, 155, 158, 162, 167],
    [154, 152, 152, 157, 167],
]
# The slide shows 158, -14, 653 and their sum with the bias 1, 798, and seven of the sums.
RGB_PARTS = [
    [[308, 310, 314, 318], [298, 148, 158, 161], [291, 141, 147, 153], [290, 138, 139, 147]],
    [[-498, -170, -175, -173], [-491, -8, -14, -9], [-478, -7, -15, -14], [-465, 3, -9, -21]],
    [[164, 325, 326, 329], [487, 646, 653, 659], [477, 641, 651, 660], [467, 629, 642, 655]],
]
RGB_TOTAL = [
    [-25, 466, 466, 475],
    [295, 787, 798, 812],
    [291, 776, 784, 800],
    [293, 771, 773, 782],
]
RGB_KERNELS = [
    [[-1, -1, 1], [0, 1, -1], [0, 1, 1]],
    [[1, 0, 0], [1, -1, -1], [1, 0, -1]],
    [[0, 1, 1], [0, 1, 0], [1, -1, 1]],
]


def test_the_rgb_convolution_is_one_per_channel_and_their_sum_with_the_bias():
    # Top and left the slide pads by zeros; bottom and right its image goes on beyond the slide.
    x = jnp.stack([jnp.asarray(c, jnp.float32) for c in (RED, GREEN, BLUE)], -1)[None]
    w = jnp.stack([jnp.asarray(k, jnp.float32) for k in RGB_KERNELS], -1)
    settings = {"padding": ((1, 0), (1, 0))}
    parts = conv2d(x, w[:, :, None, :], groups=3, **settings)
    np.testing.assert_array_equal(parts[0], np.moveaxis(RGB_PARTS, 0, -1))
    total = conv2d(x, w[..., None], **settings) + 1
    np.testing.assert_array_equal(total[0, :, :, 0], RGB_TOTAL)
    assert [int(p[1][2]) for p in RGB_PARTS] == [158, -14, 653]
    assert total[0, 1, 2, 0] == 798


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({"n": 6, "k": 3}, 4),  # n - k + 1
        ({"n": 6, "k": 3, "padding": 1}, 6),  # n + 2m pixels to begin with
        ({"n": 6, "k": 3, "stride": 2}, 2),  # floor((n - k) / s) + 1
        ({"n": 28, "k": 2, "stride": 2}, 14),
        ({"n": 9, "k": 7}, 3),  # one 7x7 (lecture 5) ...
        ({"n": 9, "k": 3}, 7),  # ... or three 3x3, 9 -> 7
        ({"n": 7, "k": 3}, 5),  # -> 5
        ({"n": 5, "k": 3}, 3),  # -> 3
        ({"n": 14, "k": 5}, 10),  # LeNet's C3 has stride 1 ...
        ({"n": 14, "k": 5, "stride": 2}, 5),  # ... not the slide's 2
    ],
)
def test_the_sizes_of_the_lectures(arguments, size):
    assert output_size(**arguments) == size
    n, k = arguments.pop("n"), arguments.pop("k")
    y = jax.eval_shape(
        lambda x, w: conv2d(x, w, **arguments), jnp.zeros((1, n, n, 1)), jnp.zeros((k, k, 1, 1))
    )
    assert y.shape == (1, size, size, 1)
