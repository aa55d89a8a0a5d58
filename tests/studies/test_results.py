import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.errors import CnnjaxError
from cnnjax.studies.results import read_results, write_results

ROWS = [
    {"run": "split0-baseA", "n": 0, "accuracy": 87.1234, "change": None},
    {"run": 'a "quoted", name', "n": 3, "accuracy": -0.5, "change": 1e-7},
]
COLUMNS = ("run", "n", "accuracy", "change")


def test_rows_come_back_as_they_were_written(tmp_path):
    write_results(tmp_path / "results.csv", ROWS, COLUMNS)
    assert read_results(tmp_path / "results.csv") == ROWS


def test_the_columns_come_in_the_order_asked_for_with_unix_line_ends(tmp_path):
    write_results(tmp_path / "results.csv", ROWS[:1], COLUMNS)
    content = (tmp_path / "results.csv").read_bytes()
    assert content == b"run,n,accuracy,change\nsplit0-baseA,0,87.1234,\n"


def test_no_rows_leave_a_table_with_its_head(tmp_path):
    write_results(tmp_path / "results.csv", [], COLUMNS)
    assert (tmp_path / "results.csv").read_text() == "run,n,accuracy,change\n"
    assert read_results(tmp_path / "results.csv") == []


def test_a_column_nobody_asked_for_is_an_error_and_leaves_the_old_table(tmp_path):
    write_results(tmp_path / "results.csv", ROWS, COLUMNS)
    with pytest.raises(ValueError, match="surprise"):
        write_results(tmp_path / "results.csv", [ROWS[0] | {"surprise": 1}], COLUMNS)
    assert read_results(tmp_path / "results.csv") == ROWS
    assert os.listdir(tmp_path) == ["results.csv"]


def test_a_missing_table_says_to_run_the_study(tmp_path):
    with pytest.raises(CnnjaxError, match=r"there is no .*results\.csv; run the study first"):
        read_results(tmp_path / "results.csv")


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "n": st.integers(-(2**40), 2**40),
                "accuracy": st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True),
            }
        ),
        max_size=5,
    )
)
def test_every_finite_number_comes_back_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    write_results(path, rows, ("n", "accuracy"))
    back = read_results(path)
    assert back == rows
    assert all(isinstance(row["n"], int) for row in back)


def test_infinity_and_nan_come_back_as_numbers(tmp_path):
    write_results(tmp_path / "r.csv", [{"loss": math.inf}, {"loss": math.nan}], ("loss",))
    first, second = read_results(tmp_path / "r.csv")
    assert first["loss"] == math.inf
    assert math.isnan(second["loss"])


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n1,"2\n', "a,b\n\xff,\0\n"])
def test_a_damaged_table_is_told(tmp_path, text):
    (tmp_path / "r.csv").write_text(text, encoding="latin-1")
    with pytest.raises(CnnjaxError, match=r"r\.csv is damaged"):
        read_results(tmp_path / "r.csv")
