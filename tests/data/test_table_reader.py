"""Tables in files of text and parquet keep every column and every number, or are refused."""

import pandas as pd
import pytest

from genbench.data.table_reader import read_table
from genbench.utils.errors import UserError


def read_text(folder, text):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "row 0, counted from 0, has 3 values"),
        ("a,b\n1,2,\n3,4,\n4,5,6\n", "row 2, counted from 0, has 3 values"),
        ("a,b\n1,2\n4,5,6\n", "line 3"),
        ("1,2\n4,5,6\n", "line 2"),
    ],
)
def test_a_row_with_more_values_than_the_header_is_refused_by_its_number(text, place, tmp_path):
    with pytest.raises(UserError, match=place):
        read_text(tmp_path, text)


@pytest.mark.parametrize("header", ["a,b", "a,b,"])
def test_a_separator_at_the_end_of_rows_adds_no_column(header, tmp_path):
    table = read_text(tmp_path, f"{header}\n1,2,\n4,5,\n")
    assert table.to_dict("list") == {"a": [1, 4], "b": [2, 5]}
    assert read_text(tmp_path, "1,2,\n4,5,\n").to_numpy().tolist() == [[1, 2], [4, 5]]


def test_a_comma_in_a_text_is_no_decimal_comma(tmp_path):
    table = read_text(tmp_path, 'name;size\n"Smith, John";72\nKim;70.5\n')
    assert table["size"].tolist() == [72, 70.5]
    table = read_text(tmp_path, "name;size\n3.5 m;-1,5\nKim;70\n")
    assert table["size"].tolist() == [-1.5, 70]


def test_an_index_with_a_name_is_a_column(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"k": [3, 1, 2], "a": [0.5, 1.5, 2.5]})
    table.set_index("k").to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    table.iloc[[2, 0]].to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["k", "a"]
