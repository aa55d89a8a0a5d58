"""Measure streamed data: images a second of reading alone, of the training step alone, and of both.

Reading is measured with threads, as cnnjax reads, and with Grain's processes, for comparison. All
are begun once, and then take turns, round after round, so that whatever else the machine does meets
all alike. The files come from the memory in which the system keeps them: what a slow disk adds is
not measured. Some four minutes with what is set by default, on two cores.

    python scripts/benchmark_stream.py --dataset folder:photos --out docs/benchmarks/stream.json \\
        --markdown docs/benchmarks.md
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from benchmark_report import read_json, surroundings, where, write_json, write_section
from benchmark_stream_ways import Training, in_processes, in_threads

from cnnjax.command import at_least, check_numbers, main, unset
from cnnjax.data import StreamedDataset, stream
from cnnjax.errors import CnnjaxError
from cnnjax.training.feeds import GROUP


@dataclass(frozen=True)
class Config:
    dataset: Annotated[str, unset("NAME", "none")] = ""
    """folder:PATH or tfds:NAME, of photos."""
    image_sizes: tuple[int, ...] = (64, 128)
    """Sides in pixels to bring the images to."""
    networks: tuple[str, ...] = ("lenet5", "mobilenet_v2")
    """Whose steps are measured."""
    batch_size: int = 64
    """Images at a time."""
    seconds: float = 1.0
    """Of each measurement."""
    warm_up: float = 0.3
    """Seconds before each that are not counted, in which what was read ahead is used up."""
    repeats: int = 5
    """Rounds, once everything has begun and is compiled."""
    out: Annotated[Path | None, unset("PATH", "nothing is written")] = None
    """Where to write what was measured, as JSON."""
    markdown: Annotated[Path | None, unset("PATH", "none")] = None
    """A document whose table of streams is written anew from --out."""
    only_report: bool = False
    """Measure nothing: report what --out holds."""


def images_per_second(batches: Iterator[int], config: Config) -> float:
    """Of one measurement: whole batches, the first after the warm-up."""
    began = time.perf_counter()
    while time.perf_counter() - began < config.warm_up:
        next(batches)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < config.seconds:
        count += next(batches)
    return count * config.batch_size / (time.perf_counter() - began)


def measured(config: Config, size: int) -> list[dict[str, object]]:
    """A row for each way of reading and for each network, at one size of the images."""

    def data(workers: int) -> StreamedDataset:
        return stream(config.dataset, image_size=size, workers=workers).train

    makers: dict[str, Callable[[], Iterator[int]]] = {}
    for workers in (1, 2, 4):
        makers[f"reading, {_count(workers, 'thread')}"] = lambda workers=workers: in_threads(
            data(workers), config.batch_size
        )
    for workers in (1, 2):
        makers[f"reading, {_count(workers, 'process')}"] = lambda workers=workers: in_processes(
            data(1), config.batch_size, workers
        )
    for name in config.networks:
        training = Training(name, data(2), config.batch_size)
        makers[f"{name}, step alone"] = training.alone
        makers[f"{name}, both together, 2 threads"] = training.fed
    rates: dict[str, list[float]] = {what: [] for what in makers}
    with ExitStack() as stack:
        running = {}
        for what, make in makers.items():
            _say(f"{size} pixels: {what} begins")
            running[what] = stack.enter_context(closing(make()))
            next(running[what])
        for number in range(1, config.repeats + 1):
            _say(f"{size} pixels, round {number} of {config.repeats}")
            for what, batches in running.items():
                rates[what].append(images_per_second(batches, config))
    rows = []
    for what, found in rates.items():
        low, median, high = statistics.quantiles(found, n=4, method="inclusive")
        rows.append(
            {
                "image_size": size,
                "what": what,
                "images_per_second": round(median, 1),
                "quartiles": [round(low, 1), round(high, 1)],
            }
        )
    return rows


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{('es' if what.endswith('s') else 's') if number > 1 else ''}"


def section(report: dict) -> str:
    """The table and its conditions, as Markdown."""
    lines = ["| images | what | images/s | quartiles |", "|---|---|--:|--:|"]
    for row in report["streams"]:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['image_size']} x {row['image_size']} | {row['what']} "
            f"| {row['images_per_second']:,.0f} | {low:,.0f} to {high:,.0f} |"
        )
    conditions = (
        f"Images a second in batches of {report['batch_size']}: medians and quartiles over "
        f"{report['repeats']} rounds in which all take turns, {report['seconds']:g} s each after "
        f"{report['warm_up']:g} s that are not counted; steps are taken as `fit` takes them, up to "
        f"{report['steps_a_call']} in a call; "
        f"{report['images']:,} photos, {report['photo_bytes']:,} bytes each on the average, from "
        f"the system's memory. {where(report)}"
    )
    return "\n".join(lines) + "\n\n" + conditions


def run(config: Config) -> None:
    """Measure or read, then report."""
    if config.only_report:
        if config.out is None:
            raise CnnjaxError("--only-report needs --out FILE.json, a file that was written before")
        report = read_json(config.out)
    else:
        check_numbers(config, batch_size=at_least(1), repeats=at_least(2), seconds=at_least(0))
        check_numbers(config, warm_up=at_least(0))
        report = surroundings(os.getloadavg()[0])
        report |= {"batch_size": config.batch_size, "repeats": config.repeats}
        report |= {"seconds": config.seconds, "warm_up": config.warm_up} | photos(config)
        report["steps_a_call"] = GROUP
        report["versions"] |= {name: version(name) for name in ("grain", "pillow")}
        report["streams"] = [row for size in config.image_sizes for row in measured(config, size)]
        if config.out is not None:
            write_json(config.out, report)
    print(section(report))
    if config.markdown is not None:
        write_section(config.markdown, "stream", section(report))


def photos(config: Config) -> dict[str, int]:
    """How many photos there are to train on, and how many bytes one has."""
    data = stream(config.dataset, image_size=config.image_sizes[0]).train
    sources = [data.source[int(place)].source for place in data.places[:200]]
    sizes = [len(s) if isinstance(s, bytes) else s.stat().st_size for s in sources]
    return {"images": len(data), "photo_bytes": round(statistics.mean(sizes))}


if __name__ == "__main__":
    main(Config, run, __doc__)
