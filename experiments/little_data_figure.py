"""The figure of the study of little data, drawn from its two tables alone."""

from collections.abc import Sequence

from little_data_report import LABELS, PUBLISHED, is_the_blogs, sizes_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from cnnjax.studies.figures import Look, draw_intervals, draw_points_and_means, house_style
from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import values

LOOKS = {
    "convnet": Look("#8a8a8a", "s", ":", filled=False),
    "scratch": Look("#3d3d3d", "x", "--"),
    "features": Look("#1f5fa8", "o", "-"),
    "last": Look("#b02418", "^", "-"),
    "everything": Look("#f0937b", "D", "-.", filled=False),
}

TICKS = {
    "convnet": "small\nconvnet",
    "scratch": "from\nscratch",
    "features": "features",
    "last": "last\nstages",
    "everything": "all\nstages",
}


def draw(rows: Sequence[Row], curves: Sequence[Row], title: str, classes: int) -> Figure:
    """Three panels: accuracy by number of images, learning curves, the largest size.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
      classes: of the data set.
    """
    with house_style():
        figure = Figure(figsize=(14.0, 4.6), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        _draw_sizes(first, rows)
        _draw_curves(second, rows, curves)
        _draw_largest(third, rows, classes)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _draw_sizes(axes: Axes, rows: Sequence[Row]) -> None:
    sizes = sizes_of(rows)
    for arm, look in LOOKS.items():
        found = {
            size: list(values(rows, "accuracy", arm=arm, images=size).values()) for size in sizes
        }
        there = {size: group for size, group in found.items() if group}
        if there:
            draw_intervals(axes, list(there), list(there.values()), look, LABELS[arm])
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training images, all classes together")
    axes.set_ylabel("test accuracy (%), means and 95 % intervals")
    axes.set_title("(1) How little data is enough?")
    _legend_below(axes)


def _draw_curves(axes: Axes, rows: Sequence[Row], curves: Sequence[Row]) -> None:
    largest = sizes_of(rows)[-1]
    for arm, look in LOOKS.items():
        runs = {row["run"] for row in rows if (row["arm"], row["images"]) == (arm, largest)}
        mine = [row for row in curves if row["run"] in runs]
        if not mine:
            continue
        test, train = (_by_step(mine, f"{part}_accuracy") for part in ("test", "train"))
        done = [100 * step / max(test) for step in test]  # trainings differ in length
        draw_points_and_means(axes, done, list(test.values()), look, LABELS[arm])
        means = [sum(group) / len(group) for group in train.values()]
        axes.plot(done, means, color=look.color, linestyle=":", linewidth=1.2)
    axes.plot([], [], color="black", linestyle=":", linewidth=1.2, label="on training images")
    axes.set_xlabel(f"share of the training (%), {largest:,} training images")
    axes.set_ylabel("accuracy (%), points are runs, lines means")
    axes.set_title("(2) Learning curves: test images")
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    """The legend under all that is drawn."""
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    axes.set_ylim(low - 0.4 * (high - low), high)
    axes.legend(loc="lower right")


def _by_step(curves: Sequence[Row], measure: str) -> dict[int, list[float]]:
    """{step: what the runs have there}."""
    steps = sorted({int(row["step"]) for row in curves})
    return {step: [row[measure] for row in curves if row["step"] == step] for step in steps}


def _draw_largest(axes: Axes, rows: Sequence[Row], classes: int) -> None:
    largest = sizes_of(rows)[-1]
    there = [arm for arm in LOOKS if values(rows, "accuracy", arm=arm, images=largest)]
    blogs = is_the_blogs(rows, classes)
    for place, arm in enumerate(there):
        found = list(values(rows, "accuracy", arm=arm, images=largest).values())
        draw_intervals(axes, [place], [found], LOOKS[arm]._replace(line=""), "")
        axes.plot([place] * len(found), found, ".", color=LOOKS[arm].color, alpha=0.6)
        if blogs and arm in PUBLISHED:
            low, high = PUBLISHED[arm]
            axes.fill_between(
                [place - 0.35, place + 0.35], low - 0.15, high + 0.15, color="#d9b44a", alpha=0.5
            )
    if blogs:
        axes.fill_between([], [], color="#d9b44a", alpha=0.5, label="published (Keras blog)")
        axes.legend(loc="lower right")
    axes.set_xticks(range(len(there)), [TICKS[arm] for arm in there])
    axes.set_xlim(-0.6, len(there) - 0.4)
    axes.set_ylabel("test accuracy (%), runs and 95 % intervals")
    axes.set_title(f"(3) With {largest:,} training images")
