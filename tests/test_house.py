"""The shape of the house: which room may know which, and what its files look like."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [
    "errors",
    "data",
    "layers",
    "models",
    "pretrained",
    "training",
    "transfer",
    "analysis",
    "command",
    "studies",
    "advisor",
]
FILES = sorted((ROOT / "cnnjax").rglob("*.py"))
ALL_FILES = FILES + sorted(
    path for place in ("experiments", "scripts") for path in (ROOT / place).rglob("*.py")
)


def room_of(path):
    return path.relative_to(ROOT / "cnnjax").parts[0].removesuffix(".py")


def imported_rooms(path):
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "cnnjax" and len(parts) > 1 and parts[1] in ROOMS:
                rooms.add(parts[1])
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_leftwards_only(path):
    if path.name == "__init__.py" and path.parent.name == "cnnjax":
        return
    own = ROOMS.index(room_of(path))
    for room in imported_rooms(path):
        assert ROOMS.index(room) <= own, f"{path} imports {room}"


def test_every_room_is_in_the_order():
    places = {room_of(path) for path in FILES} - {"__init__"}
    assert places <= set(ROOMS)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_room(path):
    assert path.stem not in ("utils", "common", "helpers")
    assert len(path.read_text().splitlines()) <= 270


def modules_after(statement):
    code = f"{statement}; import sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_jax_and_flax_and_nothing_that_only_commands_need():
    loaded = modules_after("import cnnjax")
    heavy = ("grain", "h5py", "matplotlib", "optax", "orbax", "PIL", "sklearn", "submitit")
    heavier = ("keras", "scipy", "tensorflow", "tensorflow_datasets", "torch", "tyro")
    assert not loaded & {*heavy, *heavier}
    ours = {name for name in loaded if name.startswith("cnnjax.")}
    rooms = {".".join(name.split(".")[:2]) for name in ours}
    assert rooms == {"cnnjax.errors", "cnnjax.layers", "cnnjax.models"}
