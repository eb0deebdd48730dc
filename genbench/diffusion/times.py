"""At which times a model is trained, and through which times samples go."""

import math
from collections.abc import Callable

import torch

from genbench.diffusion.paths import Path

LOG_SIGMA = (-0.5, 1.2)  # Karras et al. 2022, table 1, for data of variance one instead of 1/4


def spread_evenly(u: torch.Tensor, path: Path) -> torch.Tensor:
    """Evenly spread over time."""
    return path.first + (path.last - path.first) * u


def log_uniform(u: torch.Tensor, path: Path) -> torch.Tensor:
    """Evenly spread over the logarithm of time."""
    return path.first * (path.last / path.first) ** u


def log_normal_levels(u: torch.Tensor, path: Path) -> torch.Tensor:
    """With a normal logarithm of sigma / alpha (Karras et al. 2022, arXiv:2206.00364)."""
    mean, deviation = LOG_SIGMA
    sigma = (mean + deviation * _normal(u)).exp()
    return (sigma / path.at(torch.ones_like(u)).sigma).clamp(path.first, path.last)


def logit_normal(u: torch.Tensor, path: Path) -> torch.Tensor:
    """With a normal logit, so that middle times count more (Esser et al. 2024,
    arXiv:2403.03206).
    """
    return _normal(u).sigmoid().clamp(path.first, path.last)


def _normal(u: torch.Tensor) -> torch.Tensor:
    """Standard normal values of which shares u lie below."""
    return torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))


# By name: times [n] of shares u [n], which are spread evenly over (0, 1).
TRAINING_TIMES: dict[str, Callable[[torch.Tensor, Path], torch.Tensor]] = {
    "uniform": spread_evenly,
    "log-uniform": log_uniform,
    "log-normal": log_normal_levels,
    "logit-normal": logit_normal,
}


def stratified(n: int, rng: torch.Generator) -> torch.Tensor:
    """n numbers [n], one in each n-th of (0, 1), so that batches vary less (Kingma et al. 2021,
    arXiv:2107.00630, appendix I.1).
    """
    start = torch.rand((), generator=rng, device=rng.device)
    return (torch.arange(n, device=rng.device) / n + start) % 1


def sampling_times(path: Path, grid: str, steps: int, grid_power: float) -> list[float]:
    """`steps` + 1 times from noise to data, of which the last is zero.

    `uniform` times are evenly spread; of `power` the roots of this power are, from `last` to
    `first` (Karras et al. 2022, equation 5), and of `geometric` the logarithms are.
    """
    if grid == "uniform":
        return [path.last * (1 - i / steps) for i in range(steps)] + [0.0]
    share = [i / max(1, steps - 1) for i in range(steps)]
    if grid == "power":
        high, low = path.last ** (1 / grid_power), path.first ** (1 / grid_power)
        return [(high + u * (low - high)) ** grid_power for u in share] + [0.0]
    ratio = math.log(path.first / path.last)
    return [path.last * math.exp(u * ratio) for u in share] + [0.0]


def likelihood_times(path: Path, steps: int, grid_power: float) -> list[float]:
    """`steps` + 1 times from `first` to `last`, denser near the data, where densities are sharp."""
    low, high = path.first ** (1 / grid_power), path.last ** (1 / grid_power)
    return [(low + i / steps * (high - low)) ** grid_power for i in range(steps + 1)]
