"""The figure of the study of batch normalisation, drawn from its two tables alone."""

from collections.abc import Callable, Sequence

import numpy as np
from batch_norm_report import NORMALISED, PLAIN, Cells, Steps, arm, conv
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from cnnjax.studies.figures import Look, draw_points_and_means, house_style
from cnnjax.studies.runs import Row

WITHOUT, WITH = Look("#b02418", "^", "--", filled=False), Look("#1f5fa8", "o")
BY_BATCH = Look("#777777", "s", ":")
RATE_LOOKS = {
    (0, 1.0, "relu"): Look("#b02418", "^", "-", filled=False),
    (0, 5.0, "relu"): Look("#d9776c", "v", "--", filled=False),
    (0, 30.0, "relu"): Look("#eeb4ac", "<", ":", filled=False),
    (0, 5.0, "sigmoid"): Look("#777777", "x", ":"),
    (1, 1.0, "relu"): Look("#0d2f57", "o", "-"),
    (1, 5.0, "relu"): Look("#1f5fa8", "s", "--"),
    (1, 30.0, "relu"): Look("#6fa8dc", "D", ":"),
    (1, 5.0, "sigmoid"): Look("black", "+", "-."),
}
_GREYS = ("#9ecae1", "#6baed6", "#2f7ab8", "#08306b")
_MARKERS = "os^D"


def draw(rows: Sequence[Row], curves: Sequence[Row], title: str) -> Figure:
    """Three panels for figure 1, one for the rates, two for the size of the batch.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
    """
    steps = Steps(rows, curves)
    panels: list[Callable[[Axes], None]] = []
    parts = {row["part"] for row in rows}
    if "figure1" in parts:
        limits = _percentile_limits(steps)
        panels += [
            lambda axes: _accuracy(axes, steps),
            lambda axes: _percentiles(axes, steps, PLAIN, "(b) without", WITHOUT, limits),
            lambda axes: _percentiles(axes, steps, NORMALISED, "(c) with", WITH, limits),
        ]
    if "rates" in parts:
        panels.append(lambda axes: _rates(axes, steps))
    if "batches" in parts:
        panels += [lambda axes: _sizes(axes, steps), lambda axes: _gap(axes, steps)]
    with house_style():
        lines = -(-len(panels) // 3)
        figure = Figure(figsize=(13.5, 4.4 * lines), layout="constrained")
        grid = figure.subplots(lines, min(3, len(panels)), squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            panel(axes)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _mean_curve(
    axes: Axes,
    steps: Steps,
    cells: Cells,
    look: Look,
    label: str,
    measure: str = "test_accuracy",
) -> None:
    """A thin line for each seed, and one with markers through their means."""
    found = [steps.points(run, measure) for run in steps.runs(cells).values()]
    found = [points for points in found if points]
    if not found:
        axes.plot([], [], color=look.color, linestyle=look.line, label=f"{label} (diverged)")
        return
    for points in found:
        axes.plot(*zip(*points, strict=True), color=look.color, linewidth=0.7, alpha=0.4)
    shared = sorted(set.intersection(*({step for step, _ in points} for points in found)))
    means = [float(np.mean([dict(points)[step] for points in found])) for step in shared]
    axes.plot(
        shared,
        means,
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markerfacecolor=look.color if look.filled else "white",
        markersize=4.5,
        markevery=max(1, len(shared) // 10),
        label=label,
    )


def _accuracy(axes: Axes, steps: Steps) -> None:
    _mean_curve(axes, steps, PLAIN, WITHOUT, "without")
    _mean_curve(axes, steps, NORMALISED, WITH, "with batch normalisation")
    _mean_curve(
        axes, steps, NORMALISED, BY_BATCH, "... by the statistics of test batches", "batch_accuracy"
    )
    axes.set_xlabel("steps")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("(a) 3 × 100 sigmoids; thin: seeds")
    axes.legend(loc="lower right")


def _percentile_limits(steps: Steps) -> tuple[float, float]:
    """Of both panels, so that they compare."""
    found = [
        value
        for cells in (PLAIN, NORMALISED)
        for run in list(steps.runs(cells).values())[:1]
        for name in ("p15", "p85")
        for _, value in steps.points(run, name)
    ]
    low, high = min(found, default=-1.0), max(found, default=1.0)
    room = 0.06 * (high - low)
    return low - room, high + room


def _percentiles(
    axes: Axes,
    steps: Steps,
    cells: Cells,
    title: str,
    look: Look,
    limits: tuple[float, float],
) -> None:
    seed, run = next(iter(steps.runs(cells).items()))
    lines = {name: steps.points(run, name) for name in ("p15", "p50", "p85")}
    for name, marker in (("p85", "v"), ("p50", "o"), ("p15", "^")):
        x, y = zip(*lines[name], strict=True) if lines[name] else ((), ())
        style = {"color": look.color, "marker": marker, "markersize": 4, "markevery": 3}
        solid = "-" if name == "p50" else "--"
        axes.plot(x, y, linestyle=solid, label=f"{name[1:]} %", **style)
    unit = next(row["unit"] for row in steps.rows if row["run"] == run)
    axes.set_ylim(*limits)
    axes.set_xlabel("steps")
    axes.set_ylabel("input of a sigmoid, layer 3")
    axes.set_title(f"{title}: percentiles of unit {unit}, seed {seed}")
    axes.legend(loc="best", ncols=3)


def _rates(axes: Axes, steps: Steps) -> None:
    for (normalised, multiple, activation), look in RATE_LOOKS.items():
        cells = conv(normalised, multiple, activation)
        kind = "with" if normalised else "without"
        label = f"×{multiple:g} {kind}{', sigmoid' if activation == 'sigmoid' else ''}"
        _mean_curve(axes, steps, cells, look, label)
    plain = [row["best_accuracy"] for row in steps.rows if row["run"] in _runs(steps, conv(0, 1.0))]
    axes.axhline(float(np.mean(plain)), color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(-2, 118)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("steps")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("(d) Learning rates; dotted: best of ×1 without")
    axes.legend(loc="upper center", ncols=3, fontsize=7.5, handlelength=2.6, columnspacing=1.0)


def _sizes(axes: Axes, steps: Steps) -> None:
    arms = (
        (0, "accuracy", WITHOUT, "without", -0.02),
        (1, "accuracy", WITH, "with, running statistics", 0.0),
        (1, "batch_accuracy", BY_BATCH, "with, statistics of test batches", 0.02),
    )
    sizes = _batch_sizes(steps)
    for normalised, measure, look, label, offset in arms:
        groups = {
            size: [
                row[measure]
                for row in steps.rows
                if row["run"] in _runs(steps, arm("batches", normalised, batch_size=size))
                and row[measure] is not None
            ]
            for size in sizes
        }
        present = [size for size in sizes if groups[size]]
        places = [float(np.log2(size)) for size in present]
        draw_points_and_means(axes, places, [groups[s] for s in present], look, label, offset * 3)
    axes.xaxis.set_major_locator(FixedLocator([float(np.log2(size)) for size in sizes]))
    axes.set_xticklabels([str(size) for size in sizes])
    axes.set_xlabel("images in a batch (same number in all)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("(e) Size of the batch; points are seeds")
    axes.legend(loc="lower left")


def _gap(axes: Axes, steps: Steps) -> None:
    axes.axhline(0, color="black", linewidth=0.8)
    for i, size in enumerate(_batch_sizes(steps)):
        color, marker = _GREYS[i % len(_GREYS)], _MARKERS[i % len(_MARKERS)]
        parts: dict[int, list[float]] = {}
        for run in _runs(steps, arm("batches", 1, batch_size=size)):
            running, batch = (
                dict(steps.points(run, name)) for name in ("test_accuracy", "batch_accuracy")
            )
            for step in running.keys() & batch:
                parts.setdefault(step, []).append(running[step] - batch[step])
        found = sorted(parts)
        images = [size * step / 1000 for step in found]
        means = [float(np.mean(parts[step])) for step in found]
        style = {"color": color, "marker": marker, "markersize": 4.5}
        axes.plot(images, means, label=f"{size} a batch", **style)
        for x, step in zip(images, found, strict=True):
            axes.plot([x] * len(parts[step]), parts[step], linestyle="", alpha=0.35, **style)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("thousand images seen")
    axes.set_ylabel("running − batch statistics (points of accuracy)")
    axes.set_title("(f) Running against test-batch statistics")
    axes.legend(loc="best", ncols=2)


def _runs(steps: Steps, cells: Cells) -> set[object]:
    return set(steps.runs(cells).values())


def _batch_sizes(steps: Steps) -> list[int]:
    return sorted({row["batch_size"] for row in steps.rows if row["part"] == "batches"})
