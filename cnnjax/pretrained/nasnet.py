"""The names that timm and Keras give to the weights of NASNet-A."""

from cnnjax.models.nasnet import NASNet
from cnnjax.pretrained.layouts import NameOf, Names, Place


def keras_ids(network: NASNet) -> dict[str, str]:
    """{our cell: the end of the names of Keras' layers in it}."""
    n = network.repeats
    ids = {"cell_stem_0": "stem_1", "cell_stem_1": "stem_2"}
    ids |= {f"cell_{i}": f"{i if i < n else i + 1}" for i in range(3 * n)}
    return ids | {"reduction_cell_0": f"reduce_{n}", "reduction_cell_1": f"reduce_{2 * n}"}


def keras_name(network: NASNet) -> NameOf:
    """("cell_0", "left_1", "norm1") -> "separable_conv_1_bn_normal_left1_0"."""
    ids = keras_ids(network)

    def name(place: Place) -> str:
        stage, *inner = place
        if stage == "conv0":
            return {"conv": "stem_conv1", "norm": "stem_bn1"}[inner[0]]
        if stage == "final_layer":
            return "predictions"
        kind = "normal" if stage.split("_")[1].isdigit() else "reduction"
        end = ids[stage]
        match inner:
            case ["current", part]:
                return f"{kind}_{'conv' if part == 'conv' else 'bn'}_1_{end}"
            case ["previous", "conv"]:
                return f"adjust_conv_projection_{end}"
            case ["previous", "norm"]:
                return f"adjust_bn_{end}"
            case ["previous", path]:
                return f"adjust_conv_{path[-1]}_{end}"
        place, part = inner[0].replace("_", ""), inner[1]
        if kind == "reduction" and place == "left5":
            place = "left4"  # so Keras calls it
        number = f"{part[-1]}_bn" if part.startswith("norm") else part[-1]
        return f"separable_conv_{number}_{kind}_{place}_{end}"

    return name


def timm_name(network: NASNet) -> NameOf:
    """("cell_0", "left_1", "norm1") -> "cell_0.comb_iter_0_left.bn_sep_1"."""
    layers = network.layers()

    def name(place: Place) -> str:
        stage, *inner = place
        norm = {"conv": "conv", "norm": "bn"}
        match [stage, *inner]:
            case ["final_layer"]:
                return "last_linear"
            case ["conv0", part]:
                return f"conv0.{norm[part]}"
            case [_, "current", part]:
                return f"{stage}.conv_1x1.{norm[part]}"
            case [_, "previous", "path_1" | "path_2" as part]:
                return f"{stage}.{part}.conv"
            case [_, "previous", "norm"] if layers[stage].previous == "reduce":
                return f"{stage}.final_path_bn"
            case [_, "previous", part]:
                return f"{stage}.conv_prev_1x1.{norm[part]}"
        side, number = inner[0].split("_")
        block, last = f"{stage}.comb_iter_{int(number) - 1}_{side}", inner[1][-1]
        if inner[1].startswith("norm"):
            return f"{block}.bn_sep_{last}"
        return f"{block}.separable_{last}.{inner[2]}_conv2d"

    return name


def timm_modules(network: NASNet) -> dict[str, str]:
    """The modules that give what our stages give."""
    modules = {stage: stage for stage in network.stages}
    last_cell = network.stages[network.stages.index("final_layer") - 1]
    return modules | {last_cell: "act", "final_layer": "last_linear"}


SOURCES = {
    "timm": Names("torch", timm_name, {"variant": "timm"}, modules=timm_modules),
    "keras": Names("keras", keras_name, {"variant": "keras"}),
}
