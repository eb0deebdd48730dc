"""Paths from data to noise: x_t = alpha(t) x + sigma(t) eps, from data at t = 0 to noise at t = 1.

x is standardized to variance one, and eps is N(0, I) unless a model says otherwise. The density
p_t of x_t follows the ordinary differential equation dx_t/dt = E[alpha'(t) x + sigma'(t) eps | x_t]
(Song et al. 2021, arXiv:2011.13456; Lipman et al. 2023, arXiv:2210.02747).
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch


class Point(NamedTuple):
    """A path at times t: alpha, sigma and their derivatives, of the shape of t."""

    alpha: torch.Tensor
    sigma: torch.Tensor
    alpha_slope: torch.Tensor
    sigma_slope: torch.Tensor

    @property
    def scale(self) -> torch.Tensor:
        """The root mean square of x_t's values: sqrt(alpha^2 + sigma^2)."""
        return (self.alpha**2 + self.sigma**2).sqrt()

    @property
    def snr(self) -> torch.Tensor:
        """The signal-to-noise ratio alpha^2 / sigma^2."""
        return (self.alpha / self.sigma) ** 2

    def like(self, x: torch.Tensor) -> "Point":
        """The same with dimensions of size one appended, to multiply points x [n, ...]."""
        return Point(*(part.reshape(-1, *[1] * (x.dim() - 1)) for part in self))


class Path(Protocol):
    """alpha and sigma as functions of time.

    Training and likelihoods use times from `first` to `last`; below `first` noise is negligible.
    """

    first: float
    last: float

    def at(self, t: torch.Tensor) -> Point:
        """alpha, sigma and their derivatives at times t, of any shape."""

    def condition(self, t: torch.Tensor) -> torch.Tensor:
        """The input, of order one, by which a network knows times t."""


class VariancePreservingLinear:
    """alpha^2 + sigma^2 = 1, where noise is added at a rate that rises linearly from 0.1 to 20.

    It is the continuous form of Ho et al. 2020, arXiv:2006.11239 (Song et al. 2021, appendix C).
    """

    first, last = 1e-3, 1.0
    low, high = 0.1, 20.0

    def at(self, t: torch.Tensor) -> Point:
        log_alpha = -0.5 * (self.low * t + 0.5 * (self.high - self.low) * t**2)
        rate = self.low + (self.high - self.low) * t
        alpha, sigma = log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()
        return Point(alpha, sigma, -0.5 * rate * alpha, 0.5 * rate * alpha**2 / sigma)

    def condition(self, t: torch.Tensor) -> torch.Tensor:
        return t


class VariancePreservingCosine:
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2) (Nichol & Dhariwal 2021, arXiv:2102.09672).

    It ends where alpha is 0.008, as no noise could be told from data beyond.
    """

    first, last = 1e-3, 0.995

    def at(self, t: torch.Tensor) -> Point:
        half = math.pi / 2
        cos, sin = torch.cos(half * t), torch.sin(half * t)
        return Point(cos, sin, -half * sin, half * cos)

    def condition(self, t: torch.Tensor) -> torch.Tensor:
        return t


class VarianceExploding:
    """alpha = 1, sigma = sigma_max t: time is the level of the noise.

    Song & Ermon 2019, arXiv:1907.05600, and Karras et al. 2022, arXiv:2206.00364, differ in which
    levels they train at and step through, not in the path.
    """

    last = 1.0

    def __init__(self, sigma_min: float, sigma_max: float) -> None:
        self.first, self.sigma_max = sigma_min / sigma_max, sigma_max

    def at(self, t: torch.Tensor) -> Point:
        one = torch.ones_like(t)
        return Point(one, self.sigma_max * t, 0 * one, self.sigma_max * one)

    def condition(self, t: torch.Tensor) -> torch.Tensor:
        return (self.sigma_max * t).log() / 4  # as in Karras et al. 2022, table 1


class Rectified:
    """alpha = 1 - t, sigma = t: straight lines from data to noise (Liu et al. 2023,
    arXiv:2209.03003; Lipman et al. 2023).
    """

    first, last = 1e-3, 1.0

    def at(self, t: torch.Tensor) -> Point:
        one = torch.ones_like(t)
        return Point(1 - t, t, -one, one)

    def condition(self, t: torch.Tensor) -> torch.Tensor:
        return t


# By name: makes the path with these least and largest levels of noise, which only `ve` uses.
PATHS: dict[str, Callable[[float, float], Path]] = {
    "vp-linear": lambda low, high: VariancePreservingLinear(),
    "vp-cosine": lambda low, high: VariancePreservingCosine(),
    "ve": VarianceExploding,
    "rectified": lambda low, high: Rectified(),
}
