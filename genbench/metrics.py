"""The objective of a trained model, measured on every part of the data. All else that is measured is the report card's."""

from pathlib import Path
from statistics import fmean

import torch

from .data import Data, Part
from .files import Unreadable
from .model import Logs, Model
from .record import read_points
from .seeds import generator

FEWEST_POINTS = 4  # of a curve that has two halves


@torch.no_grad()
def means(model: Model, part: Part, batch_size: int, seed: int, learnt: bool = False) -> dict[str, float]:
    """The objective's terms over one part, as means over its points, with the same noise at every call; and, unless the
    part was learnt from, what can only be estimated on data that was not."""
    sums: Logs = {}
    for i, batch in enumerate(part.batches(batch_size)):
        rng = generator(seed, "evaluate", i, device=batch.x.device)
        terms = model.evaluate(batch, rng)
        if not learnt:
            terms |= model.held_out(batch, rng)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value * len(batch.x)
    return {name: float(total) / len(part) for name, total in sums.items()}


def final(model: Model, data: Data, batch_size: int, seed: int) -> dict[str, dict]:
    """The objective of a finished run, under the part of the data it was measured on, with that part's size `n`."""
    parts = {name: part for name, part in data.parts.items() if name != "train" or not model.keeps_data}
    return {name: {"n": len(part)} | means(model, part, batch_size, seed, learnt=name == "train") for name, part in parts.items()}


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
