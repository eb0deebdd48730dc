"""What is measured on a trained model: its own objective on every part, and metrics by ability.

A metric is one function `(model, data, rng) -> {part: {name: number}}`, listed by `@metric` with the abilities that
it needs. Adding one takes nothing else.
"""

from collections.abc import Callable

import torch

from .data import Data, Part
from .losses import per_point
from .model import Logs, Model, can
from .seeds import generator

METRICS: list[tuple[tuple[str, ...], Callable]] = []


def metric(*needs: str):
    """List a function as a metric of every model that has these abilities."""

    def listed(function):
        METRICS.append((needs, function))
        return function

    return listed


@torch.no_grad()
def means(model: Model, part: Part, batch_size: int, seed: int) -> dict[str, float]:
    """The objective's terms over one part, as means over its points, with the same noise at every call."""
    sums: Logs = {}
    for i, batch in enumerate(part.batches(batch_size)):
        rng = generator(seed, "evaluate", i, device=batch.x.device)
        for name, value in model.evaluate(batch, rng).items():
            sums[name] = sums.get(name, 0) + value * len(batch.x)
    return {name: float(total) / len(part) for name, total in sums.items()}


@torch.no_grad()
def final(model: Model, data: Data, batch_size: int, seed: int) -> dict[str, dict]:
    """Every number of a finished run, under the part of the data it was measured on, with that part's size `n`."""
    found: dict[str, dict] = {name: {"n": len(p)} | means(model, p, batch_size, seed) for name, p in data.parts.items()}
    for needs, function in METRICS:
        if can(model, *needs):
            rng = generator(seed, "metric", function.__name__, device=data.train.raw.device)
            for part, numbers in function(model, data, rng).items():
                found.setdefault(part, {}).update(numbers)
    return found


@metric("encode", "decode")
def reconstruction_error(model: Model, data: Data, rng: torch.Generator):
    """Mean squared error per value of decode(encode(x)) on held-out data."""
    found = {}
    for name, part in data.parts.items():
        if name != "train":
            errors = [per_point((model.decode(model.encode(x)) - x) ** 2).cpu().double().sum() for x, _ in part.batches(1000)]
            found[name] = {"mse": float(sum(errors)) / (len(part) * data.space.size)}
    return found


@metric("sample")
def mode_coverage(model: Model, data: Data, rng: torch.Generator, n: int = 10_000):
    """How many modes of a known density n samples cover.

    A sample is of high quality if it lies within 3 standard deviations of its nearest mode. `modes` counts the modes
    that at least 0.5 % of the samples are of high quality for. `modes_loose` counts those that have one such sample
    among the first 2,500, as published (Srivastava et al. 2017, VEEGAN); `high_quality` is the share of all samples.
    """
    if data.density is None or data.density.modes is None:
        return {}
    x = torch.cat([model.sample(1000, rng).cpu() for _ in range(n // 1000)]).double()
    distance, mode = torch.cdist(x, data.density.modes).min(1)
    good = distance < 3 * data.density.scales[mode]

    def count(points):
        return torch.bincount(mode[points][good[points]], minlength=len(data.density.modes))

    return {
        "samples": {
            "n": n,
            "modes": int((count(slice(None)) >= 0.005 * n).sum()),
            "modes_loose": int((count(slice(0, 2500)) >= 1).sum()),
            "modes_of_data": len(data.density.modes),
            "high_quality": float(good.double().mean()),
        }
    }
