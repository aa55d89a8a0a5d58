"""Receptive fields: by hand, by published tables, by brute force, and by real gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.layers import conv2d, local_response_norm, max_pool
from cnnjax.models import ConvStack
from cnnjax.models.receptive_field import receptive_field, receptive_fields

THREE = jnp.ones((3, 3, 1, 1))
SIDE = 24


def size(function, side=SIDE):
    return receptive_field(function, (side, side, 1)).size


@pytest.mark.parametrize(
    ("kernels", "pixels"), [((11,), 11), ((3,) * 5, 11), ((7,), 7), ((3,) * 3, 7), ((5, 1), 5)]
)
def test_a_stack_sees_as_much_as_lecture_5_says(kernels, pixels):
    net = ConvStack(kernels=kernels, features=1, num_classes=0)
    assert receptive_fields(net, (16, 16, 1))[net.stages[-1]].size == (pixels, pixels)


def test_alexnet_has_the_published_receptive_fields():
    # Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks",
    # table 1: 195 pixels and stride 32 after pool5.
    fields = receptive_fields(cnnjax.create("alexnet"), (227, 227, 3))
    maps = {stage: (field.size[0], field.stride) for stage, field in fields.items()}
    assert maps == {
        "conv1": (19, (8, 8)),
        "conv2": (67, (16, 16)),
        "conv3": (99, (16, 16)),
        "conv4": (131, (16, 16)),
        "conv5": (195, (32, 32)),
        "fc6": (227, None),
        "fc7": (227, None),
        "fc8": (227, None),
    }
    assert [stage for stage, field in fields.items() if field.whole] == ["fc6", "fc7", "fc8"]


def test_vgg16_has_the_published_receptive_field():
    field = receptive_fields(cnnjax.create("vgg16"), (224, 224, 3))["conv5_3"]
    assert (field.size, field.stride) == ((212, 212), (32, 32))  # Araujo et al. 2019, table 1


def test_padding_moves_the_field_of_the_first_unit_out_of_the_image():
    field = receptive_field(lambda x: conv2d(x, THREE, stride=2, padding=1), (9, 9, 1))
    assert (field.start, field.size, field.stride) == ((-1, -1), (3, 3), (2, 2))


def test_the_two_directions_are_told_apart():
    kernel = jnp.ones((1, 5, 1, 1))
    field = receptive_field(lambda x: conv2d(x, kernel, stride=(2, 3)), (9, 20, 1))
    assert (field.size, field.stride) == ((1, 5), (2, 3))


def dilated(x):
    return lax.conv_general_dilated(
        x, THREE, (1, 1), "VALID", rhs_dilation=(4, 4), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def squeezed(x):
    gate = jax.nn.sigmoid(x.mean(axis=(1, 2), keepdims=True))
    return x * gate


def in_groups(x):
    x = jnp.concatenate([x, x, x, x], axis=3)
    return x.reshape(*x.shape[:3], 2, 2).sum(axis=4)


@pytest.mark.parametrize(
    ("function", "pixels"),
    [
        (lambda x: x, 1),
        (dilated, 9),
        (lambda x: x + conv2d(x, THREE, padding=1), 3),
        (lambda x: jnp.concatenate([max_pool(x, 5, 1, padding=2), x], axis=3), 5),
        (lambda x: local_response_norm(conv2d(x, THREE)), 3),
        (lambda x: jax.nn.softmax(jnp.tile(x, (1, 1, 1, 3))) + x, 1),
        (lambda x: conv2d(x[:, ::2, ::2], THREE), 5),
        (lambda x: x[:, 1:] + x[:, :-1] + x[:, :-1, ::-1][:, :, ::-1], (2, SIDE)),
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (2, 1), (0, 0)))[:, 1:-1, 1:-1], 1),
        (lambda x: x.transpose(0, 3, 1, 2).squeeze(1)[..., None], 1),
        (lambda x: jnp.einsum("nhwc,cd->nhwd", conv2d(x, THREE), jnp.ones((1, 4))), 3),
        (lambda x: jnp.einsum("cd,nhwc->dnhw", jnp.ones((1, 4)), conv2d(x, THREE)), 3),
        (in_groups, 1),
        (squeezed, SIDE),
        (lambda x: x.mean(axis=(1, 2)), SIDE),
        (lambda x: x.max(axis=1), SIDE),
        (lambda x: x.reshape(1, -1) @ jnp.ones((SIDE * SIDE, 2)), SIDE),
        (lambda x: jax.checkpoint(lambda x: jax.jit(jnp.tanh)(conv2d(x, THREE)))(x), 3),
        (lambda x: jnp.cumsum(x, axis=1), (SIDE, 1)),
        (lambda x: jnp.ones((1, 3)), 0),
    ],
)
def test_an_operation_widens_the_field_by_what_it_reads(function, pixels):
    expected = (pixels, pixels) if isinstance(pixels, int) else pixels
    if function(jnp.ones((1, SIDE, SIDE, 1))).ndim == 3:  # without rows nothing is a map
        expected = (SIDE, 1)
    assert size(function) == expected


def test_the_pixels_that_no_window_reaches_are_not_seen():
    field = receptive_field(lambda x: conv2d(x, THREE, stride=3).reshape(1, -1), (10, 9, 1))
    assert (field.size, field.whole) == ((9, 9), False)
    field = receptive_field(lambda x: x[:, 1:].reshape(1, -1), (9, 9, 1))
    assert (field.size, field.whole) == ((8, 9), False)
    field = receptive_field(lambda x: conv2d(x, THREE, stride=3).reshape(1, -1), (9, 9, 1))
    assert (field.size, field.whole) == ((9, 9), True)


def test_one_pixel_that_becomes_a_vector_sees_what_it_saw():
    field = receptive_field(lambda x: conv2d(x, THREE)[:, :1, :1].reshape(1, 1), (9, 9, 1))
    assert (field.size, field.stride, field.whole) == ((3, 3), None, False)


layer = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(layer, min_size=1, max_size=4))
def test_the_field_of_any_stack_is_that_of_brute_force(layers):
    pixels = 90
    reads = np.eye(pixels, dtype=bool)  # reads[i, p]: position i sees pixel p

    def function(x):
        for k, stride, dilation, pad, pool in layers:
            pads = [(pad, pad)] * 2
            if pool:
                window, strides = (1, k, k, 1), (1, stride, stride, 1)
                x = lax.reduce_window(
                    x,
                    -jnp.inf,
                    lax.max,
                    window,
                    strides,
                    [(0, 0), *pads, (0, 0)],
                    window_dilation=(1, dilation, dilation, 1),
                )
            else:
                x = lax.conv_general_dilated(
                    x,
                    jnp.ones((k, k, 1, 1)),
                    (stride, stride),
                    pads,
                    rhs_dilation=(dilation, dilation),
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
        return x

    for k, stride, dilation, pad, _ in layers:
        reach = dilation * (k - 1) + 1
        padded = np.pad(reads, ((pad, pad), (0, 0)))
        last = len(padded) - reach
        reads = np.array(
            [padded[i : i + reach : dilation].any(axis=0) for i in range(0, last + 1, stride)]
        )
        if not len(reads):
            return
    field = receptive_field(function, (pixels, pixels, 1))
    for i, row in enumerate(reads):
        first = field.start[0] + i * field.stride[0]
        if first >= 0 and first + field.size[0] <= pixels:
            seen = np.flatnonzero(row)
            assert (seen[0], seen[-1]) == (first, first + field.size[0] - 1)


@pytest.mark.parametrize(
    ("name", "image", "stage", "arguments"),
    [
        ("lenet5", (32, 36, 1), "c3", {}),
        ("conv_stack", (15, 14, 2), "conv3", {"kernels": (3, 1, 5), "padding": 1}),
    ],
)
def test_the_gradient_of_a_unit_fills_its_field(name, image, stage, arguments):
    net = cnnjax.create(name, **arguments)
    field = receptive_fields(net, image)[stage]
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *image)))
    ones = jax.tree.map(lambda a: jnp.full(a.shape, 0.01), shapes)
    maps = jax.eval_shape(lambda x: net.apply(ones, x, stop=stage), jnp.zeros((1, *image)))
    row, column = maps.shape[1] // 2, maps.shape[2] // 2

    def unit(x):
        return net.apply(ones, x, stop=stage)[:, row, column, 0].sum()

    # Maxima hide what they do not choose: over many images each pixel is chosen once.
    images = jax.random.uniform(jax.random.key(1), (20, *image), minval=0.5)
    seen = np.asarray(jax.jit(jax.grad(unit))(images)).any(axis=(0, 3))
    for axis, position in ((1, row), (0, column)):
        direction = 1 - axis
        pixels = np.flatnonzero(seen.any(axis=axis))
        first = field.start[direction] + position * field.stride[direction]
        assert (pixels[0], pixels[-1]) == (first, first + field.size[direction] - 1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: jnp.fft.fft(x, axis=1).real, ["fft"]),
        (lambda x: lax.conv_transpose(x, THREE, (2, 2), "SAME"), ["transposed convolution"]),
        (lambda x: jnp.take(x, jnp.arange(3), axis=1), ["gather"]),
        (lambda x: lax.pad(x, 0.0, ((0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0))), ["padding"]),
    ],
)
def test_an_operation_that_is_not_known_is_named(function, words):
    with pytest.raises(CnnjaxError) as error:
        size(function)
    assert "\n" not in str(error.value)
    for word in [*words, "receptive field", "write the stage with these"]:
        assert word in str(error.value)
