"""The curves of a run: points by epoch, from its metrics.jsonl."""

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from genbench.utils.files import Unreadable, read_json_lines
from genbench.utils.schema import point

FEWEST_POINTS = 4  # of a curve that has two halves


def validation_curve(folder: Path, criterion: str) -> dict[int, float]:
    """The criterion on the validation data by epoch, where metrics.jsonl can be read."""
    try:
        points = [point for _, point in read_points(folder)]
    except Unreadable:
        return {}
    values = {point["epoch"]: point.get("validation", {}).get(criterion) for point in points}
    return {epoch: float(value) for epoch, value in values.items() if value is not None}


def curve_end(curve: dict[int, float]) -> dict[str, float]:
    """How a validation curve ended: `late_fall`, and `late_rise` since its `lowest_epoch`.

    Empty where there are too few points; the last two only where the minimum is before the end.
    """
    fall, lowest = late_fall(curve), lowest_point(curve)
    ended = {} if fall is None else {"late_fall": fall}
    if lowest is not None:
        ended |= {"lowest_epoch": lowest.epoch, "late_rise": lowest.rise}
    return ended


class Lowest(NamedTuple):
    """The epoch at which a curve was lowest, and by how much it has risen since."""

    epoch: int
    rise: float


def lowest_point(curve: dict[int, float]) -> Lowest | None:
    """Where a curve was lowest; None of few points, or where it ends there.

    Means over a twentieth of the points are compared, as curves are noisy.
    """
    epochs = sorted(curve)
    width = max(1, len(epochs) // 20)
    if len(epochs) < FEWEST_POINTS:
        return None
    starts = range(len(epochs) - width + 1)
    means = [fmean(curve[epoch] for epoch in epochs[i : i + width]) for i in starts]
    i = min(starts, key=lambda i: means[i])
    rise = means[-1] - means[i]
    return Lowest(epochs[i + width // 2], rise) if rise > 0 else None


def late_fall(curve: dict[int, float]) -> float | None:
    """The share of a curve's height by which its second half fell, below 0 if it rose.

    None if there are too few points.

    The middle and the end are means over a tenth of the points, as curves are noisy.
    """
    values = [curve[epoch] for epoch in sorted(curve)]
    height = max(values, default=0.0) - min(values, default=0.0)
    if len(values) < FEWEST_POINTS or not height:
        return None
    middle, some = (len(values) + 1) // 2, max(1, len(values) // 10)
    return (fmean(values[middle - some : middle]) - fmean(values[-some:])) / height


def read_points(folder: Path) -> list[tuple[str, dict]]:
    """The points of a run's curves by epoch: each line of metrics.jsonl with its value.

    Damaged lines are left out. Unreadable if there is no such file.
    """
    found: list[tuple[str, dict]] = []
    for line, value in read_json_lines(folder / "metrics.jsonl", point):
        if not found or value["epoch"] > found[-1][1]["epoch"]:
            found.append((line, value))
    return found
