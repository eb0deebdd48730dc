"""Reads a table from a file by pandas, and finds what no pandas option says: how it is separated,
whether it has a header, and which column only numbers the rows.
"""

import csv
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.files import opened
from genbench.utils.imports import imported_extra

FILE_KEY = "dataset.path"
SEEN_HEAD = 65536  # characters that show how a file is separated
SEPARATORS = ",;\t|"
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_table(file: Path) -> pd.DataFrame:
    """The table in a file, by the ending of its name. UserError for one that cannot be read."""
    reader = TABLE_READERS.get(file.suffix.lower())
    if reader is None:
        what = f"is none of {', '.join(TABLE_READERS)}"
        raise UserError(FILE_KEY, what, file, "dataset=array reads .npy, .npz and others")
    try:
        table = _with_named_index(reader(file), file)
    except UnicodeDecodeError as error:
        raise UserError(
            FILE_KEY, f"is no text in UTF-8: {error}", file, "save it as UTF-8"
        ) from error
    except (ValueError, OSError, KeyError, pd.errors.ParserError, csv.Error) as error:
        first = plain(str(error).strip().splitlines()[0])
        raise UserError(FILE_KEY, f"cannot be read: {first}", file, "correct the file") from error
    if len(table) < 2 or not len(table.columns):
        what = f"holds a table of {len(table)} rows and {len(table.columns)} columns"
        raise UserError(FILE_KEY, what, file, "give a table of two rows or more")
    table.columns = pd.Index([str(name) for name in table.columns])
    return _without_row_numbers(table.infer_objects())


def _text(file: Path) -> pd.DataFrame:
    with open(opened(file, links=True), encoding="utf-8-sig", newline="") as content:
        head = content.read(SEEN_HEAD)
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise UserError(FILE_KEY, "holds no rows", file, "give a file that holds data")
    separator = "\t" if file.suffix.lower() == ".tsv" else _separator(lines)
    # Pandas takes a column that the header lacks as its index, unless index_col is False.
    options: dict[str, Any] = {
        "sep": separator,
        "encoding": "utf-8-sig",
        "skipinitialspace": True,
        "index_col": False,
    }
    first, *others = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    cells = (cell.strip() for row in others for cell in row)
    if separator == ";" and any(DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        echo(f"{file.name}: numbers have a decimal comma")
        options["decimal"] = ","
    is_open = bool(first[-1].strip())
    if all(_is_number(cell) for cell in (first if is_open else first[:-1])):
        echo(f"{file.name}: no header; columns are called 'column 1', 'column 2', ...")
        options |= {"header": None, "names": [f"column {i + 1}" for i in range(len(first))]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(file, **options)
        except pd.errors.ParserWarning as error:
            raise _error_of_long_row(file, separator) from error
    is_empty = not is_open and table.iloc[:, -1].isna().all()
    return table.iloc[:, :-1] if is_empty else table


def _error_of_long_row(file: Path, separator: str) -> UserError:
    """The error that names the first row with a value that no column of the header has."""
    with open(opened(file, links=True), encoding="utf-8-sig", newline="") as content:
        rows = csv.reader(content, delimiter=separator, skipinitialspace=True)
        header, *others = (row for row in rows if any(row))
    is_long = (any(row[len(header) :]) for row in others)
    number = next(i for i, long in enumerate(is_long) if long)
    what = f"row {number}, counted from 0, has {len(others[number])} values"
    what = f"{what}, but the header names {len(header)} columns"
    return UserError(FILE_KEY, what, file, "give each column a name in the first line")


def _separator(lines: list[str]) -> str:
    """The character that separates columns: the one that is most frequent in the first line."""
    return max(SEPARATORS, key=lines[0].count)


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip())
    except ValueError:
        return False
    return True


def _excel(file: Path) -> pd.DataFrame:
    imported_extra("openpyxl", ".xlsx")
    sheets = pd.read_excel(file, sheet_name=None)
    name, table = next(iter(sheets.items()))
    if len(sheets) > 1:
        echo(f"{file.name}: the first of {len(sheets)} sheets is read, '{name}'")
    return table


def _parquet(file: Path) -> pd.DataFrame:
    imported_extra("pyarrow", ".parquet")
    return pd.read_parquet(file)


def _feather(file: Path) -> pd.DataFrame:
    imported_extra("pyarrow", ".feather")
    return pd.read_feather(file)


def _with_named_index(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The table with an index that holds data as columns, and without one that numbers the rows."""
    index = table.index
    if index.nlevels == 1 and index.name is None and pd.api.types.is_integer_dtype(index.dtype):
        if not isinstance(index, pd.RangeIndex):
            echo(f"{file.name}: an index without a name only numbers the rows: left out")
        return table.reset_index(drop=True)
    return table.reset_index()


def _without_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table without a first column that only numbers the rows, as pandas' own index does."""
    name = table.columns[0]
    is_called = name.lower() in ("unnamed: 0", "index", "id", "row", "rownames", "")
    values = table[name]
    is_whole = pd.api.types.is_integer_dtype(values.dtype) and len(table.columns) > 1
    if is_called and is_whole and (values.diff().dropna() == 1).all():
        echo(f"column '{name}' only numbers the rows: left out")
        return table.drop(columns=[name])
    return table


TABLE_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _text,
    ".tsv": _text,
    ".txt": _text,
    ".parquet": _parquet,
    ".feather": _feather,
    ".xlsx": _excel,
}
