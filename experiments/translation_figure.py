"""The figure of the translation study, drawn from its two tables alone."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from translation_protocol import NETWORKS, STACKS, TRAININGS
from translation_report import LABELS, runs_of, size

from cnnjax.studies.figures import Look, draw_intervals, draw_points_and_means, house_style
from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import values

LOOKS = {
    ("mlp", "centred"): Look("#b02418", "^", "-"),
    ("mlp", "shifted"): Look("#f0937b", "^", "--", filled=False),
    ("lenet5", "centred"): Look("#1f5fa8", "s", "-"),
    ("lenet5", "shifted"): Look("#6fa8dc", "s", "--", filled=False),
    "one-7x7": Look("#b02418", "D", ""),
    "three-3x3": Look("#1f5fa8", "o", "", filled=False),
    "one-11x11": Look("#7a1a10", "P", ""),
    "five-3x3": Look("#6fa8dc", "v", "", filled=False),
}


def draw(rows: Sequence[Row], curves: Sequence[Row], title: str) -> Figure:
    """Three panels: accuracy by shift, accuracy by parameters, stacks of kernels.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
    """
    with house_style():
        figure = Figure(figsize=(14.0, 4.6), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        _draw_shifts(first, rows, curves)
        _draw_parameters(second, rows)
        _draw_stacks(third, rows)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _draw_shifts(axes: Axes, rows: Sequence[Row], curves: Sequence[Row]) -> None:
    shifts = sorted({row["shift"] for row in curves})
    for name in _there(rows, NETWORKS):
        for training in TRAININGS:
            runs = set(runs_of(rows, name, training))
            found = [
                [row["accuracy"] for row in curves if row["run"] in runs and row["shift"] == shift]
                for shift in shifts
            ]
            label = f"{LABELS[name]}, trained on {training} digits"
            draw_points_and_means(axes, shifts, found, LOOKS[name, training], label)
    if not curves:
        return
    lost = 100 - min(row["ink"] for row in curves)
    ink = f", up to {lost:.1f} % of the ink lost" if lost >= 0.05 else ", no ink lost"
    axes.set_xlabel(f"shift of the test digits (pixels{ink})")
    axes.set_ylabel("test accuracy (%), mean of 8 directions")
    axes.set_title("(1) Shifted digits: points are runs, lines means")
    axes.set_xticks(shifts)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.12 * (high - low), high)
    axes.legend(loc="lower left")


def _draw_parameters(axes: Axes, rows: Sequence[Row]) -> None:
    for name in _there(rows, NETWORKS):
        count = size(rows, name, "parameters")
        for training in TRAININGS:
            look = LOOKS[name, training]._replace(line="")
            cells = {"network": name, "training": training}
            for measure, offset in (("accuracy", 0.8), ("shifted_accuracy", 1.25)):
                found = list(values(rows, measure, **cells).values())
                draw_intervals(axes, [count * offset], [found], look, "")
        below = axes.get_xaxis_transform()
        axes.text(count, 0.02, f"{LABELS[name]}\n{count:,}", ha="center", transform=below)
    axes.set_xscale("log")
    axes.set_xlim(1e4, 2e7)
    axes.xaxis.set_major_locator(LogLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.25 * (high - low), high)
    axes.set_xlabel("parameters (left: test digits in place; right: shifted)")
    axes.set_ylabel("test accuracy (%), 95 % intervals")
    axes.set_title("(2) Parameters and accuracy; filled: trained centred")


def _draw_stacks(axes: Axes, rows: Sequence[Row]) -> None:
    for name in _there(rows, STACKS):
        found = list(values(rows, "accuracy", network=name).values())
        cost = size(rows, name, "multiply_adds") / 1e6
        label = f"{name.replace('-', ' ')}: {size(rows, name, 'parameters'):,} parameters"
        draw_intervals(axes, [cost], [found], LOOKS[name], label)
        axes.plot([cost] * len(found), found, ".", color=LOOKS[name].color, alpha=0.6)
    axes.set_xlabel("multiply-adds of an image (millions)")
    axes.set_ylabel("test accuracy (%), points and 95 % intervals")
    axes.set_title("(3) Kernels that see equally far")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.3 * (high - low), high)
    axes.legend(loc="lower center")


def _there(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    return [name for name in names if any(row["network"] == name for row in rows)]
