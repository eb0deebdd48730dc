"""The range of a measure, to which intervals are cut where they are drawn or exported."""

from functools import cache

from genbench.report.quantities import Quantity, Value
from genbench.runs.directory import SPLITS


@cache
def bounds(quantity: Quantity) -> tuple[float, float]:
    """The least and the largest value that a measure can have."""
    from genbench.evaluation.registry import measures  # imports torch

    if quantity.group in ("cost", "time"):
        return 0.0, float("inf")
    known = measures().get(quantity.name) if quantity.group not in SPLITS else None
    return known.within if known else (float("-inf"), float("inf"))


def bounded(quantity: Quantity, value: Value) -> tuple[float | None, float | None]:
    """The ends of an interval, cut to the range that an interval over seeds may leave."""
    if value.low is None or value.high is None:
        return None, None
    least, most = bounds(quantity)
    return max(value.low, min(least, value.mean)), min(value.high, max(most, value.mean))
