"""Reads a table from a file by pandas, and finds what no pandas option says: how it is separated,
whether it has a header, and which column only numbers the rows.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.imports import imported_extra

FILE_KEY = "dataset.path"
SEEN_HEAD = 65536  # characters that show how a file is separated
SEPARATORS = ",;\t|"


def read_table(file: Path) -> pd.DataFrame:
    """The table in a file, by the ending of its name. UserError for one that cannot be read."""
    reader = TABLE_READERS.get(file.suffix.lower())
    if reader is None:
        what = f"is none of {', '.join(TABLE_READERS)}"
        raise UserError(FILE_KEY, what, file, "dataset=array reads .npy, .npz and others")
    try:
        table = reader(file)
    except UnicodeDecodeError as error:
        raise UserError(
            FILE_KEY, f"is no text in UTF-8: {error}", file, "save it as UTF-8"
        ) from error
    except (ValueError, OSError, KeyError, pd.errors.ParserError) as error:
        first = plain(str(error).strip().splitlines()[0])
        raise UserError(FILE_KEY, f"cannot be read: {first}", file, "correct the file") from error
    if len(table) < 2 or not len(table.columns):
        what = f"holds a table of {len(table)} rows and {len(table.columns)} columns"
        raise UserError(FILE_KEY, what, file, "give a table of two rows or more")
    table.columns = pd.Index([str(name) for name in table.columns])
    return _without_row_numbers(table.reset_index(drop=True).infer_objects())


def _text(file: Path) -> pd.DataFrame:
    with open(file, encoding="utf-8-sig", newline="") as content:
        head = content.read(SEEN_HEAD)
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise UserError(FILE_KEY, "holds no rows", file, "give a file that holds data")
    separator = "\t" if file.suffix.lower() == ".tsv" else _separator(lines)
    options: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    if separator == ";" and any("," in line and "." not in line for line in lines[1:20]):
        options["decimal"] = ","
    first = next(csv.reader(lines[:1], delimiter=separator))
    if all(_is_number(cell) for cell in first):
        echo(f"{file.name}: no header; columns are called 'column 1', 'column 2', ...")
        options |= {"header": None, "names": [f"column {i + 1}" for i in range(len(first))]}
    return pd.read_csv(file, **options)


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
