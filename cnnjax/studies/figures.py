"""One house style for the figures of all studies: readable in print, in grey and from afar."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax.studies.folders import write_whole
from cnnjax.studies.statistics import t_interval

_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.dpi": 150,
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "svg.fonttype": "none",
    "svg.hashsalt": "cnnjax",  # the same data gives the same file
}


def data_title(name: str) -> str:
    """A data set's name without the folders of its path, which say nothing to a reader.

    >>> data_title("npz:some/folder/mnist.npz"), data_title("glyphs/latin")
    ('mnist.npz', 'glyphs/latin')
    """
    kind, colon, path = name.partition(":")
    return Path(path).name if colon else kind


class Look(NamedTuple):
    """How an arm of a study is drawn; colour, marker and line each tell it apart, so that it is
    recognised in grey too."""

    color: str
    marker: str
    line: str = "-"
    filled: bool = True


@contextmanager
def house_style() -> Iterator[None]:
    """The settings of all figures, for the time of a `with` block."""
    with mpl.rc_context(_STYLE):
        yield


def draw_points_and_means(
    axes: Axes,
    x: Sequence[float],
    values: Sequence[Sequence[float]],
    look: Look,
    label: str,
    offset: float = 0.0,
) -> None:
    """Draws a point for each repetition and a line through the means, as Yosinski et al. do.

    Args:
      axes: where to draw.
      x: positions.
      values: the repetitions at each position.
      look: colour, marker and line.
      label: for the legend.
      offset: moves the points sideways, so that arms do not hide each other.
    """
    face = look.color if look.filled else "white"
    style = {"color": look.color, "marker": look.marker, "markerfacecolor": face}
    for position, group in zip(x, values, strict=True):
        places = np.full(len(group), position + offset)
        axes.plot(places, group, linestyle="", markersize=3.5, alpha=0.6, **style)
    means = [float(np.mean(group)) for group in values]
    axes.plot(x, means, linestyle=look.line, linewidth=1.6, markersize=5.5, label=label, **style)


def draw_intervals(
    axes: Axes,
    x: Sequence[float],
    values: Sequence[Sequence[float]],
    look: Look,
    label: str,
    offset: float = 0.0,
) -> None:
    """Draws means with 95 % Student intervals; no bar where there is a single repetition."""
    intervals = [t_interval(group) for group in values]
    bars = [interval.half_width if interval.count > 1 else 0.0 for interval in intervals]
    axes.errorbar(
        np.asarray(x) + offset,
        [interval.mean for interval in intervals],
        yerr=bars,
        color=look.color,
        marker=look.marker,
        markerfacecolor=look.color if look.filled else "white",
        linestyle=look.line,
        linewidth=1.6,
        markersize=5.5,
        capsize=3,
        label=label,
    )


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Writes the figure as SVG and PNG beside each other, each whole or not at all.

    Args:
      figure: the figure.
      path: its place without a suffix.

    Returns:
      The two paths.

    Raises:
      CnnjaxError: they cannot be written.
    """
    paths = []
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {})):
        final = path.with_suffix(suffix)
        with house_style():  # part of it speaks of how to save, not of how to draw
            write_whole(final, partial(figure.savefig, metadata=metadata))
        paths.append(final)
    return paths
