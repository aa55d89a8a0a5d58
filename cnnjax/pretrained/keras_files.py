"""Keras' HDF5 files of weights: arrays by "layer/weight", whatever version wrote them."""

import re
from pathlib import Path

import numpy as np

from cnnjax.errors import CnnjaxError

# The weights of a layer in the order of Keras' `layer.weights`, by the class that a `.weights.h5`
# names. Batch normalisation may lack its gamma.
ORDERS = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("depthwise_kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
# "block1_conv1_W_1:0" of the oldest files is "block1_conv1/kernel" of today's.
LEAVES = re.compile(
    r"(?:^|[/_])(W|b|kernel|depthwise_kernel|pointwise_kernel|bias|gamma|beta|moving_mean|"
    r"moving_variance|running_mean|running_std|mean|variance|count)(?:_\d+)?(?::0)?$"
)
OLD_LEAVES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # so Keras 1 called it
}
MOST_PACKED = 1100
"""Bytes that one byte of a packed array can stand for: what was never written has no end."""
NUMBERED = re.compile(r"^(conv2d|batch_normalization|separable_conv2d|normalization)(?:_(\d+))?$")
OLD_KINDS = {"convolution2d": "conv2d", "batchnormalization": "batch_normalization"}


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.h5` (with layers by name) or a `.weights.h5` (by class and number).

    Names that Keras made up itself by counting, such as "conv2d_5", are counted again from
    "conv2d" on, in the same order: where its count began depends on what was made before.

    Raises:
      CnnjaxError: h5py is not installed, or a file that is damaged or holds no weights.
    """
    try:
        import h5py
    except ImportError:
        raise CnnjaxError(
            f"{str(path)!r} is a file of Keras, and h5py is not installed; pip install h5py, or "
            "take the weights as .safetensors"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            if outside := file.visititems_links(_soft_or_external):
                raise CnnjaxError(
                    f"in {str(path)!r} {outside!r} is a link to somewhere else, which a file of "
                    "weights has no use for; not followed; take another file"
                )
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                arrays = _by_name(root)
            elif "layers" in root:
                arrays = _by_class(root["layers"])
            else:
                arrays = {}
    except CnnjaxError:
        raise
    except Exception as error:  # whatever HDF5 raises over damaged bytes
        reason = " ".join(str(error).split())[:120]
        raise CnnjaxError(
            f"{str(path)!r} is no whole HDF5 file of Keras (truncated, damaged or of another kind: "
            f"{reason}); get it again"
        ) from None
    if not arrays:
        raise CnnjaxError(
            f"{str(path)!r} holds no weights of Keras; expected what model.save_weights writes; "
            "check the path"
        )
    return recounted(arrays)


def _by_name(root: object) -> dict[str, np.ndarray]:
    """Files before Keras 3, and its `.h5`: the attributes list the layers and their weights."""
    arrays = {}
    for layer in map(_text, root.attrs["layer_names"]):
        group = root[layer]
        for weight in map(_text, group.attrs["weight_names"]):
            leaf = LEAVES.search(weight)
            if leaf is None:
                raise CnnjaxError(
                    f"the weight {weight!r} of the layer {layer!r} has a name that is not known; "
                    "expected kernel, bias, gamma, beta, moving_mean or moving_variance"
                )
            short = OLD_LEAVES.get(leaf[1], leaf[1])
            arrays[f"{layer}/{short}"] = _array(group[weight])
    return arrays


def _by_class(layers: object) -> dict[str, np.ndarray]:
    """Keras 3's `.weights.h5`: "layers/conv2d_3/vars/0", the layer's name as an attribute."""
    arrays = {}
    for place in layers:
        values = layers[place].get("vars", {})
        if not len(values):
            continue
        if "name" not in values.attrs:
            raise CnnjaxError(
                f"the layer {place!r} has no name in this file, which a version of Keras 3 wrote "
                "that left names out; save the weights again with Keras 3.10 or later"
            )
        kind = re.sub(r"_\d+$", "", place)
        order = ORDERS.get(kind, ())
        if kind == "batch_normalization" and len(values) == 3:
            order = order[1:]
        for index in sorted(values, key=int):
            leaf = order[int(index)] if int(index) < len(order) else index
            arrays[f"{_text(values.attrs['name'])}/{leaf}"] = _array(values[index])
    return arrays


def recounted(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Layers that Keras named by counting, counted from the first of each kind.

    >>> list(recounted({"conv2d_7/kernel": 0, "conv2d_12/kernel": 1, "fc/bias": 2}))
    ['conv2d/kernel', 'conv2d_1/kernel', 'fc/bias']
    """
    numbers: dict[str, set[int]] = {}
    for name in arrays:
        if found := _counted(name):
            numbers.setdefault(found[0], set()).add(found[1])

    def renamed(name: str) -> str:
        found = _counted(name)
        if not found:
            return name
        index = sorted(numbers[found[0]]).index(found[1])
        kind = f"{found[0]}_{index}" if index else found[0]
        return f"{kind}/{name.rpartition('/')[2]}"

    return {renamed(name): array for name, array in arrays.items()}


def _counted(name: str) -> tuple[str, int] | None:
    """("conv2d", 5) of "conv2d_5/kernel"."""
    layer = name.rpartition("/")[0]
    for old, new in OLD_KINDS.items():
        layer = re.sub(rf"^{old}(?=_|$)", new, layer)
    found = NUMBERED.match(layer)
    return (found[1], int(found[2] or 0)) if found else None


def _soft_or_external(name: str, link: object) -> str | None:
    return None if type(link).__name__ == "HardLink" else name


def _array(dataset: object) -> np.ndarray:
    if dataset.is_virtual or dataset.external:
        raise CnnjaxError(f"the HDF5 file's {dataset.name!r} is kept in another file; not read")
    size = dataset.size * dataset.dtype.itemsize
    if size > 2**20 + MOST_PACKED * dataset.id.get_storage_size():
        raise ValueError(f"{dataset.name} says that it has {size:,} bytes, which are not there")
    return np.asarray(dataset)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
