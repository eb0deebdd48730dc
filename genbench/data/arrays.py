"""Data that are in memory, as arrays of NumPy, tensors, tables of pandas or datasets of torch."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from genbench.config.array_axes import guessed_axes, require_axes
from genbench.data.columns import columns_of, with_numbers
from genbench.data.labels import classes_of_labels
from genbench.data.layout import ArrayLayout, Form
from genbench.data.lazy import LazyArray, Values
from genbench.data.ranges import ValueRange, guessed_range, is_binary, is_within_unit, scaled
from genbench.data.rounding import warn_of_rounded_array, warn_of_rounding
from genbench.data.types import RawDataset
from genbench.utils.errors import UserError
from genbench.utils.signals import check


class Given(NamedTuple):
    """What a user gave for the training or the test: points, and their labels or None."""

    x: Any
    y: Any = None


def in_memory(
    x: Any,
    y: Any = None,
    test_x: Any = None,
    test_y: Any = None,
    *,
    axes: str = "auto",
    value_range: tuple[float, float] | None = None,
    raw: bool = False,
) -> RawDataset:
    """Points in memory as a dataset: arrays [n, ...] of NumPy or torch, lists of them, tables of
    pandas, or a dataset of torch whose items are points, or pairs of a point and its label.

    `axes` is a key of `layout.AXES` or `auto`. `value_range` holds the values that are black and
    white in images; None is what `ranges.guessed_range` says. `raw` says that models see the
    values as they are, so that vectors in [0, 1] may have a likelihood of such data. The `layout`
    of the result turns points back into what was given. UserError for what does not fit together.
    """
    train, test = _unpacked(x, y, "X"), _unpacked(test_x, test_y, "X_test")
    if isinstance(train.x, pd.DataFrame):
        return _from_table(train, test)
    key = "axes"
    first, form = as_values(train.x, "X")
    warn_of_rounded_array(train.x)
    second = None if test.x is None else as_values(test.x, "X_test")[0]
    return arranged(first, train.y, second, test.y, axes, value_range, form, raw=raw, key=key)


def arranged(
    x: Values,
    y: Any,
    test_x: Values | None,
    test_y: Any,
    axes: str,
    value_range: tuple[float, float] | None,
    form: Form,
    *,
    raw: bool = False,
    key: str = "dataset.axes",
    label_key: str = "y",
) -> RawDataset:
    """Arrays [n, ...] as a dataset, with the axes in the order of models and images in [0, 1].

    `key` and `label_key` name what a user sets, for messages.
    """
    _require_points(x, y, "the points", key)
    if test_x is not None:
        _require_points(test_x, test_y, "the test points", key)
        if test_x.shape[1:] != x.shape[1:]:
            what = f"test points have the shape {list(test_x.shape[1:])}"
            raise UserError(key, what, f"points {list(x.shape[1:])}", "give arrays that agree")
    are_bytes = x.dtype == torch.uint8
    if axes == "auto":
        axes = guessed_axes(x.shape, are_bytes, key)
    require_axes(axes, x.shape, key)
    layout = ArrayLayout(axes, form=form)
    seen = (
        ValueRange(0.0, 1.0) if layout.kind != "images" else guessed_range(x, test_x, value_range)
    )
    layout = ArrayLayout(axes, seen.low, seen.high, form)
    points, scale = scaled(_arranged(x, layout), seen)
    test_points = None if test_x is None else scaled(_arranged(test_x, layout), seen)[0]
    binary = scale == 1 and is_binary(points, test_points)
    within = layout.kind == "images" or binary or (raw and is_within_unit(points, test_points))
    classes = None if y is None else classes_of_labels(y, test_y, label_key)
    return RawDataset(
        points,
        None if classes is None else classes.y,
        test_points,
        None if classes is None else classes.test_y,
        unit=within,
        scale=scale,
        trials=1 if binary else None,
        names=() if classes is None else classes.names,
        layout=layout,
    )


def _arranged(x: Values, layout: ArrayLayout) -> Values:
    """The same array with its axes in the order of models; one in a file stays there."""
    if not isinstance(x, LazyArray):
        return layout.arranged(x)
    point = tuple(layout.arranged(torch.empty(0, *x.point)).shape[1:])
    return LazyArray(
        lambda rows: layout.arranged(x[rows]),
        len(x),
        point,
        x.dtype,
        key=f"{x.identity} {layout.axes}",
    )


def as_values(x: Any, key: str) -> tuple[torch.Tensor, Form]:
    """An array as a tensor of a type that models can compute with, and what it was.

    Double precision becomes single. UserError for what is no array of numbers.
    """
    if isinstance(x, torch.Tensor):
        values = x.detach().cpu()
        return _of_usual_type(values, key), Form(str(x.dtype).removeprefix("torch."), True)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise UserError(key, f"is no array: {error}", fix="give points of one shape") from error
    return from_numpy(array, key), Form(array.dtype.name)


def from_numpy(array: np.ndarray, key: str) -> torch.Tensor:
    """An array as a tensor, which shares its memory where it can."""
    if array.dtype == object or array.dtype.kind not in "biuf":
        what = "holds no numbers"
        raise UserError(key, what, f"an array of type {array.dtype}", "give an array of numbers")
    if array.dtype == np.uint16:  # which torch can hold, but not index or compute with
        array = array.astype(np.int32)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in (np.uint32, np.uint64, np.longdouble):
        array = array.astype(np.float64)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return _of_usual_type(torch.from_numpy(array), key)


def _of_usual_type(x: torch.Tensor, key: str) -> torch.Tensor:
    if x.is_complex():
        raise UserError(key, "holds complex numbers", x.dtype, "give their real parts and angles")
    if x.dim() == 1:
        x = x[:, None]
    if x.dtype == torch.bool:
        return x.byte()
    return x.float() if x.dtype in (torch.float64, torch.bfloat16) else x


def _require_points(x: Values, y: Any, kind: str, key: str) -> None:
    if x.dim() < 2 or len(x) < 2:
        what = f"{kind} are an array [n, ...] of two points or more"
        raise UserError(key, what, list(x.shape), "give such an array")
    if y is not None and len(y) != len(x):
        what = f"{kind} are {len(x):,}, and their labels {len(y):,}"
        raise UserError(key, what, fix="give each point its label")


def _from_table(train: Given, test: Given) -> RawDataset:
    """A table of pandas, whose columns are described by `Columns`, and labels apart from it."""
    table = with_numbers(train.x.infer_objects())
    columns = columns_of(table, "X")
    require_complete(table, "X")
    values = columns.encoded(table)
    if np.isfinite(values).all():  # else `points` names the row
        warn_of_rounding(values, [f"column '{name}'" for name in columns.features])
    test_x = None
    if test.x is not None:
        if not isinstance(test.x, pd.DataFrame):
            what, fix = "must be a table, as X is", "give a DataFrame"
            raise UserError("X_test", what, type(test.x).__name__, fix)
        require_complete(test.x, "X_test")
        test_x = columns.points(test.x)
    classes = None if train.y is None else classes_of_labels(train.y, test.y)
    return RawDataset(
        columns.points(table),
        None if classes is None else classes.y,
        test_x,
        None if classes is None else classes.test_y,
        unit=False,
        names=() if classes is None else classes.names,
        layout=columns,
    )


def require_complete(table: pd.DataFrame, key: str, fix: str = "") -> None:
    """UserError that counts the missing values of each column of a table that lacks some."""
    counts = table.isna().sum()
    counts = counts[counts > 0]
    if not len(counts):
        return
    listed = [f"'{name}' {count:,}" for name, count in counts.items()]
    shown = ", ".join(listed[:10]) + (", ..." if len(listed) > 10 else "")
    row = int(table.isna().any(axis=1).to_numpy().argmax())
    what = f"values are missing in {len(counts)} of {table.shape[1]} columns: {shown}"
    what = f"{what}; first in row {row}, counted from 0"
    raise UserError(key, what, fix=fix or "fill them in, or leave these rows or columns out")


def _unpacked(x: Any, y: Any, key: str) -> Given:
    """Points and labels, taken from the items of a dataset of torch if it is one."""
    if isinstance(x, (torch.Tensor, np.ndarray, pd.DataFrame, list, tuple, type(None))):
        return Given(x, y)
    if isinstance(x, pd.Series):
        return Given(x.to_frame(), y)
    if hasattr(x, "toarray"):  # a sparse matrix of SciPy
        return Given(x.toarray(), y)
    if not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
        return Given(x, y)
    points, labels = [], []
    for i in range(len(x)):
        check()
        item = x[i]
        is_pair = isinstance(item, (tuple, list))
        point = item[0] if is_pair else item
        points.append(
            point if isinstance(point, torch.Tensor) else torch.as_tensor(np.array(point))
        )
        if points[-1].shape != points[0].shape:
            what = f"item {i} has the shape {list(points[-1].shape)}"
            raise UserError(
                key, what, f"item 0 {list(points[0].shape)}", "give points of one shape"
            )
        if is_pair and len(item) > 1:
            labels.append(item[1])
    if y is None and len(labels) == len(points) and labels:
        y = [label.item() if hasattr(label, "item") else label for label in labels]
    return Given(torch.stack(points), y)
