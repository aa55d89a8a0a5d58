"""Time the whole transferability study with its runs stacked by `vmap` against one by one.

Three ways through the same plan, with the same data, initial weights, batches and steps:

  * one after the other, as the study does;
  * runs that differ in nothing but the split and its seeds side by side in one program: features of
    the frozen layers, training and measurement;
  * all runs that differ in numbers alone in one program, whatever their arm: all bases, all
    fine-tuning arms of all n, all arms behind n frozen layers.

It compares the accuracies of every run. Stacked convolutions are made for accelerators; CPUs are
slower with them.

    python scripts/benchmark_stacked_study.py --out docs/benchmarks/stacked_study.json \
        --markdown docs/benchmarks.md
"""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import jax
from benchmark_report import Report, surroundings, where, write_json, write_section

from cnnjax.command import at_least, check_numbers, main, unset

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ONE_BY_ONE = "one after the other"
SECTION = "stacked_study"

Way = Callable[[object], Mapping[str, Mapping[str, object]]]
"""Protocol of the study -> {run: its row}."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Time the transferability study with its runs stacked against one by one."""

    dataset: str = "glyphs"
    """As in experiments/transferability.py."""
    network: str = "alexnet_small"
    """As in experiments/transferability.py."""
    splits: int = 3
    """Random splits of the plan."""
    layers: Annotated[str | None, unset("N,N-N", "every possible one")] = None
    """The values of n, e.g. 1-7 or 1,4,7."""
    images_per_class: Annotated[int | None, unset("INT", "the study's")] = None
    """Train on so many images of each class only."""
    steps: Annotated[int | None, unset("INT", "the study's")] = None
    """Length of every training; base2x takes twice that."""
    batch_size: int = 32
    """Images a step."""
    repeats: int = 3
    """Rounds, after the first, in which programs are compiled."""
    out: Path | None = None
    """Where to write what was measured, as JSON."""
    markdown: Path | None = None
    """A document whose section stacked_study is written anew."""


def run(config: Config) -> None:
    """Measures in turns, and reports."""
    check_numbers(config, batch_size=at_least(1), repeats=at_least(1))
    report = measured(config)
    if config.out is not None:
        write_json(config.out, report)
    print(section(report))
    if config.markdown is not None:
        write_section(config.markdown, SECTION, section(report))


def measured(config: Config) -> Report:
    """The report."""
    sys.path.insert(0, str(EXPERIMENTS))
    import transferability
    from transferability_stacked import kinds, one_by_one, same_but_for_the_split, same_program
    from transferability_stacked import stacked as in_programs

    knobs = ("dataset", "network", "splits", "layers", "images_per_class", "steps", "batch_size")
    study = transferability.Config(**{name: getattr(config, name) for name in knobs})
    report = surroundings(os.getloadavg()[0])
    protocol = transferability.protocol_of(study)
    ways: dict[str, Way] = {ONE_BY_ONE: one_by_one}
    together = {ONE_BY_ONE: [1] * len(protocol.plan)}
    for name, kind in (
        ("splits stacked", same_but_for_the_split),
        ("splits and arms stacked", same_program),
    ):
        ways[name] = lambda protocol, kind=kind: in_programs(protocol, kind)
        together[name] = [len(runs) for runs in kinds(protocol, kind)]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(config.repeats + 1):
        found = {}
        for name, way in ways.items():
            # Features of frozen layers are kept in the protocol: each round begins without them.
            protocol = transferability.protocol_of(study)
            began = time.perf_counter()
            found[name] = way(protocol)
            seconds[name].append(time.perf_counter() - began)
    return report | {
        "device": jax.devices()[0].device_kind,
        "dataset": config.dataset,
        "network": config.network,
        "runs": len(protocol.plan),
        "splits": config.splits,
        "layers": list(protocol.layers),
        "steps": max(protocol.steps(run) for run in protocol.plan.runs.values()),
        "batch_size": config.batch_size,
        "repeats": config.repeats,
        "ways": [
            {
                "way": name,
                "programs": len(together[name]),
                "most_together": max(together[name]),
                "first_seconds": round(first, 2),
                "seconds": round(statistics.median(later), 2),
                "times_faster": _ratio(seconds[ONE_BY_ONE][1:], later),
                "mean_accuracy": round(statistics.mean(_accuracies(found[name]).values()), 4),
                "largest_difference": _difference(found[ONE_BY_ONE], found[name]),
            }
            for name, (first, *later) in seconds.items()
        ],
    }


def section(report: Report) -> str:
    """The table and its conditions, as Markdown."""
    layers = ", ".join(map(str, report["layers"]))
    return "\n".join(
        [
            "| the plan | programs | runs in one, at most | first s | then s | times faster | "
            "mean accuracy | largest difference |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
            *(_line(row) for row in report["ways"]),
            "",
            f"Measured on {report['device']}: {report['runs']} runs ({report['splits']} splits, "
            f"n = {layers}) of {report['network']} on {report['dataset']}, {report['steps']} steps "
            f"at most, batch {report['batch_size']}, float32, in one process that writes no files. "
            "Programs: trainings that are started. First: with compilation, where the first way "
            "compiles what the others share. Then: the median of "
            f"{report['repeats']} further rounds in which the ways take turns, features of frozen "
            "layers computed anew in each. Accuracy: of all runs on their test images, in %, and "
            "the largest difference of one run to the same run alone, in points (training "
            f"amplifies rounding). {where(report)}",
        ]
    )


def _line(row: Mapping[str, object]) -> str:
    return (
        f"| {row['way']} | {row['programs']} | {row['most_together']} | "
        f"{row['first_seconds']:.1f} | {row['seconds']:.1f} | {row['times_faster']:.2f} | "
        f"{row['mean_accuracy']:.2f} | {row['largest_difference']:.2f} |"
    )


def _accuracies(rows: Mapping[str, Mapping[str, object]]) -> dict[str, float]:
    return {name: float(row["accuracy"]) for name, row in rows.items()}


def _difference(
    alone: Mapping[str, Mapping[str, object]], together: Mapping[str, Mapping[str, object]]
) -> float:
    ours, theirs = _accuracies(alone), _accuracies(together)
    return round(max(abs(ours[name] - theirs[name]) for name in ours), 4)


def _ratio(alone: list[float], together: list[float]) -> float:
    """The median over the rounds of how many times faster."""
    pairs = zip(alone, together, strict=True)
    return round(statistics.median(mine / theirs for mine, theirs in pairs), 2)


if __name__ == "__main__":
    main(Config, run, __doc__)
