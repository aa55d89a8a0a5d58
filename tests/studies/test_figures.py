import os

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import (
    Look,
    draw_intervals,
    draw_points_and_means,
    house_style,
    save_figure,
)

LOOK = Look("#1f5fa8", "s", "--", filled=False)


def figure() -> Figure:
    with house_style():
        drawn = Figure(figsize=(4, 3))
        axes = drawn.subplots()
        draw_points_and_means(axes, [1, 2], [[80.0, 82.0], [70.0]], LOOK, "AnB")
        draw_intervals(axes, [1, 2], [[1.0, 2.0, 3.0], [4.0]], LOOK, "lost", offset=0.1)
        axes.set_xlabel("n")
        axes.legend()
    return drawn


def axes() -> Axes:
    return Figure().subplots()


def test_a_figure_is_saved_as_svg_and_png_beside_each_other(tmp_path):
    paths = save_figure(figure(), tmp_path / "figure")
    assert paths == [tmp_path / "figure.svg", tmp_path / "figure.png"]
    assert sorted(os.listdir(tmp_path)) == ["figure.png", "figure.svg"]
    assert paths[0].read_text().rstrip().endswith("</svg>")
    with Image.open(paths[1]) as picture:
        picture.load()
        assert picture.size[0] > 200


def test_the_same_data_gives_the_same_bytes(tmp_path):
    first, second = (save_figure(figure(), tmp_path / name) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_text_in_the_svg_is_text(tmp_path):
    svg, _ = save_figure(figure(), tmp_path / "figure")
    assert ">AnB</text>" in svg.read_text()


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one_and_no_half_one(tmp_path):
    old = save_figure(figure(), tmp_path / "figure")[0].read_bytes()
    broken = figure()
    broken.axes[0].set_title("$\\no_such_command$")
    with pytest.raises(ValueError, match="no_such_command"):
        save_figure(broken, tmp_path / "figure")
    assert (tmp_path / "figure.svg").read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["figure.png", "figure.svg"]


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CnnjaxError, match=r"cannot write .*figure\.svg"):
        save_figure(figure(), tmp_path / "nowhere" / "figure")
    (tmp_path / "figure.svg").mkdir()
    with pytest.raises(CnnjaxError, match="Is a directory"):
        save_figure(figure(), tmp_path / "figure")
    assert os.listdir(tmp_path) == ["figure.svg"]


def test_the_house_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with house_style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def test_points_are_the_repetitions_and_the_line_goes_through_their_means():
    drawn = axes()
    draw_points_and_means(drawn, [1, 2], [[80.0, 82.0], [70.0]], LOOK, "AnB", offset=0.2)
    *points, line = drawn.lines
    assert [point.get_linestyle() for point in points] == ["None", "None"]
    np.testing.assert_allclose(points[0].get_xydata(), [[1.2, 80], [1.2, 82]])
    np.testing.assert_allclose(points[1].get_xydata(), [[2.2, 70]])
    np.testing.assert_allclose(line.get_xydata(), [[1, 81], [2, 70]])
    assert line.get_label() == "AnB"
    assert drawn.get_legend_handles_labels()[1] == ["AnB"]


def test_intervals_are_students_and_a_single_value_has_no_bar():
    drawn = axes()
    draw_intervals(drawn, [1, 2], [[1.0, 2.0, 3.0], [4.0]], LOOK, "lost")
    (container,) = drawn.containers
    segments = container[2][0].get_segments()
    half = 4.302653 / np.sqrt(3)
    np.testing.assert_allclose(segments[0], [[1, 2 - half], [1, 2 + half]], rtol=1e-6)
    np.testing.assert_allclose(segments[1], [[2, 4], [2, 4]])


def test_open_markers_are_white_and_filled_ones_are_not():
    drawn = axes()
    draw_points_and_means(drawn, [1], [[1.0]], LOOK, "open")
    draw_points_and_means(drawn, [1], [[1.0]], LOOK._replace(filled=True), "filled")
    assert drawn.lines[1].get_markerfacecolor() == "white"
    assert drawn.lines[3].get_markerfacecolor() == LOOK.color
