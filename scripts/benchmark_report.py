"""What `benchmark.py` measured, as JSON, as a table in the terminal and in a document."""

import json
import os
import platform
import re
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cnnjax.errors import CnnjaxError

Report = dict[str, object]
COLUMNS = ("network", "implementation", "ms", "quartiles", "x stock", "XLA MiB", "added MiB")
NETWORK_COLUMNS = (
    *("network", "what", "implementation", "ms", "quartiles", "x cnnjax", "images/s"),
    *("XLA MiB", "compile s"),
)
NAMES = {"cnnjax": "cnnjax", "stock": "stock Flax", "keras": "Keras/JAX", "torch": "PyTorch"}


def surroundings(load: float) -> Report:
    """The machine and the versions that the figures belong to."""
    versions = {}
    for package in ("jax", "jaxlib", "flax", "optax", "keras", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(load, 2),
        },
        "versions": {"python": platform.python_version()} | versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.*)", info.read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def read_json(path: Path) -> Report:
    """A report that was written before."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CnnjaxError(
            f"{path} is no report of this benchmark ({error}); measure without --only-report"
        ) from None


def write_json(path: Path, report: Report) -> None:
    """The report, whole or not at all."""
    _replace(path, json.dumps(report, indent=2) + "\n")


def rows(report: Report) -> list[tuple[str, ...]]:
    """The cells of the table, in the order of COLUMNS."""
    cells = []
    for row in report["steps"]:
        memory = [row["temporary_mib"], row["added_mib"]]
        low, high = row["quartiles"]
        where = ", in a scan" if row["mode"] == "scan" else ""
        cells.append(
            (
                row["network"],
                NAMES[row["implementation"]] + where,
                f"{row['milliseconds']:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{row['times_stock']:.2f}",
                *("" if size is None else f"{size:.0f}" for size in memory),
            )
        )
    return cells


def network_rows(report: Report) -> list[tuple[str, ...]]:
    """The cells of the table of other networks, in the order of NETWORK_COLUMNS."""
    cells = []
    for row in report["networks"]:
        low, high = row["quartiles"]
        ends = (row["temporary_mib"], "{:.0f}"), (row["compile_seconds"], "{:.1f}")
        cells.append(
            (
                row["network"],
                row["mode"],
                NAMES[row["implementation"]],
                f"{row['milliseconds']:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{row['times_cnnjax']:.2f}",
                f"{row['images_a_second']:,.0f}",
                *("" if value is None else form.format(value) for value, form in ends),
            )
        )
    return cells


def table(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]], str]:
    """(columns, rows, the paragraph beneath)."""
    if "networks" in report:
        return NETWORK_COLUMNS, network_rows(report), network_conditions(report)
    return COLUMNS, rows(report), conditions(report)


def print_table(report: Report) -> None:
    """The table in the terminal."""
    columns, cells, paragraph = table(report)
    printed = Table(*columns)
    for row in cells:
        printed.add_row(*row)
    console = Console()
    console.print(printed)
    console.print(paragraph)


def conditions(report: Report) -> str:
    """One paragraph: what the columns are and under which conditions they hold."""
    images = ", ".join(
        f"{name} {' x '.join(map(str, shape))}" for name, shape in report["images"].items()
    )
    return (
        f"Milliseconds a training step, batch {report['batch_size']}, images {images}: medians and "
        f"quartiles over {report['repeats']} rounds in which all take turns in one process, and "
        "the median ratio to the stock single step of the same round; "
        f"{report['scan_steps']} steps in a scan. XLA MiB: what XLA reserves for the intermediate "
        "results of a step. Added MiB: by how much steps raise the resident memory of a process "
        f"of their own. {where(report)}"
    )


def network_conditions(report: Report) -> str:
    """The same of the table of other networks."""
    shapes = {row["network"]: " x ".join(map(str, row["image"])) for row in report["networks"]}
    images = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return (
        f"Milliseconds a batch of {report['batch_size']} images, {images}: medians and quartiles "
        f"over {report['repeats']} rounds in which all take turns in one process, and the median "
        "ratio to cnnjax in the same round. Forward is evaluation, step is forward, backward and "
        f"the SGD update with momentum; in a loop: {report['scan_steps']} steps are one call; "
        "`fit` takes as many as fill two seconds. XLA MiB: what XLA reserves for intermediate "
        f"results. Compile: tracing and compilation, once. {where(report)}"
    )


def where(report: Report) -> str:
    """The machine and the versions, in one sentence."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"load {machine['load_before']} before; {versions}."
    )


def section(report: Report) -> str:
    """The table and its conditions, as Markdown."""
    columns, cells, paragraph = table(report)
    words = ("network", "what", "implementation")
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join("---" if column in words else "--:" for column in columns) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n\n" + paragraph


def write_section(path: Path, name: str, text: str) -> None:
    """Writes `text` between the marks of section `name`; the rest of the document stays."""
    begin, end = f"<!-- {name}: written by a command -->", f"<!-- end of {name} -->"
    try:
        document = path.read_text()
    except (OSError, ValueError) as error:
        raise CnnjaxError(f"{path} cannot be read ({error}); give a document that exists") from None
    head, found, rest = document.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise CnnjaxError(f"{path} has no place for the table; put {begin} and {end} into it")
    _replace(path, f"{head}{begin}\n\n{text}\n\n{end}{tail}")


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise CnnjaxError(f"{path} cannot be written ({error.strerror}); choose another") from None
