"""The advisor's figure: accuracy of each option, what it loses against the best, and its cost."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from cnnjax.advisor.options import SCRATCH
from cnnjax.advisor.summary import Entry, Summary
from cnnjax.studies.budget import show_duration
from cnnjax.studies.figures import Look, house_style

LOOKS = {
    1: Look("#1f5fa8", "o"),
    2: Look("#c8641e", "s"),
    3: Look("#b02418", "D"),
    4: Look("#6b6b6b", "X"),
}
FAR = 10.0
"""Points of loss beyond which it does not matter how many there are."""
LABELS = {
    1: "classifier on the features of a stage (case 1)",
    2: "last stages fine-tuned (case 2)",
    3: "all fine-tuned (case 3)",
    4: "from scratch (case 4)",
}


def draw(summary: Summary, title: str) -> Figure:
    """Three panels, from the summary of the rows alone.

    Args:
      summary: of the rows.
      title: says of what.
    """
    shown = [entry for entry in summary.entries if entry.accuracy is not None]
    width = min(15.0, 8.6 + 0.25 * len(shown))
    with house_style():
        figure = Figure(figsize=(width, 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1), height_ratios=(1.4, 1))
        first = figure.add_subplot(grid[0, 0])
        second = figure.add_subplot(grid[1, 0], sharex=first)
        third = figure.add_subplot(grid[:, 1])
        _draw_accuracies(first, shown, summary)
        _draw_losses(second, shown, summary)
        _draw_costs(third, shown, summary)
        figure.suptitle(title.replace("$", r"\$"), fontsize=11, x=0.01, ha="left")
        handles, labels = first.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return figure


def _draw_accuracies(axes: Axes, shown: Sequence[Entry], summary: Summary) -> None:
    for case in LOOKS:
        mine = [(i, entry) for i, entry in enumerate(shown) if entry.option.case == case]
        if not mine:
            continue
        places, entries = zip(*mine, strict=True)
        look = LOOKS[case]
        axes.errorbar(
            places,
            [entry.accuracy.mean for entry in entries],
            yerr=[_half(entry.accuracy) for entry in entries],
            color=look.color,
            marker=look.marker,
            linestyle="-" if case == 1 else "",
            linewidth=1.0,
            elinewidth=1.2,
            markersize=5.5,
            capsize=2.5,
            label=LABELS[case],
        )
    chosen = [entry.option.name for entry in shown].index(summary.advice.chosen)
    axes.plot(
        chosen,
        shown[chosen].accuracy.mean,
        marker="o",
        markersize=15,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=1.4,
        linestyle="",
        label="recommended",
    )
    axes.set_ylabel("accuracy (%)")
    axes.set_title("(1) Accuracy, mean and 95 % interval")
    axes.tick_params(labelbottom=False)


def _draw_losses(axes: Axes, shown: Sequence[Entry], summary: Summary) -> None:
    for place, entry in enumerate(shown):
        if entry.loss is None:
            continue
        look, loss = LOOKS[entry.option.case], entry.loss
        style = {"color": look.color, "marker": look.marker, "markersize": 4.5}
        if entry.option.name == summary.advice.best:
            axes.plot(place, 0, markerfacecolor="white", **style)
            continue
        axes.errorbar(place, -loss.mean, yerr=_half(loss), elinewidth=0.8, capsize=2, **style)
        if loss.error == loss.error:
            axes.errorbar(place, -loss.mean, yerr=loss.error, elinewidth=3, **style)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("against the best\n(points, paired)")
    far = any(entry.loss is not None and entry.loss.mean > FAR for entry in shown)
    if far:
        axes.set_ylim(bottom=-FAR)
    note = f"; beyond {FAR:g} points not shown" if far else ""
    axes.set_title(f"(2) Loss against the best (hollow)\nthick: one error, thin: 95 %{note}")
    axes.set_xticks(range(len(shown)), [_tick(entry) for entry in shown], rotation=90, fontsize=8)


def _draw_costs(axes: Axes, shown: Sequence[Entry], summary: Summary) -> None:
    timed = [entry for entry in shown if entry.seconds and entry.seconds > 0]
    for entry in timed:
        look = LOOKS[entry.option.case]
        axes.errorbar(
            entry.seconds,
            entry.accuracy.mean,
            yerr=_half(entry.accuracy),
            color=look.color,
            marker=look.marker,
            linestyle="",
            elinewidth=0.8,
            markersize=5.5,
        )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    span = max(e.seconds for e in timed) / min(e.seconds for e in timed)
    few = (1.0, 3.0) if span > 30 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if span < 3 else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=few))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show_duration(value)))
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("time of one training, features included")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("(3) What accuracy costs")
    chosen = summary.chosen
    if chosen in timed:
        axes.plot(
            chosen.seconds,
            chosen.accuracy.mean,
            marker="o",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.4,
        )


def _half(known: object) -> float:
    """Half the 95 % interval; no bar where there is none."""
    half = known.interval().half_width
    return half if half == half else 0.0


def _tick(entry: Entry) -> str:
    option = entry.option
    if option.stage is not None:
        return option.stage
    return "scratch" if option.name == SCRATCH else option.label.removesuffix(" stages")
