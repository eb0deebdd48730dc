"""The curves of a run: points by epoch, from its metrics.jsonl."""

from pathlib import Path
from statistics import fmean

from genbench.utils.files import Unreadable, read_json_lines
from genbench.utils.schema import point

FEWEST_POINTS = 4  # of a curve that has two halves


def validation_curve(folder: Path, criterion: str) -> dict[int, float]:
    """The criterion on the validation data by epoch, as far as a run's metrics.jsonl can be read."""
    try:
        points = [point for _, point in read_points(folder)]
    except Unreadable:
        return {}
    values = {point["epoch"]: point.get("validation", {}).get(criterion) for point in points}
    return {epoch: float(value) for epoch, value in values.items() if value is not None}


def late_fall(curve: dict[int, float]) -> float | None:
    """The share of a curve's height that its second half fell by: at most 1, and below 0 if it rose; None of few points.

    The middle and the end are means over a tenth of the points, as curves are noisy.
    """
    values = [curve[epoch] for epoch in sorted(curve)]
    height = max(values, default=0.0) - min(values, default=0.0)
    if len(values) < FEWEST_POINTS or not height:
        return None
    middle, some = (len(values) + 1) // 2, max(1, len(values) // 10)
    return (fmean(values[middle - some : middle]) - fmean(values[-some:])) / height


def read_points(folder: Path) -> list[tuple[str, dict]]:
    """The points of a run's curves in the order of their epochs: lines of metrics.jsonl, and what they hold. Damaged lines
    are left out. Unreadable where there are none."""
    found: list[tuple[str, dict]] = []
    for line, value in read_json_lines(folder / "metrics.jsonl", point):
        if not found or value["epoch"] > found[-1][1]["epoch"]:
            found.append((line, value))
    return found
