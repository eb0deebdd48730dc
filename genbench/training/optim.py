"""The gradient step: torch's optimisers as the settings describe them, and how rates and weights
change over a run.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

from genbench.settings.groups import AnnealingSettings, GradientSettings
from genbench.utils.imports import importing


def optimizer(
    parameters: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
    s: GradientSettings,
    lr: float | None = None,
) -> torch.optim.Optimizer:
    """The optimiser that the settings describe, of parameters or of groups of them as torch takes
    them, with the learning rate `lr` if one is given.

    Each of its groups keeps its `initial_lr`.
    """
    # fused: one kernel over all parameters, also on a CPU
    adam = {"betas": tuple(s.adam_betas), "eps": s.adam_eps, "fused": True}
    choices: dict[str, tuple[Any, dict[str, Any]]] = {
        "adam": (torch.optim.Adam, adam),
        "adamw": (torch.optim.AdamW, adam),
        "sgd": (torch.optim.SGD, {"momentum": s.momentum}),
        "rmsprop": (torch.optim.RMSprop, {"momentum": s.momentum, "centered": s.centered}),
    }
    make, options = choices[s.optimizer]
    with importing():  # the first optimiser imports torch's compiler, which is large
        built: torch.optim.Optimizer = make(
            list(parameters), lr=lr or s.lr, weight_decay=s.weight_decay, **options
        )
    for group in built.param_groups:
        group["initial_lr"] = group["lr"]
        if s.adam_start and s.optimizer in ("adam", "adamw"):
            for p in group["params"]:
                built.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.full_like(p, s.adam_start),
                }
    return built


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rates to this factor of the initial ones."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore what `state_dict` returned; ValueError if it belongs to other parameters, which torch
    does not check.
    """
    optimizer.load_state_dict(state)
    for p, kept in optimizer.state.items():
        tensors = (v for v in kept.values() if isinstance(v, torch.Tensor) and v.dim())
        if any(tensor.shape != p.shape for tensor in tensors):
            raise ValueError("the state of the optimiser belongs to other parameters")


def rate(clock: int, steps: int, steps_per_epoch: int, s: GradientSettings) -> float:
    """The factor of the learning rate at step `clock` (from 0) of `steps`.

    It rises linearly over `warmup` steps. Then it stays at 1, falls to zero along a line or half a
    cosine, or changes at the epochs that `stages` lists.
    """
    if clock < s.warmup:
        return (clock + 1) / s.warmup
    if s.schedule == "stages":
        epoch = clock // steps_per_epoch
        begun = (factor for start, factor in sorted(s.stages, reverse=True) if epoch >= start)
        return next(begun, 1.0)
    done = min(1.0, (clock - s.warmup) / max(1, steps - s.warmup))
    factors = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return factors[s.schedule]


def annealing(clock: int, steps_per_epoch: int, s: AnnealingSettings) -> float:
    """The share of its full value that the weight of a term has at step `clock` (from 0).

    `linear` rises from zero over `annealing_epochs` epochs and stays at 1; `cyclical` starts again
    every `annealing_epochs` epochs and rises during the first half of them (Fu et al. 2019,
    arXiv:1903.10145, with R = 0.5).
    """
    period = s.annealing_epochs * steps_per_epoch
    if s.annealing == "cyclical":
        return min(1.0, 2 * (clock % period) / period)
    return min(1.0, clock / period)
