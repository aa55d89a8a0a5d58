"""Write weights of others as this project's own file, or in the names of others.

    python scripts/convert.py resnet50-0676ba61.pth --network resnet50 --out resnet50.safetensors
    python scripts/convert.py own.safetensors --network resnet50 --to torchvision \\
        --out torchvision.safetensors

Reads .safetensors, .npz, .h5, .weights.h5, .pth, .th and .pt. Every array must be used and every
weight of the network found, or all that does not fit is listed and nothing is written. The own file
says what pictures must become, and where the weights come from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import tyro
from train_arguments import read_arguments

from cnnjax import pretrained
from cnnjax.command import main, unset


@dataclass(frozen=True)
class Config:
    weights: Annotated[str, tyro.conf.Positional]
    """The file, or torchvision, timm, keras: what they publish is downloaded once."""
    network: str
    """Whose weights they are, see scripts/ledger.py --list."""
    out: Path
    """The file to write; ends in .safetensors."""
    to: str = "cnnjax"
    """Whose names: cnnjax, torchvision, timm."""
    arguments: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The network's own, e.g. alpha=0.5."""
    source: Annotated[str | None, unset("NAME", "found out")] = None
    """Whose names the file follows, where torchvision and timm have the same."""
    num_classes: Annotated[int | None, unset("INT", "the file's")] = None
    """The number that the file must have; 0 leaves its head out."""
    sha256: Annotated[str | None, unset("DIGITS", "as published")] = None
    """What the file must have."""


def run(config: Config) -> None:
    """Converts and says what it was."""
    loaded = pretrained.load(
        config.network,
        config.weights,
        num_classes=config.num_classes,
        source=config.source,
        sha256=config.sha256,
        **read_arguments(config.arguments),
    )
    network, variables, passport, preprocessing = loaded
    pretrained.save(config.out, network, variables, passport, source=config.to)
    arrays = jax.tree.leaves(variables)
    pixels = preprocessing.pixels
    scale = "[-1, 1]" if pixels is None else f"mean {_round(pixels.mean)} std {_round(pixels.std)}"
    print(
        f"{config.out}: {len(arrays)} arrays, {sum(array.size for array in arrays)} numbers, "
        f"{network.num_classes} classes\n"
        f"source         {passport.source} {passport.weights}".rstrip()
        + f"\nlicence        {passport.licence or 'not known'}"
        + f"\nsha256         {passport.sha256}"
        + f"\npreprocessing  shorter side {preprocessing.resize}, crop {preprocessing.crop}, "
        + f"{preprocessing.interpolation}, {'BGR' if pixels and pixels.bgr else 'RGB'}, {scale}"
    )
    if passport.top1 is not None:
        print(f"published      top-1 {passport.top1} %, top-5 {passport.top5} %")


def _round(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


if __name__ == "__main__":
    main(Config, run, __doc__)
