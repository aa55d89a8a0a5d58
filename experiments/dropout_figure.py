"""The figure of the dropout study, drawn from the rows of results.csv and curves.csv alone."""

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from dropout_arms import PARTS
from dropout_networks import SHOWN, feature_weights
from dropout_report import distinct, errors
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from cnnjax.studies.figures import Look, draw_points_and_means, house_style
from cnnjax.studies.runs import Row

WITHOUT, WITH = Look("#1f5fa8", "s", "--", filled=False), Look("#b02418", "o", "-")
LOOKS = {"none": WITHOUT, "dropout": WITH, "n fixed": WITHOUT, "pn fixed": WITH}
MARKERS = "os^Dvp*X"
ERROR = "test error (%)"
COLUMNS = 4
LETTERS = 52
"""Of the title above a panel."""

Rows = Sequence[Row]


def draw(rows: Rows, curves: Rows, title: str, image_shape: tuple[int, int, int]) -> Figure:
    """A panel for each part that was run; the autoencoders of the part on sparsity have two.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
      image_shape: of the images, for the features.
    """
    present = [part for part in PARTS if any(row["part"] == part for row in rows)]
    panels: list[Callable[[Axes], None]] = []
    for part in present:
        if part == "sparsity":
            panels.append(lambda axes: _draw_activations(axes, rows, curves))
            panels.append(lambda axes: _draw_features(axes, rows, curves, image_shape))
        else:
            panels.append(lambda axes, draw=_DRAWN[part]: draw(axes, rows, curves))
    across = min(COLUMNS, len(panels))
    down = -(-len(panels) // across)
    with house_style():
        figure = Figure(figsize=(4.6 * across, 4.2 * down), layout="constrained")
        places = figure.subplots(down, across, squeeze=False).ravel()
        for number, (axes, panel) in enumerate(zip(places, panels, strict=False), 1):
            panel(axes)
            axes.set_title(f"({number}) {axes.get_title(loc='left')}")
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        lines = textwrap.fill(title, LETTERS * across)
        figure.suptitle(lines, fontsize=12, x=0.01, ha="left")
    return figure


def _draw_architectures(axes: Axes, rows: Rows, curves: Rows) -> None:
    """Figure 4: a line for each network, the mean over the seeds."""
    names = distinct(rows, "architecture", part="architectures")
    for method in ("none", "dropout"):
        for name, marker in zip(names, MARKERS, strict=False):
            cells = {"part": "architectures", "architecture": name, "method": method}
            runs = distinct(rows, "run", **cells)
            lines = [[r for r in curves if r["run"] == run] for run in runs]
            lines = [line for line in lines if line]
            if not lines:
                continue
            steps = [row["x"] for row in lines[0]]
            means = np.mean([[row["y"] for row in line] for line in lines], axis=0)
            look = LOOKS[method]
            label = _short(name) if method == "dropout" else None
            face = look.color if look.filled else "white"
            style = {"color": look.color, "markerfacecolor": face, "linestyle": look.line}
            axes.plot(
                *(steps, means),
                **(style | {"marker": marker, "markevery": 4, "markersize": 4.5}),
                linewidth=1.2,
                label=label,
            )
    axes.plot([], [], color=WITHOUT.color, linestyle=WITHOUT.line, label="no dropout, open")
    axes.set_yscale("log")
    _plain(axes.yaxis)
    axes.legend(title="with dropout, filled", ncols=2, title_fontsize=8.5)
    axes.set(xlabel="weight updates", ylabel=ERROR)
    axes.set_title("Architectures (means of the seeds)")


def _draw_rates(axes: Axes, rows: Rows, curves: Rows) -> None:
    rates = sorted(distinct(rows, "p", part="rate"))
    for method, offset in (("n fixed", -0.006), ("pn fixed", 0.006)):
        values = [errors(rows, part="rate", method=method, p=p) for p in rates]
        draw_points_and_means(axes, rates, values, LOOKS[method], method, offset)
    axes.set_yscale("log")
    _plain(axes.yaxis)
    axes.set(xlabel="p, probability of keeping a hidden unit", ylabel=ERROR)
    axes.set_title("Dropout rate")
    axes.legend()


def _draw_sizes(axes: Axes, rows: Rows, curves: Rows) -> None:
    sizes = sorted(distinct(rows, "train_images", part="size"))
    for method, label in (("none", "no dropout"), ("dropout", "dropout")):
        values = [errors(rows, part="size", method=method, train_images=n) for n in sizes]
        draw_points_and_means(axes, sizes, values, LOOKS[method], label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    _plain(axes.yaxis)
    axes.set(xlabel="training images", ylabel=ERROR)
    axes.set_title("Size of the training set")
    axes.legend()


def _draw_regularisers(axes: Axes, rows: Rows, curves: Rows) -> None:
    _draw_methods(axes, rows, "regularisers")
    axes.set_title("Regularisers")


def _draw_convolutions(axes: Axes, rows: Rows, curves: Rows) -> None:
    _draw_methods(axes, rows, "convolutional")
    axes.set_title("Convolutional nets: layers with dropout")


def _draw_methods(axes: Axes, rows: Rows, part: str) -> None:
    """A row for each method: a point for each seed, a bar at the mean."""
    methods = distinct(rows, "method", part=part)[::-1]
    for place, method in enumerate(methods):
        found = errors(rows, part=part, method=method)
        look = WITHOUT if method == "none" or "dropout" not in method else WITH
        if part == "convolutional" and method != "none":
            look = WITH
        face = look.color if look.filled else "white"
        axes.plot(
            found,
            np.full(len(found), place),
            linestyle="",
            marker=look.marker,
            color=look.color,
            markerfacecolor=face,
        )
        axes.plot(np.mean(found), place, "|", color="black", markersize=20, markeredgewidth=2)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.set_xlabel(f"{ERROR}; points are seeds, bars means")


def _draw_samples(axes: Axes, rows: Rows, curves: Rows) -> None:
    """Figure 11; the band is the range of the seeds."""
    runs = distinct(rows, "run", part="monte-carlo")
    lines = [[r for r in curves if r["run"] == run and r["series"] == "samples"] for run in runs]
    counts = [row["x"] for row in lines[0]]
    found = np.array([[row["y"] for row in line] for line in lines])
    axes.fill_between(counts, found.min(0), found.max(0), color=WITH.color, alpha=0.15, lw=0)
    axes.plot(counts, found.mean(0), color=WITH.color, marker="o", markersize=4.5,
              label="mean of k sampled networks")  # fmt: skip
    scaled = errors(rows, part="monte-carlo")
    axes.axhspan(min(scaled), max(scaled), color="black", alpha=0.08, lw=0)
    axes.axhline(np.mean(scaled), color="black", linestyle="--", label="weight scaling")
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set(xlabel="k, sampled networks", ylabel=ERROR)
    axes.set_title("Monte-Carlo averaging (bands: seeds)")
    axes.legend()


def _draw_activations(axes: Axes, rows: Rows, curves: Rows) -> None:
    for method, label in (("none", "no dropout"), ("dropout", "dropout")):
        for i, run in enumerate(distinct(rows, "run", part="sparsity", method=method)):
            line = [r for r in curves if r["run"] == run and r["series"] == "activation"]
            look = LOOKS[method]
            axes.plot(
                [100 * row["x"] for row in line],
                [row["y"] for row in line],
                color=look.color,
                linestyle=look.line,
                linewidth=1.2,
                label=None if i else label,
            )
    axes.set(xlabel="share of the activations below (%)", ylabel="activation of a hidden unit")
    axes.set_title("Autoencoder: activations (a line a seed)")
    axes.legend()


def _draw_features(axes: Axes, rows: Rows, curves: Rows, shape: tuple[int, int, int]) -> None:
    """Figure 7: the weights of the first hidden units of one seed, each from black (minus its
    largest) to white."""
    side = round(SHOWN**0.5)
    height, width, channels = shape
    blocks = []
    for method in ("none", "dropout"):
        runs = distinct(rows, "run", part="sparsity", method=method)
        found = [r for r in curves if r["run"] in runs and r["series"] == "feature"][:SHOWN]
        block = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan)
        for row in found:
            i, j = divmod(int(row["x"]), side)
            weights = feature_weights(row).reshape(height, width, channels).mean(-1)
            top, left = i * (height + 1), j * (width + 1)
            largest = np.abs(weights).max() or 1.0
            block[top : top + height, left : left + width] = weights / largest
        blocks.append(block)
    gap = np.full((blocks[0].shape[0], max(2, width // 3)), np.nan)
    axes.imshow(np.hstack([blocks[0], gap, blocks[1]]), cmap="gray", vmin=-1, vmax=1)
    axes.grid(visible=False)
    axes.set_yticks([])
    across = blocks[0].shape[1]
    centres = [across / 2, across * 1.5 + gap.shape[1]]
    axes.set_xticks(centres, ["no dropout", "dropout"])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"Autoencoder: its first {SHOWN} features")


def _short(architecture: str) -> str:
    """2 × 256 for 256-256."""
    sizes = architecture.split("-")
    return f"{len(sizes)} × {sizes[0]}" if len(set(sizes)) == 1 else architecture


def _plain(axis: Axis) -> None:
    """1, 2, 3, 5, 10 ... at the ticks of a logarithmic axis, more of them where it is short."""
    low, high = sorted(axis.get_view_interval())
    short = high < 4 * max(low, 1e-9)
    axis.set_major_locator(LogLocator(subs=range(1, 10) if short else (1.0, 2.0, 3.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


_DRAWN = {
    "architectures": _draw_architectures,
    "rate": _draw_rates,
    "size": _draw_sizes,
    "regularisers": _draw_regularisers,
    "monte-carlo": _draw_samples,
    "convolutional": _draw_convolutions,
}
