"""The page of the lectures: that it is what the list says, and that the list cannot lie."""

import lectures
import pytest
from lectures import LECTURES, PAGE, Config, Row, page, read, source

from cnnjax import CnnjaxError

HEADER = "lecture,slide,what,state,functions,tests,remark\n"


def test_the_committed_page_is_the_one_of_the_list():
    assert PAGE.read_text(encoding="utf-8") == page(read())


def test_every_lecture_is_there_and_every_row_is_carried_or_says_why_not():
    rows = read()
    assert {row.lecture for row in rows} == set(LECTURES)
    assert [row.lecture for row in rows] == sorted(row.lecture for row in rows)
    assert all(row.remark for row in rows if row.state != "carried")


def test_a_function_is_linked_to_the_file_that_makes_it():
    assert source("cnnjax.layers.conv2d") == "cnnjax/layers/convolution.py"
    assert source("cnnjax.training.momentum") == "cnnjax/training/optimizers/rules.py"
    assert source("cnnjax.layers.kernels.SOBEL_X") == "cnnjax/layers/kernels.py"
    assert source("scripts/ledger.py") == "scripts/ledger.py"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,Demo,x,carried,cnnjax.layers.conv3d,tests/test_house.py::room_of,", "there is no"),
        ("1,Demo,x,carried,scripts/none.py,tests/test_house.py::room_of,", "there is no"),
        ("1,Demo,x,carried,cnnjax.create,tests/test_house.py::test_nothing,", "there is no test"),
        ("1,Demo,x,carried,cnnjax.create,tests/none.py::test_nothing,", "there is no test"),
        ("1,Demo,x,carried,cnnjax.create,,", "names a function and a test"),
        ("1,Demo,x,to come,,,", "says why in its remark"),
        ("1,Demo,x,done,cnnjax.create,,", "write carried, to come or named"),
    ],
)
def test_a_row_that_names_what_is_not_there_is_refused(tmp_path, row, words):
    table = tmp_path / "lectures.csv"
    table.write_text(HEADER + row + "\n")
    with pytest.raises(CnnjaxError, match=words):
        read(table)


def test_run_runs_the_tests_of_one_lecture_and_ends_with_their_status(monkeypatch, capfd):
    # Of two rows only, or it would run a good part of the whole suite.
    example = "tests/layers/test_lecture_examples.py::"
    rows = [
        Row(2, "", "", "carried", (), (f"{example}test_the_3_by_3_example_gives_2",), ""),
        Row(3, "", "", "carried", (), (f"{example}test_the_sizes_of_the_lectures",), ""),
    ]
    monkeypatch.setattr(lectures, "read", lambda: rows)
    with pytest.raises(SystemExit, match="0"):
        lectures.run(Config(lecture=2, run=True))
    assert "1 passed" in capfd.readouterr().out
