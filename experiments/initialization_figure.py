"""The figure of the study of initialisation, drawn from its two tables alone."""

from collections.abc import Sequence

import numpy as np
from initialization_report import NAMES, arm
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from cnnjax.studies.figures import Look, draw_points_and_means, house_style
from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import values

LOOKS = {
    "sd0.01": Look("#b02418", "v", ":", filled=False),
    "sd1": Look("#777777", "x", "-."),
    "xavier": Look("#6fa8dc", "s", "--"),
    "he": Look("#0d2f57", "o", "-"),
}
LOWEST, HIGHEST = 1e-20, 1e12
"""Variances beyond are at the edge of the panel: they tell no more than that they have gone."""
_PROFILES = {
    "activation_variance": "variance of the activations",
    "gradient_variance": "variance of the gradients ∂J/∂z",
}


def draw(rows: Sequence[Row], curves: Sequence[Row], title: str) -> Figure:
    """A column for each activation: variances by layer of the deepest networks as they are drawn,
    forwards and backwards, and test accuracy by depth after the training.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
    """
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    deepest = max(row["layers"] for row in rows)
    by_run: dict[object, list[Row]] = {}
    for point in curves:
        by_run.setdefault(point["run"], []).append(point)
    with house_style():
        figure = Figure(figsize=(13.5, 10.5), layout="constrained")
        grid = figure.subplots(3, len(activations), squeeze=False, sharey="row")
        for column, activation in enumerate(activations):
            for line, measure in enumerate(_PROFILES):
                axes = grid[line, column]
                _profile(axes, rows, by_run, activation, deepest, measure)
                axes.set_xlabel(f"hidden layer, of {deepest}")
            grid[0, column].set_title(f"{activation}")
            _accuracy(grid[2, column], rows, activation)
        for line, text in enumerate([*_PROFILES.values(), "test accuracy (%)"]):
            grid[line, 0].set_ylabel(text)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
        handles, labels = grid[2, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _profile(
    axes: Axes,
    rows: Sequence[Row],
    by_run: dict[object, list[Row]],
    activation: str,
    layers: int,
    measure: str,
) -> None:
    """A thin line for each seed and the geometric mean with markers, as far as all have numbers."""
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    for initialiser, look in LOOKS.items():
        runs = values(rows, "run", **arm(activation, initialiser, layers)).values()
        logs = [_logarithms(by_run[run], measure) for run in runs if run in by_run]
        if not logs:
            continue
        for line in logs:
            x = np.arange(1, len(line) + 1)
            axes.plot(x, 10.0**line, color=look.color, linewidth=0.6, alpha=0.4)
        mean = np.mean(logs, axis=0)
        axes.plot(
            np.arange(1, len(mean) + 1),
            10.0**mean,
            color=look.color,
            linestyle=look.line,
            linewidth=1.6,
            marker=look.marker,
            markerfacecolor=look.color if look.filled else "white",
            markersize=5,
            markevery=max(1, len(mean) // 10),
        )


def _logarithms(points: Sequence[Row], measure: str) -> np.ndarray:
    """log10 of the variances by layer, NaN where there is none: 0, or not finite."""
    found = [point[measure] for point in points]
    return np.array([np.log10(v) if v is not None and v > 0 else np.nan for v in found])


def _accuracy(axes: Axes, rows: Sequence[Row], activation: str) -> None:
    depths = sorted({row["layers"] for row in rows})
    places = [float(np.log2(depth)) for depth in depths]
    for i, (initialiser, look) in enumerate(LOOKS.items()):
        groups = [
            list(values(rows, "accuracy", **arm(activation, initialiser, depth)).values())
            for depth in depths
        ]
        offset = 0.05 * (i - 1.5)
        draw_points_and_means(axes, places, groups, look, NAMES[initialiser], offset)
    guessing = 100 / rows[0]["classes"]
    axes.axhline(guessing, color="black", linewidth=0.8, linestyle=":")
    middle = (places[0] + places[-1]) / 2
    axes.annotate("guessing", (middle, guessing - 1), ha="center", va="top", fontsize=8)
    axes.set_ylim(0, 104)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(depth) for depth in depths])
    axes.set_xlabel("hidden layers; points are seeds, lines means")
