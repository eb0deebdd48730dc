"""A user's own table as a dataset: its columns as features, and one of them as classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genbench.data.arrays import require_complete
from genbench.data.columns import Columns, LabelColumn, columns_of, with_numbers
from genbench.data.imputing import imputer
from genbench.data.labels import MOST_LABELS, Classes, classes_of_labels, ordered_values
from genbench.data.rounding import warn_of_rounding
from genbench.data.summary import report_table
from genbench.data.table_reader import read_table
from genbench.data.types import RawDataset
from genbench.settings.own_data import TableFileSettings
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.text import counted

# What columns of classes are usually called, in lower case.
USUAL_LABELS = ("label", "labels", "class", "classes", "target", "y", "species", "diagnosis")
MOST_PLAIN = 20  # classes in a column of numbers, or in one that is not called a label


def table_file(s: TableFileSettings) -> RawDataset:
    """The rows of the table in `path` as points, with the classes in its label column.

    UserError that names the column or row for what is missing, and for what is neither numbers nor
    categories.
    """
    read, header = read_table(Path(s.path), s.header)
    whole = with_numbers(read, kept=s.label)
    name = _label_name(whole, s)
    table = _chosen(whole, name, s)
    if s.missing == "drop":
        whole, table = _complete_rows(whole, table, name)
    empty = [column for column in table if not table[column].notna().any()]
    if empty:
        what, fix = f"column '{empty[0]}' has no values", f"'dataset.drop=[{empty[0]}]'"
        raise UserError("dataset.path", what, fix=fix)
    classes = None if name is None else classes_of_labels(whole[name], key="dataset.label")
    columns = columns_of(table)
    label = None if classes is None else _label_column(whole, name, table, classes)
    columns = Columns(columns.columns, label)
    if not columns.features:
        what = "the rows of the table are all the same"
        raise UserError("dataset.path", what, s.path, "give a table with columns that vary")
    if s.missing == "refuse":
        fix = "dataset.missing=median, or mean, most_frequent, knn or drop"
        require_complete(table, "dataset.missing", fix)
    values = columns.encoded(table)
    _require_finite(values, columns)
    warn_of_rounding(values, [f"column '{name}'" for name in columns.features])
    fill = imputer(s.missing, columns) if np.isnan(values).any() else None
    if fill is not None:
        echo(f"{int(table.isna().sum().sum()):,} missing values: filled in by {s.missing}")
    report_table(s, header, columns, len(table), classes, label)
    return RawDataset(
        torch.from_numpy(values).float(),
        None if classes is None else classes.y,
        None,
        None,
        unit=False,
        names=() if classes is None else classes.names,
        layout=columns,
        fill=fill,
    )


def _label_name(table: pd.DataFrame, s: TableFileSettings) -> str | None:
    """The column of the classes: the one that is asked for, or one that is plain."""
    if s.label not in ("auto", "none"):
        _require_columns([s.label], table, "dataset.label")
        return s.label
    if s.label == "none":
        return None
    names = [str(name) for name in table.columns if name not in s.drop]
    if not names:
        return None
    usual = [name for name in names if name.lower() in USUAL_LABELS]
    few = [name for name in usual if _is_few(table[name], min(len(table) // 3, MOST_LABELS))]
    if len(few) == 1:
        return few[0]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(table[name].dtype)]
    ends = (names[0], names[-1])
    if not few and len(texts) == 1 and texts[0] in ends and _is_few(table[texts[0]], MOST_PLAIN):
        return texts[0]
    return None


def _is_few(values: pd.Series, most: int) -> bool:
    """Whether values name classes: at least two and not many, of numbers only a few whole ones."""
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 != 0).any():
        return False
    if pd.api.types.is_numeric_dtype(values.dtype):
        most = min(most, MOST_PLAIN)  # more are counts, years or coordinates
    return 2 <= values.nunique() <= max(2, most)


def _require_columns(names: list[str], table: pd.DataFrame, key: str) -> None:
    for name in names:
        if name not in table.columns:
            known = ", ".join(map(str, table.columns[:30]))
            raise UserError(key, "the table has no such column", name, f"one of: {known}")


def _chosen(table: pd.DataFrame, label: str | None, s: TableFileSettings) -> pd.DataFrame:
    """The columns that points consist of."""
    if s.columns is not None:
        _require_columns(s.columns, table, "dataset.columns")
        table = table[s.columns]
    else:
        _require_columns(s.drop, table, "dataset.drop")
    return table.drop(columns=[*s.drop, *([] if label is None else [label])], errors="ignore")


def _complete_rows(
    whole: pd.DataFrame, table: pd.DataFrame, label: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables without rows in which a value or the label is missing."""
    complete = table.notna().all(axis=1)
    if label is not None:
        complete &= whole[label].notna()
    if complete.all():
        return whole, table
    left = int(complete.sum())
    if left < 2:
        what = f"dataset.missing=drop leaves {counted(left, 'row')} of {len(table):,}"
        raise UserError("dataset.missing", what, fix="dataset.missing=median, or dataset.drop")
    echo(f"rows with missing values: {len(table) - left:,} of {len(table):,} left out")
    return whole[complete].reset_index(drop=True), table[complete].reset_index(drop=True)


def _label_column(
    whole: pd.DataFrame, name: str | None, table: pd.DataFrame, classes: Classes
) -> LabelColumn:
    assert name is not None  # as there are classes
    before = [column for column in whole.columns[: whole.columns.get_loc(name)] if column in table]
    values = ordered_values(whole[name])
    numbers = dict(zip(classes.values, range(len(classes.values))))
    kept = tuple(sorted(values, key=lambda value: numbers[value]))
    return LabelColumn(name, whole[name].dtype, len(before), kept)


def _require_finite(values: np.ndarray, columns: Columns) -> None:
    rows, places = np.nonzero(np.isinf(values))
    if len(rows):
        what = f"column '{columns.features[places[0]]}' is infinite in row {rows[0]}"
        raise UserError("dataset.path", f"{what}, counted from 0", fix="correct the table")
    beyond = np.abs(np.nan_to_num(values)) > np.finfo(np.float32).max
    if beyond.any():
        rows, places = np.nonzero(beyond)
        what = f"column '{columns.features[places[0]]}' is beyond single precision in row {rows[0]}"
        raise UserError("dataset.path", what, values[rows[0], places[0]], "use another unit")
