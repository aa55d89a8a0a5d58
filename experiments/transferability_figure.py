"""The figure of the transferability study, drawn from the rows of `results.csv` alone."""

import csv
from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from transferability_report import Results

from cnnjax.studies.figures import Look, draw_intervals, draw_points_and_means, house_style
from cnnjax.studies.runs import Row

PUBLISHED = Path(__file__).parent / "reference" / "yosinski_2014_summary.csv"
"""The original's own numbers, computed from the 354 training logs in its repository
(yosinski/convnet_transfer); changes are against the base of each run's own target."""

LOOKS = {
    "base": Look("black", "o"),
    "base2x": Look("black", "o", ":", filled=False),
    "BnB": Look("#1f5fa8", "s", "-", filled=False),
    "BnB+": Look("#6fa8dc", "s", "--"),
    "AnB": Look("#b02418", "^", "-"),
    "AnB+": Look("#f0937b", "^", "--", filled=False),
    "random": Look("#777777", "x", ":"),
}
_OFFSETS = {"BnB": -0.12, "AnB": 0.12, "BnB+": -0.04, "AnB+": 0.04}


def draw(rows: Iterable[Row], title: str) -> Figure:
    """Three panels: the paper's figure 2 from these runs, their decomposition, the original.

    Args:
      rows: with their changes.
      title: says on what the runs were made.
    """
    results = Results(rows)
    with house_style():
        figure = Figure(figsize=(13.5, 5.0), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        _draw_runs(first, results)
        _draw_decomposition(second, results)
        _draw_published(third)
        layers = sorted({*results.layers, *([*range(1, 8)] if len(results.layers) > 6 else [])})
        for axes in (first, second):
            axes.set_xticks([0, *layers] if axes is first else layers)
        for axes in (first, second, third):
            axes.set_xlabel("n, layers kept from the copied (or random) network")
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
        handles, labels = first.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_runs(axes: Axes, results: Results) -> None:
    arms = [arm for arm in results.arms() if arm != "random"]
    for arm in arms:
        look = LOOKS[arm]
        if arm in ("base", "base2x"):
            values = results.accuracies(arm, 0)
            place = -0.15 if arm == "base" else 0.15
            label = "base" if arm == "base" else "base, doubled budget"
            draw_points_and_means(axes, [place], [values], look, label)
            mean = sum(values) / len(values)
            axes.axhline(mean, color=look.color, linestyle=look.line, linewidth=0.8, alpha=0.7)
            continue
        layers = [n for n in results.layers if results.accuracies(arm, n)]
        values = [results.accuracies(arm, n) for n in layers]
        draw_points_and_means(axes, layers, values, look, arm, _OFFSETS.get(arm, 0.0))
    _draw_random(axes, results)
    axes.set_ylabel("test accuracy on the target half (%)")
    axes.set_title("(1) These runs: points are runs, lines means")


def _draw_random(axes: Axes, results: Results) -> None:
    """Random layers fall far below all others: what leaves the panel is written at its edge."""
    layers = [n for n in results.layers if results.accuracies("random", n)]
    if not layers:
        return
    values = [results.accuracies("random", n) for n in layers]
    low, high = axes.get_ylim()
    low -= 0.2 * (high - low)  # room for where the random layers go
    draw_points_and_means(
        axes, layers, values, LOOKS["random"], "random (mean written where below)"
    )
    axes.set_ylim(low, max(high, axes.get_ylim()[1]))
    for n, group in zip(layers, values, strict=True):
        if (mean := sum(group) / len(group)) < low:
            style = {"ha": "center", "va": "bottom", "fontsize": 8, "color": "#555555"}
            axes.annotate(f"{mean:.0f} %\n↓", (n, low), **style)


def _draw_decomposition(axes: Axes, results: Results) -> None:
    parts = (
        ("base", "BnB", "base − BnB: lost co-adaptation", LOOKS["BnB"], -0.06),
        ("BnB", "AnB", "BnB − AnB: specificity", LOOKS["AnB"], 0.06),
    )
    axes.axhline(0, color="black", linewidth=0.8)
    for plus, minus, label, look, offset in parts:
        layers = [n for n in results.layers if results.difference(plus, minus, [n])]
        if layers:
            values = [results.difference(plus, minus, [n]) for n in layers]
            draw_intervals(axes, layers, values, look, label, offset)
    axes.set_ylabel("accuracy lost (points)")
    axes.set_title("(2) Where it is lost, paired, 95 % intervals")
    if axes.get_legend_handles_labels()[0]:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.2 * (high - low))  # room for the legend
        axes.legend(loc="upper left")


def _draw_published(axes: Axes) -> None:
    with PUBLISHED.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["treatment"] != "base"]
    axes.axhline(0, color="black", linewidth=0.8)
    for arm in ("BnB", "BnB+", "AnB", "AnB+"):
        mine = [row for row in rows if row["treatment"] == arm]
        axes.errorbar(
            [int(row["n"]) + _OFFSETS[arm] for row in mine],
            [float(row["paired_delta_vs_own_target_base"]) for row in mine],
            yerr=[float(row["paired_sd"] or 0) for row in mine],
            label=arm,
            color=LOOKS[arm].color,
            marker=LOOKS[arm].marker,
            markerfacecolor=LOOKS[arm].color if LOOKS[arm].filled else "white",
            linestyle=LOOKS[arm].line,
            linewidth=1.6,
            markersize=5.5,
            capsize=3,
        )
    axes.set_xticks(range(1, 8))
    axes.set_ylabel("change against the base (points)")
    axes.set_title("(3) The original (ImageNet), mean ± sd of runs")
