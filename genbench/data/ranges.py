"""The range of values of images that a user gave as an array: which are black, and which white."""

import math
from typing import NamedTuple

import torch

from genbench.data.lazy import LazyArray, Values, read_chunks
from genbench.utils.errors import UserError
from genbench.utils.signals import check

HALF_OF_BYTES = 127  # whole numbers above it are taken for bytes


class ValueRange(NamedTuple):
    """The values that are 0 and 1 in the points, which are black and white in images."""

    low: float
    high: float


class Seen(NamedTuple):
    """The least and the largest value of arrays, and whether all are whole numbers."""

    least: float
    largest: float
    whole: bool


def guessed_range(
    x: Values, test_x: Values | None, asked: tuple[float, float] | None, key: str = "dataset.range"
) -> ValueRange:
    """The range of images: the one that was asked for, else one of the usual ones, else from the
    least value to the largest.

    Whole numbers from 0 on range to their largest value, or to 255 if that is above 127; numbers
    with fractions range from 0 to 1, or from -1 to 1. UserError for values that are beyond what was
    asked for, and for images in which all values are the same.
    """
    seen = _seen([x] if test_x is None else [x, test_x])
    if not math.isfinite(seen.least + seen.largest):
        return ValueRange(0.0, 1.0)  # the check of values will name the point
    if asked is not None:
        if not asked[0] <= seen.least <= seen.largest <= asked[1]:
            what = f"values range from {seen.least:g} to {seen.largest:g}, beyond the range"
            raise UserError(key, what, [*asked], f"leave it out, or {key}=[{seen.least:g},...]")
        return ValueRange(*asked)
    if seen.least == seen.largest:
        raise UserError(key, "all values of all images are the same", seen.least, "other data")
    if seen.whole and seen.least >= 0 and seen.largest <= 255:
        return ValueRange(0.0, 255.0 if seen.largest > HALF_OF_BYTES else seen.largest)
    for usual in (ValueRange(0.0, 1.0), ValueRange(-1.0, 1.0)):
        if usual.low <= seen.least and seen.largest <= usual.high:
            return usual
    return ValueRange(seen.least, seen.largest)


def scaled(x: Values, seen: ValueRange) -> tuple[Values, float]:
    """Values [n, *shape], and what to multiply them by so that the range becomes [0, 1]."""
    if seen.low == 0:
        return x, 1 / seen.high
    width = seen.high - seen.low
    if not isinstance(x, LazyArray):
        return ((x.double() - seen.low) / width).float(), 1.0
    lazy = LazyArray(
        lambda rows: ((x[rows].double() - seen.low) / width).float(),
        len(x),
        x.point,
        torch.float32,
        key=f"{x.identity} from {seen.low!r} to {seen.high!r}",
    )
    return lazy, 1.0


def is_binary(x: Values, test_x: Values | None) -> bool:
    """Whether all values are 0 or 1."""
    for array in (x, test_x):
        for chunk in () if array is None else read_chunks(array):
            check()
            if not ((chunk == 0) | (chunk == 1)).all():
                return False
    return True


def is_within_unit(x: Values, test_x: Values | None) -> bool:
    """Whether all values lie in [0, 1]."""
    seen = _seen([x] if test_x is None else [x, test_x])
    return seen.least >= 0 and seen.largest <= 1


def _seen(arrays: list[Values]) -> Seen:
    least, largest, whole = math.inf, -math.inf, True
    for array in arrays:
        for chunk in read_chunks(array):
            check()
            least, largest = min(least, float(chunk.min())), max(largest, float(chunk.max()))
            if whole and chunk.is_floating_point():
                whole = bool((chunk == chunk.round()).all())
    return Seen(least, largest, whole)
