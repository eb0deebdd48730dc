"""What is measured on a trained model: its own objective on every part, and metrics by ability.

A metric is one function `(model, data, rng) -> {part: {name: number}}`, listed by `@metric` with the abilities that
it needs. Adding one takes nothing else.
"""

import math
from collections.abc import Callable

import torch

from .data import Data, Part
from .divergences import prdc
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


@torch.no_grad()
def final(model: Model, data: Data, batch_size: int, seed: int) -> dict[str, dict]:
    """Every number of a finished run, under the part of the data it was measured on, with that part's size `n`."""
    parts = {name: part for name, part in data.parts.items() if name != "train" or not model.keeps_data}
    found: dict[str, dict] = {n: {"n": len(p)} | means(model, p, batch_size, seed, learnt=n == "train") for n, p in parts.items()}
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
            errors = []
            for x, y in part.batches(1000):
                given = model.given(y)
                errors.append(per_point((given.decode(given.encode(x)) - x) ** 2).cpu().double().sum())
            found[name] = {"mse": float(sum(errors)) / (len(part) * data.space.size)}
    return found


@metric("log_prob")
def likelihood(model: Model, data: Data, rng: torch.Generator, most: int = 1000):
    """The mean log-probability of test points, of what kind it is, and of what.

    Bits per dimension are -log2 p(x) / D; for dequantised pixels of the whole pixel values, which the log-density plus
    log of the cell's width is a bound for (Theis et al. 2016). A bound, which takes many decodings, is measured on the
    first `most` test points.
    """
    part = data.parts["test"] if model.log_prob_kind == "exact" else data.parts["test"].first(most)
    values = torch.cat([model.given(y).log_prob(x).cpu().double() for x, y in part.batches(1000)])
    mean = float(values.mean())
    return {
        "likelihood": {
            "n": len(part),
            "log_prob": mean,
            "standard_error": float(values.std(correction=0)) / len(part) ** 0.5,
            "bits_per_dim": bits_per_dim(model, data, mean),
            "kind": likelihood_kind(model),
            "of": measured_space(model, data),
        }
    }


def bits_per_dim(model: Model, data: Data, log_prob: float) -> float:
    """The bits per value of a point with this log-probability or log-density, in nats."""
    d = data.space.size
    return -(log_prob + (0 if model.mass else d * math.log(data.space.cell))) / (d * math.log(2))


def likelihood_kind(model: Model) -> str:
    """Whether `log_prob` is exact or which bound, in words."""
    return model.log_prob_kind + ("" if model.s.get("sampler", "prior") == "prior" else ", with the prior for its codes")


def measured_space(model: Model, data: Data) -> str:
    """What `log_prob` is a probability or a density of, in words: only what agrees in this can be compared."""
    space = data.space
    if model.mass:
        of = "probability of " + ("binary test values" if space.trials == 1 else f"test values that count {space.trials} dots")
    elif space.cell < 1:
        of = f"density of test values in [0, 1], dequantised in cells of 1/{round(1 / space.cell)}"
    else:
        of = "density of test values" + (" in [0, 1], as they are" if space.unit else "")
    return of + (" given their classes" if model.conditional else "")


@metric("posterior")
def active_units(model: Model, data: Data, rng: torch.Generator):
    """How many dimensions of the code are used: those whose mean under q(z|x) varies by more than 0.01 over the data
    (Burda et al. 2016, section 5)."""
    found = {}
    for name, part in data.parts.items():
        if name != "train":
            mu = torch.cat([model.given(y).posterior(x)[0].cpu() for x, y in part.batches(1000)])
            found[name] = {"active_units": int((mu.double().var(0, correction=0) > 0.01).sum())}
    return found


@metric("sample")
def neighbours(model: Model, data: Data, rng: torch.Generator, n: int = 5000, k: int = 5):
    """Precision, recall, density and coverage of as many samples as there are test points, at most the first n of them.

    They ask whose k-th nearest neighbour is how far (Kynkäänniemi et al. 2019; Naeem et al. 2020), here in the distance
    between the data's own values. That is a fair judge of where samples come from, as of different samplers of one
    decoder's codes. Between decoders it favours blurred samples, which are near to everything: look at recall too.
    """
    part = data.parts["test"].first(n)
    if len(part) <= k:
        return {}
    x = torch.cat([x.flatten(1).cpu() for x, _ in part.batches(1000)])
    samples = torch.cat([model.sample(min(1000, len(x) - start), rng).flatten(1).cpu() for start in range(0, len(x), 1000)])
    return {"neighbours": {"n": len(x), **prdc(x, samples, k)}}


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
