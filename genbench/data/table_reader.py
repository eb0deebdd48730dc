"""Reads a table from a file by pandas, and finds what no pandas option says: how it is separated,
whether it has a header, and which column only numbers the rows.
"""

import csv
import re
import warnings
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.files import opened
from genbench.utils.imports import imported_extra

FILE_KEY = "dataset.path"
SEEN_HEAD = 65536  # characters that show how a file is separated
SEPARATORS = ",;\t|"
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
SHEET_HEAD = 1000  # of a sheet that show whether it has a header
# Where the names of columns come from, as the line says that reports a table.
BELOW_HEADER = " below a header"
BELOW_NUMBERS = f"{BELOW_HEADER} of numbers (dataset.header=none makes it data)"
HEADLESS = " without a header"
SEEMS_HEADLESS = f"{HEADLESS} (dataset.header=first-row if it has one)"


class ReadTable(NamedTuple):
    """A table as a file has it, and what to say of its header: one of the texts above, or nothing
    where the format has no header that could be mistaken.
    """

    table: pd.DataFrame
    header: str = ""


def read_table(file: Path, header: str = "auto") -> ReadTable:
    """The table in a file, by the ending of its name. `header` is as the setting of that name.

    UserError for a file that cannot be read.
    """
    reader = TABLE_READERS.get(file.suffix.lower())
    if reader is None:
        what = f"is none of {', '.join(TABLE_READERS)}"
        raise UserError(FILE_KEY, what, file, "dataset=array reads .npy, .npz and others")
    try:
        table, said = reader(file, header)
        table = _with_named_index(table, file)
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
    return ReadTable(_without_row_numbers(table.infer_objects()), said)


def _text(file: Path, header: str) -> ReadTable:
    with open(opened(file, links=True), encoding="utf-8-sig", newline="") as content:
        head = content.read(SEEN_HEAD)
    lines = [line for line in head.splitlines() if line.strip()]
    if len(head) == SEEN_HEAD and len(lines) > 1:
        lines.pop()  # which may be cut
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
    rows = [*csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    first, *others = [[cell.strip() for cell in row] for row in rows]
    cells = (cell for row in others for cell in row)
    if separator == ";" and any(DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        echo(f"{file.name}: numbers have a decimal comma")
        options["decimal"] = ","
        first, *others = ([cell.replace(",", ".") for cell in row] for row in (first, *others))
    is_open = bool(first[-1])
    said = _header(first if is_open else first[:-1], others, header)
    if said in (HEADLESS, SEEMS_HEADLESS):
        options |= {"header": None, "names": _given_names(file, len(first))}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(file, **options)
        except pd.errors.ParserWarning as error:
            raise _error_of_long_row(file, separator) from error
    is_empty = not is_open and table.iloc[:, -1].isna().all()
    return ReadTable(table.iloc[:, :-1] if is_empty else table, said)


def _header(first: list[str], others: list[list[str]], header: str) -> str:
    """Whether the first row names the columns, in the words of `ReadTable.header`."""
    if header != "auto":
        return HEADLESS if header == "none" else BELOW_HEADER
    if _is_range(first) and (len(first) > 3 or any("." in cell for row in others for cell in row)):
        return BELOW_NUMBERS  # as pandas names the columns of an array
    columns = [{*column} for column in zip_longest(*others)]
    columns += [set()] * (len(first) - len(columns))
    are_numbers = [_is_number(cell) for cell in first]
    # A category of the first row occurs again, unlike the name of a column. A whole header that
    # occurs again stands between numbers, where tables were put one below the other.
    cells = zip(are_numbers, first, columns)
    is_data = all(known or cell in column for known, cell, column in cells)
    has_numbers = any(_is_number(cell) for row in others for cell in row)
    return SEEMS_HEADLESS if is_data and (any(are_numbers) or not has_numbers) else BELOW_HEADER


def _is_range(cells: list[str]) -> bool:
    """Whether these are the numbers 0, 1, 2, ..."""
    return cells == [str(i) for i in range(len(cells))]


def _given_names(file: Path, count: int) -> list[str]:
    """Names for the columns of a table without a header, which are reported."""
    echo(f"{file.name}: columns are called 'column 1', 'column 2', ...")
    return [f"column {i + 1}" for i in range(count)]


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
    """The character that separates columns: one that is in all lines equally often, of which the
    comma may be part of numbers; else the one that is most frequent in the first line.
    """
    for separator in (";", "\t", "|"):
        counts = {line.count(separator) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return separator
    return max(SEPARATORS, key=lines[0].count)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _excel(file: Path, header: str) -> ReadTable:
    imported_extra("openpyxl", ".xlsx")
    with pd.ExcelFile(file) as sheets:
        names = sheets.sheet_names
        if len(names) > 1:
            echo(f"{file.name}: the first of {len(names)} sheets is read, '{names[0]}'")
        head = pd.read_excel(sheets, header=None, nrows=SHEET_HEAD, dtype=str, na_filter=False)
        first, *others = head.to_numpy().tolist() or [[]]
        said = _header(first, others, header)
        is_named = said not in (HEADLESS, SEEMS_HEADLESS)
        table = pd.read_excel(sheets, header=0 if is_named else None)
    if not is_named:
        table.columns = pd.Index(_given_names(file, len(table.columns)))
    return ReadTable(table, said)


def _parquet(file: Path, header: str) -> ReadTable:
    imported_extra("pyarrow", ".parquet")
    _require_no_choice(file, header)
    return ReadTable(pd.read_parquet(file))


def _feather(file: Path, header: str) -> ReadTable:
    imported_extra("pyarrow", ".feather")
    _require_no_choice(file, header)
    return ReadTable(pd.read_feather(file))


def _require_no_choice(file: Path, header: str) -> None:
    """UserError for a choice of the header in a format that stores the names of columns."""
    if header != "auto":
        what = f"has no effect with {file.suffix}, which stores the names of columns"
        raise UserError("dataset.header", what, header, "leave it out")


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


TABLE_READERS: dict[str, Callable[[Path, str], ReadTable]] = {
    ".csv": _text,
    ".tsv": _text,
    ".txt": _text,
    ".parquet": _parquet,
    ".feather": _feather,
    ".xlsx": _excel,
}
