"""Tables in files of text and parquet keep every column and every number, or are refused."""

import pandas as pd
import pytest

from genbench.data.table_reader import read_table
from genbench.utils.errors import UserError


def read_text(folder, text, header="auto"):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv", header).table


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
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet").table, table)
    table.iloc[[2, 0]].to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").table.columns) == ["k", "a"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"]),
        ("1,2\n3,4\n5,6\n", None),  # numbers are data
        ("0,1\n0.5,2.5\n1.5,3\n", ["0", "1"]),  # unless they count columns, as pandas does
        ("0,1\n1,0\n1,1\n", None),
        ("0,1,2,3\n4,5,6,7\n8,9,10,11\n", ["0", "1", "2", "3"]),
        ("5.1,3.5,setosa\n4.9,3,setosa\n7,3.2,virginica\n", None),  # a category that recurs
        ("species,400,410\nsetosa,1,2\nvirginica,3,4\n", ["species", "400", "410"]),
        ("x,p\nx,e\nb,p\n", None),  # categories alone
        ("a,b\n1,2\na,b\n3,4\n", ["a", "b"]),  # two tables, one below the other
        ("1,5;2,5;setosa\n2,5;1,5;setosa\n3,5;0,5;setosa\n", None),  # decimal commas
    ],
)
def test_the_first_row_names_the_columns_unless_it_looks_like_data(text, columns, tmp_path):
    table = read_text(tmp_path, text)
    lines = text.splitlines()
    given = columns or [f"column {i + 1}" for i in range(len(table.columns))]
    assert list(table.columns) == given and len(table) == len(lines) - (columns is not None)
    named = read_text(tmp_path, text, "first-row")
    assert len(named) == len(lines) - 1
    assert list(named.columns) == lines[0].split(";" if ";" in text else ",")
    assert len(read_text(tmp_path, text, "none")) == len(lines)


def test_a_sheet_has_a_header_by_the_same_rule(tmp_path):
    pytest.importorskip("openpyxl")
    file = tmp_path / "t.xlsx"
    frame = pd.DataFrame({"size": [1.5, 2.5, 3.5], "kind": ["a", "b", "a"]})
    frame.to_excel(file, index=False)
    pd.testing.assert_frame_equal(read_table(file).table, frame)
    assert len(read_table(file, "none").table) == 4
    frame.to_excel(file, index=False, header=False)
    table = read_table(file).table
    assert list(table.columns) == ["column 1", "column 2"] and len(table) == 3
    assert table["column 1"].tolist() == [1.5, 2.5, 3.5]
    assert list(read_table(file, "first-row").table.columns) == ["1.5", "a"]


def test_the_choice_of_a_header_is_refused_where_a_format_stores_names(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"dataset\.header: has no effect with \.parquet"):
        read_table(tmp_path / "t.parquet", "none")
