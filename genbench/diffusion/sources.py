"""What noise is drawn from: N(0, I), or another density that flows can start from."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from genbench.data.types import DataSpec
from genbench.utils.errors import UserError

RADIUS, SPREAD = 5.0, 0.1**0.5  # Tong et al. 2024, arXiv:2302.00482


class Source(NamedTuple):
    """How to draw n points [n, *shape], and their log density [n]."""

    draw: Callable[[int, torch.Generator], torch.Tensor]
    log_prob: Callable[[torch.Tensor], torch.Tensor]


def normal(spec: DataSpec) -> Source:
    """N(0, I)."""

    def draw(n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(n, *spec.shape, generator=rng, device=rng.device)

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        return -0.5 * (x.flatten(1) ** 2 + math.log(2 * math.pi)).sum(1)

    return Source(draw, log_prob)


def eight_gaussians(spec: DataSpec) -> Source:
    """Eight Gaussians of variance 0.1 on a circle of radius 5 in the plane."""
    if spec.shape != (2,):
        what = f"lies in the plane, and points have {spec.size} values"
        raise UserError("source", what, "eight-gaussians", "source=normal")
    angle = torch.arange(8) * (2 * math.pi / 8)
    centres = RADIUS * torch.stack([angle.cos(), angle.sin()], 1)

    def draw(n: int, rng: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(8, (n,), generator=rng, device=rng.device)
        noise = torch.randn(n, 2, generator=rng, device=rng.device)
        return centres.to(rng.device)[chosen] + SPREAD * noise

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        squares = (x[:, None] - centres.to(x)).square().sum(2)
        joint = -squares / (2 * SPREAD**2) - math.log(8 * 2 * math.pi * SPREAD**2)
        return joint.logsumexp(1)

    return Source(draw, log_prob)


NOISES = {"normal": normal, "eight-gaussians": eight_gaussians}
