"""Time the transferability study against the same plan in stock Flax without cached features.

Both run in fresh processes, one after the other: first this project as it is; then the same runs,
seeds and data with nn.Conv and nn.max_pool, the frozen layers in every step, and one compiled call
for each step (inside a compiled loop stock convolutions are many times slower on CPUs, which would
flatter the comparison).

    python scripts/benchmark_study.py --out docs/benchmarks/study.json --markdown docs/benchmarks.md
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from benchmark_report import surroundings, where, write_json, write_section
from stock_networks import STOCK

from cnnjax.command import main
from cnnjax.errors import CnnjaxError
from cnnjax.models import NETWORKS
from cnnjax.training import TrainState, feeds, train_step

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
IMPLEMENTATIONS = ("cnnjax", "stock")


@dataclasses.dataclass(frozen=True)
class Config:
    """Time the transferability study against stock Flax without cached features."""

    splits: int = 1
    """Random splits of the plan; the default plan has 3."""
    smoke: bool = False
    """The tiny plan of the study's own --smoke."""
    out: Path | None = None
    """Where to write what was measured, as JSON."""
    markdown: Path | None = None
    """A document whose section on the study is written anew."""


def run(config: Config) -> None:
    """Measures one after the other, and reports."""
    load = os.getloadavg()[0]
    measured = {name: _measure(name, config) for name in IMPLEMENTATIONS}
    ratio = measured["stock"]["seconds"] / measured["cnnjax"]["seconds"]
    report = surroundings(load) | {
        "runs": measured["cnnjax"]["runs"],
        "splits": config.splits,
        "plan": "tiny" if config.smoke else "default",
        "seconds": {name: round(m["seconds"], 1) for name, m in measured.items()},
        "times_faster": round(ratio, 2),
        "largest_difference_in_accuracy": _difference(measured),
    }
    if config.out is not None:
        write_json(config.out, report)
    print(section(report))
    if config.markdown is not None:
        write_section(config.markdown, "study", section(report))


def section(report: dict) -> str:
    """The table and its conditions."""
    seconds = report["seconds"]
    return (
        "| the plan | seconds | |\n|---|--:|--:|\n"
        f"| cnnjax | {seconds['cnnjax']:.1f} | {report['times_faster']:.2f} × faster |\n"
        f"| stock layers, no cached features, a call for each step | {seconds['stock']:.1f} | |\n\n"
        f"{report['runs']} runs ({report['splits']} splits) of the {report['plan']} plan, whole "
        "processes, "
        "start-up and compilation included, one measurement each. Largest difference of one run's "
        f"test accuracy between the two: {report['largest_difference_in_accuracy']:.2f} points "
        f"(training amplifies rounding). {where(report)}"
    )


def perform(implementation: str, splits: int, smoke: bool, out: Path) -> None:
    """What the fresh process does: the study, as it is or in stock Flax."""
    sys.path.insert(0, str(EXPERIMENTS))
    import transferability
    import transferability_protocol

    if implementation == "stock":
        use_stock()
        transferability_protocol.CACHE_LIMIT = 0
    transferability.run(transferability.Config(splits=splits, smoke=smoke, out=out))


def use_stock() -> None:
    """From now on this process has stock networks, and a call for each step."""
    NETWORKS.update(STOCK)
    feeds.train_steps = steps_one_by_one


def steps_one_by_one(
    state: TrainState,
    inputs: jax.Array,
    targets: jax.Array,
    indices: jax.Array,
    count: jax.Array,
    frozen: dict,
    *,
    placed: None = None,
    **settings: object,
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """What `train_steps` does on one device, in a compiled call for each step."""
    sums = []
    for row in np.asarray(indices)[: int(count)]:
        state, measured = _one_step(state, inputs, targets, row, frozen, **settings)
        sums.append(measured)
    return state, {name: np.stack([one[name] for one in sums]) for name in sums[0]}


@partial(
    jax.jit,
    static_argnames=("network", "task", "optimizer", "start", "augment"),
    donate_argnums=0,
)
def _one_step(
    state: TrainState,
    inputs: jax.Array,
    targets: jax.Array,
    row: jax.Array,
    frozen: dict,
    **settings: object,
) -> tuple[TrainState, dict[str, jax.Array]]:
    return train_step(state, (inputs[row], targets[row]), frozen=frozen, **settings)


def _measure(implementation: str, config: Config) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, __file__, "--perform", implementation, str(config.splits)]
        began = time.monotonic()
        done = subprocess.run(
            [*command, str(int(config.smoke)), str(out)], stdout=subprocess.DEVNULL
        )
        seconds = time.monotonic() - began
        if done.returncode:
            raise CnnjaxError(f"the study in {implementation} form failed; see above")
        results = [json.loads(p.read_text())["row"] for p in out.glob("runs/*/result.json")]
    accuracies = {row["run"]: row["accuracy"] for row in results}
    return {"seconds": seconds, "runs": len(results), "accuracies": accuracies}


def _difference(measured: dict) -> float:
    ours, theirs = (measured[name]["accuracies"] for name in IMPLEMENTATIONS)
    return round(max(abs(ours[name] - theirs[name]) for name in ours), 4)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--perform"]:
        perform(sys.argv[2], int(sys.argv[3]), bool(int(sys.argv[4])), Path(sys.argv[5]))
    else:
        main(Config, run, __doc__)
