"""The gradient step: torch's optimisers as the settings ask for them, and how rates and weights change over a run."""

import math
from collections.abc import Iterable

import torch

from .settings import Settings


def optimizer(parameters: Iterable[torch.Tensor], s: Settings) -> torch.optim.Optimizer:
    """The optimiser that `optimizer`, `lr` and their companions describe; each group keeps its `initial_lr`."""
    adam = {"betas": tuple(s.adam_betas), "fused": True}  # fused: one kernel over all parameters, also on CPU
    make, options = {
        "adam": (torch.optim.Adam, adam),
        "adamw": (torch.optim.AdamW, adam),
        "sgd": (torch.optim.SGD, {"momentum": s.momentum}),
        "rmsprop": (torch.optim.RMSprop, {"momentum": s.momentum}),
    }[s.optimizer]
    made = make(list(parameters), lr=s.lr, weight_decay=s.weight_decay, **options)
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
    return made


def rate(clock: int, steps: int, s: Settings) -> float:
    """What the learning rate is multiplied by at step `clock` (from 0) of `steps`.

    It rises linearly over `warmup` steps, then stays, or falls to zero as a line or a half cosine.
    """
    if clock < s.warmup:
        return (clock + 1) / s.warmup
    done = min(1.0, (clock - s.warmup) / max(1, steps - s.warmup))
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[s.schedule]


def annealing(clock: int, steps_per_epoch: int, s: Settings) -> float:
    """The share of its full value that a term's weight has at step `clock` (from 0).

    `linear` rises from zero over `annealing_epochs` epochs and stays; `cyclical` starts again every `annealing_epochs`
    epochs, of which the first half is the rise (Fu et al. 2019, arXiv:1903.10145, with R = 0.5).
    """
    period = s.annealing_epochs * steps_per_epoch
    if s.annealing == "cyclical":
        return min(1.0, 2 * (clock % period) / period)
    return min(1.0, clock / period)
