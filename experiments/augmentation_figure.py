"""The figure of the augmentation study, drawn from its two tables alone."""

from collections.abc import Collection, Sequence

import numpy as np
from augmentation_protocol import PARTS, SIZES
from augmentation_report import TWINS, changes, kept_arm
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax.studies.figures import Look, draw_intervals, house_style
from cnnjax.studies.runs import Row

LOOKS = {
    "full": Look("#1f5fa8", "s", ""),
    "small": Look("#f0937b", "o", "", filled=False),
    "none": Look("black", "x"),
    "all": Look("#b02418", "^"),
    "all-flip": Look("#1f5fa8", "s", filled=False),
    "mirrored": Look("#b02418", "^", ""),
    "turned": Look("#b02418", "v", "", filled=False),
    "others": Look("#777777", "o", ""),
}
NAMES = {"rotate": "rotated", "shift": "shifted", "flip": "mirrored", "turn": "turned"}


def draw(
    rows: Sequence[Row], curves: Sequence[Row], title: str, harmful: Collection[str] = ("flip",)
) -> Figure:
    """Three panels, or four where characters have twins: the lecture's two curves, each part alone,
    each part left out, and whose accuracy it costs.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
      harmful: the arms that make another class of an image of this data set.
    """
    twins = [arm for arm in TWINS if changes(rows, arm, "none", "full", TWINS[arm])]
    with house_style():
        figure = Figure(figsize=(16.5 if twins else 13.0, 4.6), layout="constrained")
        panels = figure.subplots(1, 4 if twins else 3)
        _draw_curves(panels[0], rows, curves, kept_arm(harmful))
        alone = [*PARTS, *(["all-flip"] if "flip" in harmful else []), "all", "turn"]
        alone = [arm for arm in alone if changes(rows, arm, "none", "full")]
        parts = [part for part in PARTS if changes(rows, "all", f"all-{part}", "full")]
        names = [
            NAMES.get(arm, {"all": "all\nthree"}.get(arm, "rotated,\nshifted")) for arm in alone
        ]
        _draw_sizes(panels[1], [(rows, arm, "none") for arm in alone], names)
        panels[1].set_title("(2) Each alone, together, and turned by 180°")
        panels[1].set_ylabel("above training without (points)")
        _draw_sizes(
            panels[2],
            [(rows, "all", f"all-{part}") for part in parts],
            [NAMES[part] for part in parts],
        )
        panels[2].set_title("(3) Which part earns its keep")
        panels[2].set_ylabel("all three − the two others (points)")
        panels[2].set_xlabel("the part")
        if twins:
            _draw_twins(panels[3], rows, twins)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _draw_curves(axes: Axes, rows: Sequence[Row], curves: Sequence[Row], kept: str) -> None:
    for arm in dict.fromkeys(("none", kept, "all")):
        look = LOOKS[arm]
        runs = {row["run"] for row in rows if (row["arm"], row["size"]) == (arm, "full")}
        mine = [row for row in curves if row["run"] in runs]
        name = {"none": "none", "all": "all three"}.get(arm, "rotated and shifted")
        for measure, line in (("test_accuracy", "-"), ("train_accuracy", ":")):
            steps = sorted({row["step"] for row in mine if row[measure] is not None})
            found = [
                [row[measure] for row in mine if row["step"] == step and row[measure] is not None]
                for step in steps
            ]
            style = {"color": look.color, "linestyle": line, "linewidth": 1.5}
            if measure == "test_accuracy":
                low, high = ([end(group) for group in found] for end in (min, max))
                axes.fill_between(steps, low, high, color=look.color, alpha=0.15, linewidth=0)
                face = look.color if look.filled else "white"
                style |= {"marker": look.marker, "markerfacecolor": face, "markersize": 4.5}
                style |= {"markevery": max(1, len(steps) // 8), "label": f"{name}: test"}
            elif arm != "all" or kept == "all":
                style |= {
                    "marker": look.marker,
                    "markersize": 3,
                    "markevery": max(1, len(steps) // 8),
                }
                style |= {"label": f"{name}: training, as shown"}
            else:
                continue
            axes.plot(steps, [float(np.mean(group)) for group in found], **style)
    axes.set_xlabel("steps")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("(1) Full training set: mean, range of the seeds")
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
    axes.set_ylim(low - 0.4 * (high - low), high)  # room for the legend
    axes.legend(loc="lower right")


def _draw_sizes(
    axes: Axes, arms: Sequence[tuple[Sequence[Row], str, str]], names: Sequence[str]
) -> None:
    axes.axhline(0, color="black", linewidth=0.8)
    for size, offset in zip(SIZES, (-0.12, 0.12), strict=True):
        found = [changes(rows, plus, minus, size) for rows, plus, minus in arms]
        images = {row["images"] for row in arms[0][0] if row["size"] == size}
        label = f"{size}: {max(images):,} images"
        draw_intervals(axes, range(len(arms)), found, LOOKS[size], label, offset)
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_xlim(-0.5, len(names) - 0.5)
    _headroom(axes)
    axes.legend(loc="upper right", ncols=2)


def _draw_twins(axes: Axes, rows: Sequence[Row], arms: Sequence[str]) -> None:
    axes.axhline(0, color="black", linewidth=0.8)
    kinds = [*(TWINS[arm] for arm in arms), "others"]
    for kind, offset in zip(kinds, np.linspace(-0.2, 0.2, len(kinds)), strict=True):
        found = [changes(rows, arm, "none", "full", kind) for arm in arms]
        label = f"with a {kind} twin" if kind != "others" else "without"
        draw_intervals(axes, range(len(arms)), found, LOOKS[kind], label, float(offset))
    axes.set_xticks(range(len(arms)), [NAMES[arm] for arm in arms])
    axes.set_xlim(-0.6, len(arms) - 0.4)
    axes.set_ylabel("above training without (points)")
    axes.set_title("(4) On which characters, full training set")
    _headroom(axes)
    axes.legend(loc="upper right", ncols=2)


def _headroom(axes: Axes) -> None:
    """Room for the legend above what is drawn."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.18 * (high - low))
