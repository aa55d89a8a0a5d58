"""Compare what a network gives, stage by stage, with stored activations.

    python scripts/verify_weights.py --network resnet50 --weights FILE --reference resnet50.npz
    python scripts/verify_weights.py --network resnet50 --weights FILE --reference resnet50.npz \\
        --record --image 97x81x3

A reference is a .npz and a .json of one name; cnnjax/pretrained/references.py says what is in them.
Names the first stage that differs, and ends with status 1 if there is one.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ledger import read_image
from train_arguments import read_arguments

from cnnjax import pretrained
from cnnjax.command import main, unset
from cnnjax.errors import CnnjaxError
from cnnjax.models import check_takes
from cnnjax.pretrained.references import compare, read_reference, record, write_reference

RECORDED = 2
"""Images that --record makes."""


@dataclass(frozen=True)
class Config:
    network: str
    """The network, see scripts/ledger.py --list."""
    weights: str
    """A file (.safetensors, .npz, .h5, .pth ...), or torchvision, timm, keras."""
    reference: Path
    """The .npz; its .json lies beside it."""
    arguments: Annotated[tuple[str, ...], unset("NAME=VALUE ...", "none")] = ()
    """The network's own, e.g. alpha=0.5."""
    source: Annotated[str | None, unset("NAME", "found out")] = None
    """Whose names the file follows, where torchvision and timm have the same."""
    tolerance: float = 1e-4
    """The largest difference, in units of the largest number of a stage, that is none."""
    record: bool = False
    """Write the reference from these weights instead."""
    image: Annotated[str | None, unset("HxWxC", "the weights' own")] = None
    """Of --record, e.g. 97x81x3: an odd and oblong one tells more paddings apart."""


def run(config: Config) -> None:
    """Compares, or records."""
    if not config.tolerance > 0:
        raise CnnjaxError(f"--tolerance is {config.tolerance}; give one above 0")
    if config.image is not None and not config.record:
        raise CnnjaxError("--image is of --record; the reference has its own; leave it out")
    if config.reference.suffix != ".npz":
        raise CnnjaxError(f"--reference {config.reference} is no .npz; name that")
    reference = None if config.record else read_reference(config.reference)
    loaded = pretrained.load(
        config.network, config.weights, source=config.source, **read_arguments(config.arguments)
    )
    if reference is None:
        side = loaded.preprocessing.crop
        own = (side, side, loaded.preprocessing.channels)
        shape = own if config.image is None else read_image(config.image)
        check_takes(loaded.network, shape)
        made = record(loaded, (RECORDED, *shape))
        write_reference(config.reference, made)
        print(f"{config.reference}: {len(made.shapes)} stages of {RECORDED} images of {shape}")
        return
    check_takes(loaded.network, reference.input[1:])
    differences = compare(loaded, reference)
    width = max(len(d.stage) for d in differences)
    for d in differences:
        mark = "" if d.relative <= config.tolerance else "  differs"
        print(f"{d.stage:<{width}}  {d.relative:8.1e}  {d.module}{mark}")
    differing = [d for d in differences if d.relative > config.tolerance]
    if differing:
        print(f"\nthe first that differs is {differing[0].stage} ({differing[0].module})")
        sys.exit(1)
    print(f"\nall {len(differences)} agree to {config.tolerance:g}")


if __name__ == "__main__":
    main(Config, run, __doc__)
