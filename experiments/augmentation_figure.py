"""The figure of the augmentation study, drawn from its two tables alone."""

import textwrap
from collections.abc import Collection, Sequence
from functools import partial

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
LETTERS = 48
"""Of the title above a panel."""
NAMES = {"rotate": "rotated", "shift": "shifted", "flip": "mirrored", "turn": "turned"}


def draw(
    rows: Sequence[Row], curves: Sequence[Row], title: str, harmful: Collection[str] = ("flip",)
) -> Figure:
    """The lecture's two curves; each part alone; each part left out; and where characters have
    twins, whose accuracy it costs. A panel for each of these of which there are runs.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the runs were made.
      harmful: the arms that make another class of an image of this data set.
    """
    alone = [*PARTS, *(["all-flip"] if "flip" in harmful else []), "all", "turn"]
    alone = [arm for arm in alone if changes(rows, arm, "none", "full")]
    parts = [part for part in PARTS if changes(rows, "all", f"all-{part}", "full")]
    twins = [arm for arm in TWINS if changes(rows, arm, "none", "full", TWINS[arm])]
    panels = [partial(_draw_curves, rows=rows, curves=curves, kept=kept_arm(harmful))]
    if alone:
        panels.append(partial(_draw_alone, rows=rows, arms=alone))
    if parts:
        panels.append(partial(_draw_left_out, rows=rows, parts=parts))
    if twins:
        panels.append(partial(_draw_twins, rows=rows, arms=twins))
    with house_style():
        figure = Figure(figsize=(2.5 + 3.5 * len(panels), 4.6), layout="constrained")
        for number, draw_panel in enumerate(panels, 1):
            axes = figure.add_subplot(1, len(panels), number)
            draw_panel(axes)
            axes.set_title(f"({number}) {axes.get_title(loc='left')}")
        lines = textwrap.fill(title, LETTERS * len(panels))
        figure.suptitle(lines, fontsize=11, x=0.01, ha="left")
    return figure


def _draw_alone(axes: Axes, rows: Sequence[Row], arms: Sequence[str]) -> None:
    others = {"all": "all\nthree", "all-flip": "rotated,\nshifted"}
    names = [{**NAMES, **others}[arm] for arm in arms]
    _draw_sizes(axes, [(rows, arm, "none") for arm in arms], names)
    several = "Each alone, together, and turned by 180°"
    axes.set_title(several if "turn" in arms else "What augmentation brings")
    axes.set_ylabel("above training without (points)")


def _draw_left_out(axes: Axes, rows: Sequence[Row], parts: Sequence[str]) -> None:
    arms = [(rows, "all", f"all-{part}") for part in parts]
    _draw_sizes(axes, arms, [NAMES[part] for part in parts])
    axes.set_title("Which part earns its keep")
    axes.set_ylabel("all three − the two others (points)")
    axes.set_xlabel("the part")


def _draw_curves(axes: Axes, rows: Sequence[Row], curves: Sequence[Row], kept: str) -> None:
    for arm in dict.fromkeys(("none", kept, "all")):
        look = LOOKS[arm]
        runs = {row["run"] for row in rows if (row["arm"], row["size"]) == (arm, "full")}
        if not runs:
            continue
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
    axes.set_title("Full training set: mean, range of the seeds")
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
    axes.set_title("On which characters, full training set")
    _headroom(axes)
    axes.legend(loc="upper right", ncols=2)


def _headroom(axes: Axes) -> None:
    """Room for the legend above what is drawn."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.18 * (high - low))
