"""Gradients of deep networks in float64, by torchvision 0.28 and timm 1.0.31 themselves.

    python tests/golden/float64.py resnet50 resnext50_32x4d inception_v3 timm_nasnetalarge

writes NAME_float64.npz beside NAME.npz: `train_loss`, and `grad/PARAMETER/{index,value,norm}` of
the same parameters at the same places. It needs torch, torchvision and timm, which the project
does not. It prints how far the same implementation's own gradients in float32 are away from these,
and those that NAME.npz holds: the largest difference, divided by the largest number. Of the first
layers it is 2 to 7 %, by rounding alone: through dozens of layers of batch statistics and ReLUs a
last digit decides which units are on.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "models"))

from conftest import Golden, entry  # noqa: E402


def build(name: str) -> torch.nn.Module:
    if name.startswith("timm_"):
        import timm

        return timm.create_model(name.removeprefix("timm_"))
    import torchvision

    kwargs = {"init_weights": False} if name == "inception_v3" else {}
    return torchvision.models.get_model(name, weights=None, **kwargs)


def differentiate(
    network: torch.nn.Module, weights: dict, images: torch.Tensor, names: list[str]
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and the gradients of those parameters, flat."""
    network.to(images.dtype).train()
    network.load_state_dict(weights)
    network.zero_grad()
    found = network(images)
    logits = found if torch.is_tensor(found) else found[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(len(images)))
    loss.backward()
    parameters = dict(network.named_parameters())
    return loss.item(), {name: parameters[name].grad.numpy().reshape(-1) for name in names}


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def main(name: str) -> None:
    golden = Golden(name)
    network = build(name)
    weights = {
        key: value if value.ndim == 0 else torch.from_numpy(entry(key, tuple(value.shape)))
        for key, value in network.state_dict().items()
    }
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    images = torch.from_numpy(golden.images).permute(0, 3, 1, 2)
    names = sorted({key.split("/")[1] for key in golden.arrays if key.startswith("grad/")})
    _, single = differentiate(network, weights, images, names)
    single = {parameter: gradient.copy() for parameter, gradient in single.items()}
    loss, double = differentiate(network, weights, images.double(), names)
    arrays = {"train_loss": np.float64(loss)}
    for parameter, gradient in double.items():
        index = golden.arrays[f"grad/{parameter}/index"]
        arrays[f"grad/{parameter}/index"] = index
        arrays[f"grad/{parameter}/value"] = gradient[index]
        arrays[f"grad/{parameter}/norm"] = np.linalg.norm(gradient)
        ours = distance(single[parameter], gradient)
        stored = distance(golden.arrays[f"grad/{parameter}/value"], gradient[index])
        print(f"{name} {parameter}: float32 here {ours:.1e}, in {name}.npz {stored:.1e}")
    np.savez(HERE / f"{name}_float64.npz", **arrays)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(argument)
