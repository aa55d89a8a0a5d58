"""The figure of the study of update rules, drawn from results.csv and curves.csv alone."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optimizers_report import Arms
from optimizers_rules import LECTURE, USUAL_RATES
from optimizers_surfaces import DRAWN, SURFACES

from cnnjax.studies.figures import Look, house_style
from cnnjax.studies.runs import Row

OTHERS = tuple(rule for rule in USUAL_RATES if rule not in LECTURE)
_SIX = (
    Look("black", "o"),
    Look("#1f5fa8", "s", "--"),
    Look("#3f9ad6", "D", ":", filled=False),
    Look("#8c1d13", "^"),
    Look("#d9692b", "v", "--", filled=False),
    Look("#3d7a35", "P", "-."),
)
LOOKS = dict(zip(LECTURE, _SIX, strict=True)) | dict(zip(OTHERS, _SIX, strict=True))
FAMILIES = {"Lecture 4's formulas": LECTURE, "the rest of its list": OTHERS}


class Curves:
    """The rows of curves.csv by run."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.runs: dict[str, list[Row]] = {}
        for row in rows:
            self.runs.setdefault(str(row["run"]), []).append(row)

    def of(self, run: str, *measures: str) -> list[np.ndarray]:
        """The columns of that run."""
        rows = self.runs.get(run, [])
        return [np.array([row.get(measure) for row in rows], float) for measure in measures]

    def mean(self, runs: Sequence[str], *measures: str) -> list[np.ndarray]:
        """The columns, the mean of the runs that were measured as often as the longest."""
        columns = [self.of(run, *measures) for run in runs]
        longest = max((len(c[0]) for c in columns), default=0)
        whole = [c for c in columns if len(c[0]) == longest]
        return [np.mean([c[i] for c in whole], axis=0) for i in range(len(measures))]


def draw(rows: Sequence[Row], curves: Sequence[Row], title: str) -> Figure:
    """For each family of rules a row of surfaces and a row of the network.

    Args:
      rows: of results.csv.
      curves: of curves.csv.
      title: says on what the network was trained.
    """
    arms, traced = Arms(rows), Curves(curves)
    families = {
        name: [rule for rule in rules if rule in arms.rules] for name, rules in FAMILIES.items()
    }
    families = {name: rules for name, rules in families.items() if rules}
    with house_style():
        figure = Figure(figsize=(16.5, 7.6 * len(families)), layout="constrained")
        parts = np.atleast_1d(figure.subfigures(len(families), 1))
        for part, (name, rules) in zip(parts, families.items(), strict=True):
            (*surfaces, slope), trained = part.subplots(2, 4)
            for axes, surface in zip(surfaces, DRAWN, strict=True):
                _draw_walks(axes, surface, rules, arms, traced)
            _draw_slope(slope, rules, traced)
            _draw_network(trained, rules, arms, traced)
            part.suptitle(f"{name}: {title}", fontsize=11, x=0.01, ha="left")
    return figure


def _draw_walks(axes: Axes, surface: str, rules: Sequence[str], arms: Arms, traced: Curves) -> None:
    drawn = SURFACES[surface]
    left, right, low, high = drawn.window
    t1, t2 = np.meshgrid(np.linspace(left, right, 200), np.linspace(low, high, 200))
    height = np.asarray(drawn.loss(np.stack([t1, t2], axis=-1))) - drawn.lowest
    levels = np.geomspace(max(height.min(), 1e-3 * height.max()), height.max(), 12)
    axes.contour(t1, t2, height, levels=levels, colors="#bbbbbb", linewidths=0.7)
    for rule in rules:
        look = LOOKS[rule]
        own = {"kind": "surface", "where": surface, "rule": rule, "seed": 0}
        rate, arrival = arms.values("rate", **own), arms.values("arrival", **own)
        if rate:
            x, y = traced.of(f"{surface}-{rule}-start0", "t1", "t2")
            label = f"{rule} ({rate[0]:.2g}): {arrival[0]:,.0f}"
            _line(axes, x, y, look, label, linewidth=1.2, markersize=3, alpha=0.85)
    start = drawn.starts[0]
    axes.plot(*start, "o", color="black", markersize=9, markerfacecolor="none", markeredgewidth=1.5)
    for place in drawn.minima:
        axes.plot(*place, "*", color="black", markersize=12, markerfacecolor="white", zorder=5)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.set_xlabel("t1")
    axes.set_ylabel("t2")
    axes.grid(False)
    axes.set_title(f"{surface}: {drawn.formula}\n○ start {start[0]:g}, {start[1]:g}   ☆ lowest")
    _legend_below(axes, "rule (tuned rate): steps to arrive")


def _draw_slope(axes: Axes, rules: Sequence[str], traced: Curves) -> None:
    shown = [0.5, 2.0]
    for rule in rules:
        step, length = traced.of(f"slope-{rule}-start0", "step", "step_length")
        first = f"{rule}: {length[0]:.3g}" if len(length) else rule
        _line(axes, step, length, LOOKS[rule], first)
        shown.extend(length)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.8 * min(shown), 1.25 * max(shown))
    axes.set_xlabel("step")
    axes.set_ylabel("length of the step (in learning rates)")
    axes.set_title("even slope: L = −t1\n")
    _legend_below(axes, "rule: first step")


def _draw_network(row: Sequence[Axes], rules: Sequence[str], arms: Arms, traced: Curves) -> None:
    steps, clock, accuracy, tuning = row
    for rule in rules:
        look, finals = LOOKS[rule], arms.values("run", kind="final", rule=rule)
        rate, paces = arms.tuned(rule), arms.values("ms_per_step", kind="final", rule=rule)
        if rate is None or not any(run in traced.runs for run in finals):
            continue
        step, loss, test = traced.mean(finals, "step", "loss", "test_accuracy")
        pace = float(np.median(paces))
        _line(steps, step, loss, look, f"{rule} ({rate:.2g})")
        _line(clock, step * pace / 1000, loss, look, f"{rule}: {pace:.1f} ms")
        _line(accuracy, step, test, look, rule, linewidth=1.2)
        ends = arms.values("accuracy", kind="final", rule=rule)
        accuracy.plot([step[-1]] * len(ends), ends, look.marker, color=look.color, markersize=4)
        tried = arms.tuning(rule)
        found = [r for r in tried if r.get("validation_loss") is not None]
        x = [r["rate"] / USUAL_RATES[rule] for r in found]
        y = [r["validation_loss"] for r in found]
        lost = f", {len(tried) - len(found)} diverged" if len(tried) > len(found) else ""
        label = f"{rule} ({USUAL_RATES[rule]:g}{lost})"
        _line(tuning, x, y, look, label, linewidth=1.2)
        lowest = [r["validation_loss"] for r in found if r["rate"] == rate]
        at = [rate / USUAL_RATES[rule]] * len(lowest)
        tuning.plot(at, lowest, "o", color="black", markersize=10, markerfacecolor="none")
    most = max((len(arms.tuning(rule)) for rule in rules), default=0)
    steps.set_title("CNN: loss, mean of the seeds")
    clock.set_title("... against wall time")
    accuracy.set_title("test accuracy; at the end a point a seed")
    tuning.set_title(f"the tuning: {most} rates for each rule, ○ chosen")
    for axes, x, y, legend in (
        (steps, "step", "training loss", "rule (tuned rate)"),
        (clock, "seconds", "training loss", "rule: time of a step"),
        (accuracy, "step", "test accuracy (%)", "rule"),
        (tuning, "learning rate / usual rate", "validation loss", "rule (usual rate)"),
    ):
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend_below(axes, legend)
    tuning.set_xscale("log")
    tried = [row for row in arms.rows if row["kind"] == "tuning"]
    ticks = sorted({float(f"{row['rate'] / USUAL_RATES[row['rule']]:.2g}") for row in tried})
    tuning.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    tuning.minorticks_off()
    low, high = tuning.get_ylim()
    tuning.set_ylim(low, min(high, 6.0))


def _line(
    axes: Axes, x: Sequence[float], y: Sequence[float], look: Look, label: str, **changes: float
) -> None:
    face = look.color if look.filled else "white"
    style = {"linewidth": 1.6, "markersize": 4.5, "markerfacecolor": face} | changes
    axes.plot(x, y, color=look.color, marker=look.marker, linestyle=look.line, label=label, **style)


def _legend_below(axes: Axes, title: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": 2}
        axes.legend(title=title, title_fontsize=8, fontsize=8, columnspacing=0.8, **place)
