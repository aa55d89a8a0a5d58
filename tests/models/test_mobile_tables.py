"""The layers of MobileNet, MobileNetV2 and EfficientNet-B0, in the order in which they compute,
against the tables of their papers."""

from functools import cache

import pytest

import cnnjax
from cnnjax.models.trace import equations, trace

# What follows a convolution, by the operation that only it has.
AFTERWARDS = {"rsqrt": "norm", "min": "relu6", "logistic": "sigmoid"}


@cache
def traced(name):
    return trace(cnnjax.create(name), (224, 224, 3))


def operations(name):
    """{stage: its operations in order}; a convolution as (kernel, stride, input), where the kernel
    is (k, k, in, out), or (k, k, maps) if it is depthwise."""
    found = {}
    for stage in traced(name):
        found[stage.name] = []
        for equation, _ in equations(stage.jaxpr):
            kind = equation.primitive.name
            if kind == "conv_general_dilated":
                images, kernel = (v.aval.shape for v in equation.invars)
                if equation.params["feature_group_count"] > 1:
                    kernel = (*kernel[:2], kernel[3])
                stride = equation.params["window_strides"][0]
                found[stage.name].append((kernel, stride, images[1:]))
            elif kind in AFTERWARDS:
                found[stage.name].append(AFTERWARDS[kind])
            elif kind == "dot_general":
                found[stage.name].append(equation.invars[1].aval.shape)
    return found


# Table 1 of Howard et al. 2017: type and stride, filter, input.
# The last depthwise convolution is printed with stride 2, which its sizes contradict.
MOBILENET = """
Conv / s2      3x3x3x32      224x224x3
Conv dw / s1   3x3x32 dw     112x112x32
Conv / s1      1x1x32x64     112x112x32
Conv dw / s2   3x3x64 dw     112x112x64
Conv / s1      1x1x64x128    56x56x64
Conv dw / s1   3x3x128 dw    56x56x128
Conv / s1      1x1x128x128   56x56x128
Conv dw / s2   3x3x128 dw    56x56x128
Conv / s1      1x1x128x256   28x28x128
Conv dw / s1   3x3x256 dw    28x28x256
Conv / s1      1x1x256x256   28x28x256
Conv dw / s2   3x3x256 dw    28x28x256
Conv / s1      1x1x256x512   14x14x256
5x
Conv dw / s2   3x3x512 dw    14x14x512
Conv / s1      1x1x512x1024  7x7x512
Conv dw / s1   3x3x1024 dw   7x7x1024
Conv / s1      1x1x1024x1024 7x7x1024
""".replace(
    "5x\n",
    "Conv dw / s1   3x3x512 dw    14x14x512\nConv / s1      1x1x512x512   14x14x512\n" * 5,
)


def test_mobilenet_has_the_layers_of_its_table_1():
    found = operations("mobilenet")
    assert found.pop("fc") == [(1024, 1000)]
    flat = [operation for stage in found.values() for operation in stage]
    lines = []
    for kernel, stride, image in flat[::3]:
        kind, suffix = ("Conv dw", " dw") if len(kernel) == 3 else ("Conv", "")
        filters = "x".join(map(str, kernel)) + suffix
        lines.append(f"{kind} / s{stride} {filters} {'x'.join(map(str, image))}")
    assert lines == [" ".join(line.split()) for line in MOBILENET.split("\n") if line]
    # Figure 3: batch normalisation and a nonlinearity after each of them.
    assert flat[1::3] == ["norm"] * 27
    assert flat[2::3] == ["relu6"] * 27
    assert len(flat[::3]) + 1 == 28  # "MobileNet has 28 layers" with fc


# Table 2 of Sandler et al. 2018: side and maps of the input, t, c, n, s.
MOBILENET_V2 = (
    (112, 32, 1, 16, 1, 1),
    (112, 16, 6, 24, 2, 2),
    (56, 24, 6, 32, 3, 2),
    (28, 32, 6, 64, 4, 2),
    (14, 64, 6, 96, 3, 1),
    (14, 96, 6, 160, 3, 2),
    (7, 160, 6, 320, 1, 1),
)


def bottleneck(side, k, t, c, s):
    """Table 1: from side x side x k to the same over s x c, with an expansion of t."""
    expand = [((1, 1, k, t * k), 1, (side, side, k)), "norm", "relu6"]
    depthwise = [((3, 3, t * k), s, (side, side, t * k)), "norm", "relu6"]
    linear = [((1, 1, t * k, c), 1, (side // s, side // s, t * k)), "norm"]
    return (expand if t > 1 else []) + depthwise + linear


def test_mobilenet_v2_has_the_layers_of_its_tables_1_and_2():
    table = {"conv1": [((3, 3, 3, 32), 2, (224, 224, 3)), "norm", "relu6"]}
    for side, k, t, c, n, s in MOBILENET_V2:
        for i in range(n):
            block = bottleneck(side, k, t, c, s) if i == 0 else bottleneck(side // s, c, t, c, 1)
            table[f"bottleneck{len(table)}"] = block
    table["conv2"] = [((1, 1, 320, 1280), 1, (7, 7, 320)), "norm", "relu6"]
    table["fc"] = [(1280, 1000)]
    assert operations("mobilenet_v2") == table


# Table 1 of Tan and Le 2019, stages 2 to 8: t and k of MBConv, resolution of the input, channels,
# layers.
EFFICIENTNET = (
    (1, 3, 112, 16, 1),
    (6, 3, 112, 24, 2),
    (6, 5, 56, 40, 2),
    (6, 3, 28, 80, 3),
    (6, 5, 14, 112, 3),
    (6, 5, 14, 192, 4),
    (6, 3, 7, 320, 1),
)


def mbconv(side, c_in, t, k, s, c):
    """MobileNetV2's block with SiLU and a squeeze-and-excitation of c_in / 4."""
    wide, after = t * c_in, side // s
    expand = [((1, 1, c_in, wide), 1, (side, side, c_in)), "norm", "sigmoid"]
    depthwise = [((k, k, wide), s, (side, side, wide)), "norm", "sigmoid"]
    squeeze = [((1, 1, wide, c_in // 4), 1, (1, 1, wide)), "sigmoid"]
    excite = [((1, 1, c_in // 4, wide), 1, (1, 1, c_in // 4)), "sigmoid"]
    project = [((1, 1, wide, c), 1, (after, after, wide)), "norm"]
    return (expand if t > 1 else []) + depthwise + squeeze + excite + project


def test_efficientnet_b0_has_the_layers_of_its_table_1():
    table = {"stem": [((3, 3, 3, 32), 2, (224, 224, 3)), "norm", "sigmoid"]}
    sides = [row[2] for row in EFFICIENTNET] + [7]
    c_in = 32
    for number, (t, k, side, c, n) in enumerate(EFFICIENTNET, 1):
        for i in range(n):
            s = side // sides[number] if i == 0 else 1
            table[f"block{number}{'abcd'[i]}"] = mbconv(side, c_in, t, k, s, c)
            side, c_in = side // s, c
    table["top"] = [((1, 1, 320, 1280), 1, (7, 7, 320)), "norm", "sigmoid"]
    table["fc"] = [(1280, 1000)]
    assert operations("efficientnet_b0") == table


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_a_block_adds_its_input_wherever_its_shape_allows(name):
    adding = set()
    for stage in traced(name):
        for equation, _ in equations(stage.jaxpr):
            inputs = [getattr(v, "aval", None) for v in equation.invars]
            same = [a.shape == stage.outputs.shape for a in inputs]
            if equation.primitive.name == "add" and all(same) and len(stage.outputs.shape) == 4:
                adding.add(stage.name)
    repeats = {
        "mobilenet_v2": {f"bottleneck{n}" for n in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)},
        "efficientnet_b0": {
            f"block{i}{j}" for i in range(2, 7) for j in "bcd"[: 1 + i // 4 + i // 6]
        },
    }
    assert adding == repeats[name]


def test_padding_is_symmetric_in_torch_and_at_the_end_in_tensorflow():
    # At stride 2 the two differ on images of even size; "same" is TensorFlow's.
    def paddings(name, variant):
        layers = cnnjax.create(name, variant=variant).layers()
        return {layer.padding for layer in layers.values() if getattr(layer, "kernel", 1) != 1}

    assert paddings("mobilenet_v2", "torchvision") == {1}
    assert paddings("mobilenet_v2", "keras") == {"same"}
    assert paddings("efficientnet_b0", "torchvision") == {1, 2}
    assert paddings("efficientnet_b0", "keras") == {"same"}
    for layer in cnnjax.create("efficientnet_b0").layers().values():
        if getattr(layer, "kernel", 1) != 1:
            assert layer.padding == (layer.kernel - 1) // 2
    for variant, paddings_of in {"keras": {1, ((0, 1), (0, 1))}, "timm": {1}}.items():
        layers = cnnjax.create("mobilenet", variant=variant).layers()
        assert layers["conv1"].padding == {"keras": "same", "timm": 1}[variant]
        assert {layers[f"conv{i}"].padding for i in range(2, 15)} == paddings_of
        assert all(
            layers[f"conv{i}"].padding == 1 for i in range(2, 15) if layers[f"conv{i}"].stride == 1
        )
