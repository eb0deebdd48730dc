"""The gradient step: torch's optimisers as the settings ask for them, and how rates and weights change over a run."""

import math
from collections.abc import Iterable

import torch

from genbench.config.settings import Settings


def optimizer(
    parameters: Iterable[torch.Tensor], s: Settings, lr: float | None = None
) -> torch.optim.Optimizer:
    """The optimiser that `optimizer`, `lr` (or a rate in its place) and their companions describe; each group keeps its
    `initial_lr`."""
    adam = {
        "betas": tuple(s.adam_betas),
        "eps": s.adam_eps,
        "fused": True,
    }  # fused: one kernel over all parameters, also on CPU
    make, options = {
        "adam": (torch.optim.Adam, adam),
        "adamw": (torch.optim.AdamW, adam),
        "sgd": (torch.optim.SGD, {"momentum": s.momentum}),
        "rmsprop": (torch.optim.RMSprop, {"momentum": s.momentum, "centered": s.centered}),
    }[s.optimizer]
    made = make(list(parameters), lr=lr or s.lr, weight_decay=s.weight_decay, **options)
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
        if s.adam_start and s.optimizer in ("adam", "adamw"):
            for p in group["params"]:
                second = torch.full_like(p, s.adam_start)
                made.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": second,
                }
    return made


def take_back(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Give an optimiser what its `state_dict` returned; ValueError if that is of other parameters, which torch would not notice."""
    optimizer.load_state_dict(state)
    for p, kept in optimizer.state.items():
        if any(
            isinstance(value, torch.Tensor) and value.dim() and value.shape != p.shape
            for value in kept.values()
        ):
            raise ValueError("the state of the optimiser is of other parameters")


def rate(clock: int, steps: int, steps_per_epoch: int, s: Settings) -> float:
    """What the learning rate is multiplied by at step `clock` (from 0) of `steps`.

    It rises linearly over `warmup` steps, then stays, or falls to zero as a line or a half cosine, or changes at the
    epochs that `stages` gives.
    """
    if clock < s.warmup:
        return (clock + 1) / s.warmup
    if s.schedule == "stages":
        epoch = clock // steps_per_epoch
        return next(
            (factor for start, factor in sorted(s.stages, reverse=True) if epoch >= start), 1.0
        )
    done = min(1.0, (clock - s.warmup) / max(1, steps - s.warmup))
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[
        s.schedule
    ]


def annealing(clock: int, steps_per_epoch: int, s: Settings) -> float:
    """The share of its full value that a term's weight has at step `clock` (from 0).

    `linear` rises from zero over `annealing_epochs` epochs and stays; `cyclical` starts again every `annealing_epochs`
    epochs, of which the first half is the rise (Fu et al. 2019, arXiv:1903.10145, with R = 0.5).
    """
    period = s.annealing_epochs * steps_per_epoch
    if s.annealing == "cyclical":
        return min(1.0, 2 * (clock % period) / period)
    return min(1.0, clock / period)
