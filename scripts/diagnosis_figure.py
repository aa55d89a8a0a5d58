"""Learning curves, drawn: training dashed, validation solid with points, told apart in grey too."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax.analysis.curves import TAIL, curve
from cnnjax.studies.figures import house_style
from cnnjax.studies.folders import write_whole
from cnnjax.training.lines import Line

TRAINING, VALIDATION = "#1f5fa8", "#b02418"


def draw_run(lines: Sequence[Line], title: str, subtitle: str, *, tail: bool = True) -> Figure:
    """The curves of one run: accuracy, where it was measured, and loss.

    Args:
      lines: of metrics.
      title: the case.
      subtitle: the evidence, short.
      tail: whether to shade the part of the run that the evidence is from.
    """
    quantities = [name for name in ("accuracy", "loss") if len(curve(lines, name).steps)]
    with house_style():
        figure = Figure(figsize=(4.6 * max(len(quantities), 1), 3.6), layout="constrained")
        panels = figure.subplots(1, max(len(quantities), 1), squeeze=False)[0]
        for axes, name in zip(panels, quantities or ["loss"], strict=True):
            draw_quantity(axes, lines, name, tail=tail)
            axes.set_title(name)
            axes.set_xlabel("step")
            axes.legend(loc="best")
        figure.suptitle(f"{title}\n{subtitle}", fontsize=10, x=0.01, ha="left")
    return figure


def draw_examples(examples: Mapping[str, Sequence[Line]]) -> Figure:
    """A column for each example, by title: accuracy above, loss below.

    Args:
      examples: the lines of metrics of each.
    """
    with house_style():
        figure = Figure(figsize=(2.7 * len(examples), 4.2), layout="constrained")
        panels = figure.subplots(2, len(examples), sharex="col", sharey="row", squeeze=False)
        for column, (title, lines) in zip(panels.T, examples.items(), strict=True):
            for axes, name in zip(column, ("accuracy", "loss"), strict=True):
                draw_quantity(axes, lines, name)
            column[0].set_ylim(0, 1.02)
            column[0].set_title(title, fontsize=9)
            column[1].set_xlabel("step")
        for axes, name in zip(panels[:, 0], ("accuracy", "loss"), strict=True):
            axes.set_ylabel(name)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def draw_quantity(axes: Axes, lines: Sequence[Line], name: str, *, tail: bool = True) -> None:
    """The training and the validation curve of one quantity, the tail of the run shaded."""
    training, validation = curve(lines, name), curve(lines, f"validation_{name}")
    axes.plot(*training, color=TRAINING, linestyle="--", linewidth=1.2, label="training")
    if len(validation.steps):
        few = max(1, len(validation.steps) // 12)
        style = {"marker": "o", "markersize": 3.5, "markevery": few, "linewidth": 1.6}
        axes.plot(*validation, color=VALIDATION, label="validation", **style)
    last = float(lines[-1]["step"])
    if tail:
        label = f"last {100 * TAIL:.0f} % of the run"
        axes.axvspan((1 - TAIL) * last, last, color="black", alpha=0.06, linewidth=0, label=label)
    axes.set_xlim(0, max(last, 1.0))
    if name == "loss" and (values := [*training.values, *validation.values]):
        # One explosion must not flatten the rest of the curve.
        axes.set_ylim(0, 1.05 * min(max(values), 2.5 * float(np.quantile(values, 0.9)) + 1e-9))


def save_png(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Writes the picture whole or not at all.

    Raises:
      CnnjaxError: it cannot be written.
    """
    with house_style():
        write_whole(path, partial(figure.savefig, dpi=dpi, format="png"))
