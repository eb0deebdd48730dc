"""Warns of data whose values differ in digits that single precision, as models use it, lacks."""

from collections.abc import Sequence

import numpy as np
import torch

from genbench.utils.console import echo

PRECISION = 1e-5  # of a column's size: less than a hundred steps of single precision
SEEN_ROWS = 10_000  # of an array that are looked at
MOST_WARNINGS = 5


def warn_of_rounding(values: np.ndarray, names: Sequence[str] | None = None) -> None:
    """Warn of columns of values [n, D] that single precision rounds; `names` [D] are the columns'.

    All columns must have a value that is not NaN.
    """
    if not values.size or (np.abs(values) > np.finfo(np.float32).max).any():
        return  # the check of the data names what is too large
    size, spread = np.nanmax(np.abs(values), axis=0), np.nanstd(values, axis=0)
    rounded = np.flatnonzero((spread > 0) & (spread < PRECISION * size))
    for place in rounded[:MOST_WARNINGS]:
        name = f"column {place}, counted from 0," if names is None else names[place]
        echo(
            f"warning: {name} has values of {size[place]:g} that differ"
            f" by {spread[place]:.2g}, which single precision rounds: subtract an offset"
        )
    if len(rounded) > MOST_WARNINGS:
        echo(f"warning: {len(rounded) - MOST_WARNINGS:,} more columns are rounded as well")


def warn_of_rounded_array(given: object) -> None:
    """Warn of columns of an array or tensor [n, D] whose type has more digits than models use."""
    if isinstance(given, torch.Tensor):
        is_wide = given.dtype in (torch.float64, torch.int64, torch.int32)
        values = given.detach().cpu().numpy() if is_wide else np.zeros(0)
    else:
        values = np.asarray(given)
        is_wide = values.dtype.kind in "iuf" and values.dtype.itemsize >= 4
        is_wide = is_wide and values.dtype.name != "float32"
    if not is_wide or values.ndim not in (1, 2) or not values.size:
        return
    step = max(1, len(values) // SEEN_ROWS)
    seen = values[::step].astype(np.float64).reshape(len(values[::step]), -1)
    if np.isfinite(seen).all():  # else the check of the data names the point
        warn_of_rounding(seen)
