"""The columns of a table: names, categories and types; they turn rows into points and back.

A number is one feature. A text, a category of pandas or a truth value is one feature per category,
which is 1 in rows of that category and 0 in others; with two categories it is a single feature. A
column in which all rows agree is no feature.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch

from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.text import counted

MOST_CATEGORIES = 100  # of a column; more are names or free text


@dataclass(frozen=True)
class TableColumn:
    """One column: its name and pandas type, and its categories unless it holds numbers."""

    name: Hashable
    dtype: Any
    categories: tuple[Any, ...] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features: `age`, or `colour=red`, `colour=blue`."""
        if self.categories is None:
            return (str(self.name),)
        named = self.categories if len(self.categories) > 2 else self.categories[1:]
        return tuple(f"{self.name}={value}" for value in named)

    def encoded(self, values: pd.Series) -> np.ndarray:
        """The features [n, k] of values, NaN where a value is missing."""
        if self.categories is None:
            return numeric(values)[:, None]
        numbers = {value: code for code, value in enumerate(self.categories)}
        given = numeric(values) if _holds_numbers(self.dtype) else values
        codes = np.array([numbers.get(value, -1) for value in given.tolist()], dtype=int)
        unknown = (codes < 0) & values.notna().to_numpy()
        if unknown.any():
            row = int(unknown.argmax())
            if len(self.categories) == 1:
                what = f"is {self.categories[0]} in all the data, but another value in row {row}"
                fix = "leave the column out of the data, or add points in which it varies"
                got = values.iloc[row]
                raise UserError(f"column '{self.name}'", f"{what}, counted from 0", got, fix)
            what = f"row {row}, counted from 0, has a category that the data do not have"
            known = ", ".join(map(str, self.categories[:10]))
            raise UserError(f"column '{self.name}'", what, values.iloc[row], f"one of {known}")
        rows = np.eye(len(self.categories))
        rows = rows[:, 1:] if len(self.categories) <= 2 else rows
        return np.where((codes < 0)[:, None], np.nan, rows[codes])

    def decoded(self, features: np.ndarray) -> pd.Series:
        """The values of features [n, k]: of categories the nearest one, of whole numbers the
        nearest whole number.
        """
        if self.categories is None:
            return pd.Series(_typed(features[:, 0], self.dtype), name=self.name)
        if len(self.categories) == 1:
            codes = np.zeros(len(features), dtype=int)
        else:
            binary = len(self.categories) == 2
            codes = (features[:, 0] > 0.5).astype(int) if binary else features.argmax(1)
        values = pd.Series([self.categories[code] for code in codes], name=self.name, dtype=object)
        return values.astype(self.dtype)


@dataclass(frozen=True)
class LabelColumn:
    """The column that labels come from: its place among the columns, and the value per class."""

    name: Hashable
    dtype: Any
    place: int
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Columns:
    """The columns of a table whose rows are points [n, D]."""

    columns: tuple[TableColumn, ...]
    label: LabelColumn | None = None

    @property
    def names(self) -> list[Hashable]:
        """The columns' names, without that of the label."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """The names [D] of a point's values."""
        return [name for column in self.columns for name in column.features]

    @property
    def groups(self) -> list[slice]:
        """Where the features of each column lie in a point."""
        ends = np.cumsum([0, *(len(column.features) for column in self.columns)]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    def encoded(self, table: pd.DataFrame) -> np.ndarray:
        """Points [n, D] in double precision, with NaN for what is missing. UserError for a table
        that lacks a column.
        """
        missing = [name for name in self.names if name not in table.columns]
        if missing:
            what = f"the table lacks the column '{missing[0]}'"
            raise UserError("points", what, fix=f"give the columns {_listed(self.names)}")
        parts = [column.encoded(table[column.name]) for column in self.columns]
        return np.concatenate([np.zeros((len(table), 0)), *parts], axis=1)

    def points(self, given: Any) -> torch.Tensor:
        """Points float32 [n, D] of a table with these columns, or of an array [n, D] of their
        features.
        """
        if not isinstance(given, pd.DataFrame):
            return torch.as_tensor(given).float()
        values = self.encoded(given)
        rows, places = np.nonzero(~np.isfinite(values))
        if len(rows):
            what = f"row {rows[0]}, counted from 0, has no value in '{self.features[places[0]]}'"
            raise UserError("points", what, fix="fill in what is missing, or leave the row out")
        return torch.from_numpy(values).float()

    def restored(self, points: torch.Tensor, labels: torch.Tensor | None = None) -> pd.DataFrame:
        """The table of points [n, D], with its label column if their labels [n] are given."""
        return self.to_table(points, labels)

    def to_table(
        self, points: torch.Tensor | np.ndarray, labels: torch.Tensor | None = None
    ) -> pd.DataFrame:
        """The table of points [n, D]: columns with their names, types and categories. With labels
        [n], the label column is where it was.
        """
        values = np.asarray(torch.as_tensor(points).double().cpu())
        series = [column.decoded(values[:, at]) for column, at in zip(self.columns, self.groups)]
        table = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(len(values)))
        if self.label is not None and labels is not None:
            classes = pd.Series([self.label.values[k] for k in labels.tolist()], dtype=object)
            table.insert(self.label.place, self.label.name, classes.astype(self.label.dtype))
        return table


def columns_of(table: pd.DataFrame, key: str = "dataset.columns") -> Columns:
    """What the columns of a table are. UserError that names a column that is neither numbers nor
    categories.
    """
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(key, "two columns have the same name", twice[0], "rename one of them")
    return Columns(tuple(_column(table[name], key) for name in table.columns))


def with_numbers(table: pd.DataFrame, kept: Hashable = None) -> pd.DataFrame:
    """The table with numbers instead of texts in columns whose texts are all numbers, except in
    the column `kept`. Reports such columns.
    """
    if table.columns.has_duplicates:
        return table  # which `columns_of` refuses
    found = {name: _numbers_of_texts(table[name]) for name in table.columns if name != kept}
    converted = {name: values for name, values in found.items() if values is not None}
    if not converted:
        return table
    echo(f"texts that are all numbers become numbers in {_listed([*converted])}")
    table = table.copy()
    for name, values in converted.items():
        table[name] = values
    return table


def _numbers_of_texts(values: pd.Series) -> pd.Series | None:
    """The numbers that all texts of a column are; None for a column of another kind."""
    if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
        return None
    seen = values.dropna()
    if not len(seen) or not all(_may_be_number(value) for value in seen):
        return None
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers if numbers.notna().sum() == len(seen) else None


def _may_be_number(value: Any) -> bool:
    return isinstance(value, (str, Real, Decimal)) and not isinstance(value, (bool, np.bool_))


def _column(values: pd.Series, key: str) -> TableColumn:
    name, dtype = values.name, values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        used = [value for value in dtype.categories if (values == value).any()]
        return TableColumn(name, dtype, tuple(used))
    if pd.api.types.is_bool_dtype(dtype):
        return TableColumn(name, dtype, tuple(sorted({*values.dropna().tolist()})))
    if _holds_numbers(dtype):
        seen = values.dropna()
        is_constant = len(seen) > 0 and bool((seen == seen.iloc[0]).all())
        return TableColumn(name, dtype, (seen.iloc[0],) if is_constant else None)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        what = f"column '{name}' holds dates or times, which are neither numbers nor categories"
        raise UserError(key, what, fix=f"leave it out: 'dataset.drop=[{name}]'")
    return TableColumn(name, dtype, _categories(values, key))


def _categories(values: pd.Series, key: str) -> tuple[Any, ...]:
    """The different values of a column of text, in alphabetical order."""
    seen = values.dropna()
    _require_not_almost_numbers(seen, key)
    different = seen.unique().tolist()
    if len(different) > min(MOST_CATEGORIES, max(2, len(seen) // 2)):
        shown = f"such as '{plain(str(different[0]))}'"
        what = f"column '{values.name}' has {len(different):,} different values in"
        what = f"{what} {counted(len(seen), 'row')}, {shown}: too many for categories"
        raise UserError(key, what, fix=f"leave it out: 'dataset.drop=[{values.name}]'")
    return tuple(sorted(different, key=lambda value: (str(type(value)), value)))


def _require_not_almost_numbers(seen: pd.Series, key: str) -> None:
    """UserError that names the first text in a column most of whose values are numbers."""
    numbers = pd.to_numeric(seen, errors="coerce")
    bad = seen[numbers.isna()]
    if len(bad) and len(bad) < len(seen) / 2:
        what = f"column '{seen.name}' has numbers in {len(seen) - len(bad):,} rows, but in row"
        what = f"{what} {bad.index[0]}, counted from 0, the text '{plain(str(bad.iloc[0]))}'"
        fix = f"correct it, or leave the column out: 'dataset.drop=[{seen.name}]'"
        raise UserError(key, what, fix=fix)


def _holds_numbers(dtype: Any) -> bool:
    types = pd.api.types
    is_real = types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)
    return is_real and not types.is_bool_dtype(dtype)


def numeric(values: pd.Series) -> np.ndarray:
    """Numbers [n] in double precision, NaN for what is missing. UserError for other texts."""
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        what, fix = f"holds numbers in the data, but here not: {error}", "correct the table"
        raise UserError(f"column '{values.name}'", what, fix=fix) from error


def _typed(values: np.ndarray, dtype: Any) -> pd.Series:
    """Numbers of a pandas type, rounded and brought into its range if they are whole."""
    if not pd.api.types.is_integer_dtype(dtype):
        # The shortest decimals that mean this number in single precision: 4.55, not 4.550000191.
        return pd.Series(values.astype(np.float32).astype(str).astype(np.float64)).astype(dtype)
    ends = np.iinfo(np.dtype(str(dtype).lower()))
    rounded = pd.Series(values).round().clip(float(ends.min), float(ends.max))
    return rounded.astype("Int64" if str(dtype)[0].isupper() else np.int64).astype(dtype)


def _listed(names: Sequence[Hashable], most: int = 8) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
