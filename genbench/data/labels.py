"""Labels that a user gave, as whole numbers from 0 on with their names."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from genbench.utils.errors import UserError, plain
from genbench.utils.text import counted

MOST_LABELS = 1000  # of labels; more are measured numbers, or names of the points


class Classes(NamedTuple):
    """Labels by number: those of the training points [n] and of the test points [m], the names of
    the classes if the numbers are not their names, and the value that each number stands for.
    """

    y: torch.Tensor
    test_y: torch.Tensor | None
    names: tuple[str, ...]
    values: tuple[Any, ...]


def classes_of_labels(y: Any, test_y: Any = None, key: str = "y") -> Classes:
    """The classes of labels [n] of any type.

    Whole numbers from 0 on stay as they are if they leave out none; all others are numbered in
    their order. UserError, about `key`, for missing labels and for numbers that name no classes.
    """
    first, second = _flat(y, key), None if test_y is None else _flat(test_y, key)
    for kind, some in (("point", first), ("test point", second)):
        if some is not None and some.isna().any():
            row, n = int(some.isna().to_numpy().argmax()), int(some.isna().sum())
            what = f"{counted(n, 'point')} of {len(some):,} lack a label, first {kind} {row}"
            raise UserError(key, f"{what}, counted from 0", fix="give each its label, or none")
    both = first if second is None else pd.concat([first, second], ignore_index=True)
    require_classes(both, key)
    values = ordered_values(both)
    whole = all(_is_whole(value) for value in values)
    values = tuple(
        int(value) if whole and not isinstance(value, bool) else value for value in values
    )
    kept = whole and values == tuple(range(len(values)))
    numbers = {value: k for k, value in enumerate(values)}
    y_, test_y_ = (None if some is None else _numbered(some, numbers) for some in (first, second))
    assert y_ is not None  # as there is a first one
    names = () if kept else tuple(plain(str(value)) for value in values)
    return Classes(y_, test_y_, names, values)


def require_classes(values: pd.Series, key: str) -> None:
    """UserError for labels that are measured numbers or almost all different."""
    different = values.nunique()
    if pd.api.types.is_float_dtype(values.dtype):
        fractions = values[values != values.round()]
        if len(fractions):
            what = f"are no classes: that of point {fractions.index[0]} is {fractions.iloc[0]:g}"
            raise UserError(key, what, fix=f"leave them out, or {key}=none")
    if different > MOST_LABELS:
        what = f"are {different:,} different values in {counted(len(values), 'point')}, no classes"
        raise UserError(key, what, fix=f"leave them out, or {key}=none")


def ordered_values(values: pd.Series) -> tuple[Any, ...]:
    """The different values, in their own order if they have one."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return tuple(value for value in values.dtype.categories if (values == value).any())
    found = values.dropna().unique().tolist()
    return tuple(sorted(found, key=lambda v: (isinstance(v, str), v)))


def _flat(y: Any, key: str) -> pd.Series:
    """Labels as a column. One-hot labels [n, K] are those of their largest entry."""
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series):
        return y.reset_index(drop=True)
    values = y.cpu().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)
    if values.dtype.kind == "S":  # as HDF5 and old NumPy files hold text
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim == 2 and values.shape[1] > 1 and _is_one_hot(values):
        values = values.argmax(1)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        what = "there is one label for each point"
        raise UserError(key, what, list(values.shape), "give an array [n]")
    return pd.Series(values)


def _is_one_hot(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all())


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and float(value).is_integer()


def _numbered(values: pd.Series, numbers: dict[Any, int]) -> torch.Tensor:
    return torch.tensor([numbers[value] for value in values.tolist()], dtype=torch.int64)
