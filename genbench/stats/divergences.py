"""Kullback-Leibler and Jensen-Shannon divergences of distributions, in nats.

They are ours because no library that genbench needs anyway has them for Gaussians of any dimension
or for densities. Everything is computed in double precision; a device without it, such as mps, must
pass CPU copies.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from genbench.stats.blocks import require_points

LogDensity = Callable[[torch.Tensor], torch.Tensor]  # points [n, D] to nats [n]


class Estimate(NamedTuple):
    """A value with its possible error; both scalars."""

    value: torch.Tensor
    error: torch.Tensor


# Distributions over finitely many outcomes.


def kl_discrete(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) [...] of probability vectors [..., K], in nats (Kullback & Leibler 1951).

    Infinite where p has an outcome that q rules out; 0 log 0 = 0. ValueError if a vector is not a
    distribution.
    """
    p, q = _probabilities(p), _probabilities(q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


def jsd_discrete(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence [...] of probability vectors [..., K], in nats (Lin 1991).

    The mean of KL(p || m) and KL(q || m), where m is the mean of p and q: from 0 to log 2.
    ValueError if a vector is not a distribution.
    """
    p, q = _probabilities(p), _probabilities(q)
    # 2p / (p + q) instead of p / m: halving the smallest number would make m zero where p is not.
    kl_p, kl_q = ((torch.xlogy(a, 2 * a) - torch.xlogy(a, p + q)).sum(-1) for a in (p, q))
    return (kl_p + kl_q) / 2


def _probabilities(p: torch.Tensor) -> torch.Tensor:
    p = p.double()
    # Single precision keeps a sum to about 1e-7.
    if not ((p >= 0).all() and ((p.sum(-1) - 1).abs() < 1e-5).all()):
        what = "probabilities must be at least 0 and sum to 1; divide counts by their sum"
        raise ValueError(what)
    return p


# Distributions with a density.


def kl_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """KL(N(mean0, cov0) || N(mean1, cov1)), a scalar in nats, of means [D] and covariances [D, D].

    torch.linalg.LinAlgError if a covariance is not positive definite.
    """
    mean, variance = _relative(mean0, cov0, mean1, cov1)
    return (variance - 1 - variance.log() + mean**2).sum() / 2


def jsd_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """Jensen-Shannon divergence, a scalar in nats, of Gaussians: means [D], covariances [D, D].

    It has no closed form, but is an integral over one variable, here exact to about 1e-14. With
    l = log(p / q) and softplus(l) = log(1 + e^l), it is
    log 2 - E_p[softplus(-l)] / 2 - E_q[softplus(l)] / 2, or

        log 2 - 1/2 int sqrt(p q) k(l) dx,    k(l) = e^(l/2) softplus(-l) + e^(-l/2) softplus(l).

    A Fourier transform writes k as a sum of imaginary powers of p / q, because for 0 < Re a < 1
    int log(1 + u) u^(-a-1) du = pi / (a sin(pi a)) over u > 0. Integrals of powers of Gaussians are
    known. With s = 1/2 + i t and phi(t) = int p^s q^(1-s) dx this gives

        log 2 - 1/4 int phi(t) / ((1/4 + t^2) cosh(pi t)) dt.

    torch.linalg.LinAlgError if a covariance is not positive definite.
    """
    mean, variance = _relative(mean0, cov0, mean1, cov1)
    # The integrand falls like e^(-pi |t|) and is analytic for |Im t| < 1/2. A sum with steps of h
    # is off by about e^(-pi / h), here e^-50, for any Gaussians, because |phi| <= 1.
    t = torch.arange(-12, 12.01, 1 / 16, dtype=torch.float64, device=mean.device)[:, None]
    s = 0.5 + 1j * t
    z = 1 - s + s * variance  # its real part is positive, so that its logarithm has no jumps
    log_phi = (s * variance.log() - z.log() - (0.25 + t**2) * mean**2 / z).sum(1) / 2
    weights = 1 / ((0.25 + t**2) * (math.pi * t).cosh()).squeeze(1) / 16
    return math.log(2) - (log_phi.exp().real * weights).sum() / 4


def _relative(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first Gaussian's mean [D] and variances [D] in coordinates where the second is N(0, I).

    The first is uncorrelated in these coordinates.
    """
    root0, root1 = torch.linalg.cholesky(cov0.double()), torch.linalg.cholesky(cov1.double())
    shift = mean0.double() - mean1.double()
    solved = torch.linalg.solve_triangular(
        root1, torch.cat([root0, shift[:, None]], 1), upper=False
    )
    axes, scales, _ = torch.linalg.svd(solved[:, :-1])
    return axes.T @ solved[:, -1], scales**2


def jsd_quadrature(
    log_p: LogDensity, log_q: LogDensity, box: Sequence[tuple[float, float]], points: int = 2**18
) -> Estimate:
    """Jensen-Shannon divergence, in nats, of two densities, by the midpoint rule on a grid.

    The densities have one or two dimensions.

    log_p, log_q  map points [n, D] on the CPU to nats [n]
    box           (low, high) of each of the D dimensions
    points        about how many points the grid has in all

    For Gaussians inside the box, a spacing of the narrower one's standard deviation is off by less
    than 1e-3, half of it by 1e-5 and a quarter by 1e-8.

    The error is the sum of two parts: the difference from a grid of three times the spacing, which
    is far more than the real error for smooth densities, and log 2 times the mean mass that the
    grid misses or counts too often, because what lies outside the box adds no more.
    """
    side = 3 * max(1, round(points ** (1 / len(box)) / 3))
    steps = [(high - low) / side for low, high in box]
    centres = torch.arange(side, dtype=torch.float64) + 0.5
    axes = [low + step * centres for (low, _), step in zip(box, steps, strict=True)]
    x = torch.cartesian_prod(*axes).reshape(-1, len(box))
    p, q = (torch.cat([log(some).double() for some in x.split(2**14)]) for log in (log_p, log_q))
    values = p.exp() * _log_ratio(p, q) + q.exp() * _log_ratio(q, p)
    values = values.reshape([side] * len(box)) / 2
    fine = values.mean()
    middle_of_three = (slice(1, None, 3),) * len(box)
    coarse = values[middle_of_three].mean()
    volume = math.prod(steps) * side ** len(box)
    missed_p, missed_q = ((1 - volume * log.exp().mean()).abs() for log in (p, q))
    missed = (missed_p + missed_q) / 2
    return Estimate(volume * fine, volume * (fine - coarse).abs() + math.log(2) * missed)


def jsd_monte_carlo(
    log_p: LogDensity, log_q: LogDensity, x: torch.Tensor, y: torch.Tensor
) -> Estimate:
    """Jensen-Shannon divergence, in nats, of p and q, from their samples x [n, D] and y [m, D].

    `log_p` and `log_q` map points [n, D] to nats [n]. The estimate is unbiased; its error is one
    standard error. ValueError if a sample has fewer than 2 points.
    """
    require_points(2, x, y)
    of_x = _log_ratio(log_p(x).double(), log_q(x).double())
    of_y = _log_ratio(log_q(y).double(), log_p(y).double())
    error = (of_x.var() / len(x) + of_y.var() / len(y)).sqrt() / 2
    return Estimate((of_x.mean() + of_y.mean()) / 2, error)


def _log_ratio(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """log(p / m), where m is the mean of p and q; log 2 where neither has mass."""
    log_odds = torch.logaddexp(torch.zeros_like(log_p), log_q - log_p)
    return math.log(2) - torch.where(log_p > -math.inf, log_odds, 0)
