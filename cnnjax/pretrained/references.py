"""What a network gives stage by stage, stored in a few numbers, to compare weights with.

A reference is NAME.json, with the shape of the input and of each stage's output, and NAME.npz, with
24 numbers of each output at `eval/STAGE/index` in the flat array, and the logits. The input is
drawn from a generator that is named after it, so that it needs no storing. Where the .json does not
say "names": "stages", the names are those of the source's modules that give the same maps, e.g.
`layer1.0` for torchvision's ResNet: the source itself is the reference.
"""

import io
import json
import os
import uuid
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from cnnjax.errors import CnnjaxError
from cnnjax.models import Network
from cnnjax.pretrained.families import sources_of
from cnnjax.pretrained.loading import Pretrained

KEPT = 24
"""Numbers of each output that are kept."""


class Reference(NamedTuple):
    """What NAME.json and NAME.npz hold.

    Attributes:
      input: the shape of the images `[N, H, W, C]`.
      shapes: {stage or module: the shape of its output}.
      arrays: "eval/STAGE/index", "eval/STAGE/value" and "eval_logits".
      by_stage: whether the names are our stages', and not the modules' of the source.
    """

    input: tuple[int, ...]
    shapes: dict[str, tuple[int, ...]]
    arrays: dict[str, np.ndarray]
    by_stage: bool


class Difference(NamedTuple):
    """How far a stage's output is from the reference.

    Attributes:
      stage: ours; "logits" for the logits.
      module: what the reference calls it.
      relative: the largest difference, in units of the largest number there; infinite where shapes
        differ or a number is not finite.
    """

    stage: str
    module: str
    relative: float


def images_of(shape: tuple[int, ...]) -> np.ndarray:
    """Gaussian noise in place of images, the same for everyone, already scaled."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"input")))
    return generator.standard_normal(shape).astype(np.float32)


def outputs_of(network: Network, variables: Mapping, images: np.ndarray) -> dict[str, np.ndarray]:
    """{stage: its output}, of the last array where there are several; pixels are not scaled."""
    bare = network.clone(pixels=None)

    @jax.jit
    def run(variables: Mapping, x: jax.Array) -> dict:
        found = {}
        for stage in bare.stages:
            x = bare.apply(variables, x, start=stage, stop=stage)
            found[stage] = jax.tree.leaves(x)[-1]
        return found

    return {stage: np.asarray(array) for stage, array in run(variables, images).items()}


def compare(loaded: Pretrained, reference: Reference) -> list[Difference]:
    """Compares every stage that the reference knows, in order, and the logits.

    Raises:
      CnnjaxError: it knows none of the stages.
    """
    network, passport = loaded.network, loaded.passport
    names = sources_of(passport.network).get(passport.source)
    modules = names.modules(network) if names else {}
    found = outputs_of(network, loaded.variables, images_of(reference.input))
    differences = []
    for stage in network.stages:
        # A source may call another module as we call this stage.
        module = stage if reference.by_stage else modules.get(stage)
        if f"eval/{module}/value" in reference.arrays and module in reference.shapes:
            relative = float("inf")
            if reference.shapes[module] == found[stage].shape:
                flat = found[stage].reshape(-1)[reference.arrays[f"eval/{module}/index"]]
                relative = _relative(flat, reference.arrays[f"eval/{module}/value"])
            differences.append(Difference(stage, module, relative))
    if not differences:
        raise CnnjaxError(
            f"the reference knows no stage of {passport.network}; it has "
            f"{', '.join(list(reference.shapes)[:6]) or 'none'}; take that of this network"
        )
    logits = found[network.stages[-1]]
    if "eval_logits" in reference.arrays and network.num_classes:
        expected = reference.arrays["eval_logits"]
        relative = _relative(logits, expected) if logits.shape == expected.shape else float("inf")
        differences.append(Difference("logits", "eval_logits", relative))
    return differences


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    scale = float(np.abs(expected).max()) or 1.0
    relative = float(np.abs(found - expected).max()) / scale
    return relative if np.isfinite(relative) else float("inf")


def record(loaded: Pretrained, shape: tuple[int, ...]) -> Reference:
    """The reference that these weights themselves give, for images of this shape."""
    found = outputs_of(loaded.network, loaded.variables, images_of(shape))
    arrays = {"eval_logits": found[loaded.network.stages[-1]]} if loaded.network.num_classes else {}
    for stage, output in found.items():
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(stage.encode())))
        index = np.sort(generator.choice(output.size, min(KEPT, output.size), replace=False))
        arrays[f"eval/{stage}/index"] = index
        arrays[f"eval/{stage}/value"] = output.reshape(-1)[index]
    shapes = {stage: output.shape for stage, output in found.items()}
    return Reference(shape, shapes, arrays, by_stage=True)


def read_reference(path: Path) -> Reference:
    """Reads NAME.npz and the NAME.json beside it.

    Raises:
      CnnjaxError: one of them is missing, damaged or holds something else.
    """
    try:
        facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
        shapes = {stage["module"]: tuple(map(int, stage["shape"])) for stage in facts["stages"]}
        shape = tuple(map(int, facts["input"]))
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for module in shapes:
            if f"eval/{module}/value" in arrays:
                size = int(np.prod(shapes[module]))
                if not (arrays[f"eval/{module}/index"] < size).all():
                    raise ValueError(f"{module} has positions outside its output")
        if len(shape) != 4 or min(shape) < 1 or int(np.prod(shape)) > 2**28:
            raise ValueError(f"an input of shape {shape}")
    except Exception as error:  # whatever JSON and the zip reader raise over damaged bytes
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CnnjaxError(
            f"cannot read the reference {path.with_suffix('.npz')} with the .json beside it "
            f"({type(error).__name__}: {reason}); make one with --record"
        ) from None
    return Reference(shape, shapes, arrays, facts.get("names") == "stages")


def write_reference(path: Path, reference: Reference) -> None:
    """Writes NAME.json and NAME.npz, each whole or not at all.

    Raises:
      CnnjaxError: they cannot be written.
    """
    stages = [{"module": name, "shape": shape} for name, shape in reference.shapes.items()]
    names = {"names": "stages"} if reference.by_stage else {}
    facts = {"input": reference.input, **names, "stages": stages}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **reference.arrays)
    for suffix, content in (
        (".json", (json.dumps(facts, indent=1) + "\n").encode()),
        (".npz", buffer.getvalue()),
    ):
        target = path.with_suffix(suffix)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(content)
            os.replace(temporary, target)
        except OSError as error:
            raise CnnjaxError(
                f"cannot write {target}: {error.strerror or error}; give another place"
            ) from None
        finally:
            with suppress(OSError):
                temporary.unlink()
